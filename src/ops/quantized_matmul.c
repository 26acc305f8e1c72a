/* Matrix products of codes that ONNX Runtime's tools write in domain com.microsoft: QGemm, MatMulIntegerToFloat, DynamicQuantizeMatMul. The sums
 * are MatMulInteger's, exact. */
#include "ops/attribute.h"
#include "ops/dynamic_range.h"
#include "ops/integer_matmul.h"
#include "ops/quant_code.h"

/* ---- QGemm ---- */

typedef struct QGemmParams {
    bool transpose_a, transpose_b;
    float alpha;
} QGemmParams;

enum { GEMM_A = 0, GEMM_B = 3, GEMM_C = 6, GEMM_Y_SCALE = 7, GEMM_Y_ZERO = 8 };

static FbStatus decode_gemm(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    QGemmParams *p = params;
    (void)arena;
    FB_TRY(fb_attr_bool(node, "transA", false, &p->transpose_a, err));
    FB_TRY(fb_attr_bool(node, "transB", false, &p->transpose_b, err));
    return fb_attr_float(node, "alpha", 1.0f, &p->alpha, err);
}

static FbShape swapped(FbShape shape, bool swap)
{
    if (swap && shape.rank == 2) {
        int64_t first = shape.dims[0];
        shape.dims[0] = shape.dims[1];
        shape.dims[1] = first;
    }
    return shape;
}

/* C must broadcast to the product, not the other way round. */
static FbStatus check_addend(const FbInfer *infer, int input, const FbShape *y, FbError *err)
{
    const FbShape *c = &infer->inputs[input].shape;
    for (int i = 1; fb_infer_has(infer, input) && i <= c->rank; i++) {
        int64_t have = c->dims[c->rank - i], want = i <= y->rank ? y->dims[y->rank - i] : 1;
        if (have >= 0 && have != 1 && want >= 0 && have != want) {
            return fb_error_set(err, FB_ERR_FORMAT, "input %d cannot be broadcast to the product's shape", input);
        }
    }
    return FB_OK;
}

static FbStatus infer_gemm(FbInfer *infer, FbError *err)
{
    const QGemmParams *p = infer->params;
    FbIntegerStack stack;
    FbShape *y = &infer->outputs[0].shape;
    bool quantized = fb_infer_has(infer, GEMM_Y_ZERO);
    FB_TRY(fb_integer_check_triple(infer, GEMM_A, err));
    FB_TRY(fb_integer_check_triple(infer, GEMM_B, err));
    FB_TRY(fb_check_input_dtype(infer, GEMM_C, FB_MASK(FB_DTYPE_S32), err));
    FB_TRY(fb_check_input_dtype(infer, GEMM_Y_SCALE, FB_MASK_SCALES, err));
    FB_TRY(fb_check_input_dtype(infer, GEMM_Y_ZERO, FB_MASK_CODES8, err));
    FB_TRY(fb_check_rank(infer, GEMM_A, 2, 2, err));
    FB_TRY(fb_check_rank(infer, GEMM_B, 2, 2, err));
    FB_TRY(fb_check_rank(infer, GEMM_C, 0, 2, err));
    if (quantized != fb_infer_has(infer, GEMM_Y_SCALE)) {
        return fb_error_set(err, FB_ERR_FORMAT, "QGemm has only one of the output's scale and zero point");
    }
    infer->outputs[0].dtype = quantized ? infer->inputs[GEMM_Y_ZERO].dtype : FB_DTYPE_F32;
    FB_TRY(fb_integer_stack(swapped(infer->inputs[GEMM_A].shape, p->transpose_a), swapped(infer->inputs[GEMM_B].shape, p->transpose_b), &stack, y,
                            err));
    return check_addend(infer, GEMM_C, y, err);
}

/* A floats for the product, then copies of the operands that are transposed. */
static size_t scratch_gemm(const FbCall *call)
{
    return (size_t)fb_tensor_elements(call->inputs[GEMM_A]) * (sizeof(float) + 1) + (size_t)fb_tensor_elements(call->inputs[GEMM_B]);
}

static FbTensor transposed(const FbTensor *from, uint8_t *to)
{
    FbTensor result = *from;
    const uint8_t *codes = from->data;
    int64_t rows = from->dims[0], cols = from->dims[1];
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t c = 0; c < cols; c++) {
            to[c * rows + r] = codes[r * cols + c];
        }
    }
    result.dims[0] = cols;
    result.dims[1] = rows;
    result.data = to;
    return result;
}

static FbStatus run_gemm(const FbCall *call, FbError *err)
{
    const QGemmParams *p = call->params;
    const FbTensor *const *in = call->inputs;
    FbTensor a = *in[GEMM_A], b = *in[GEMM_B];
    int64_t a_count = fb_tensor_elements(&a);
    uint8_t *copies = (uint8_t *)call->scratch + (size_t)a_count * sizeof(float);
    FB_TRY(fb_integer_check_count(in[GEMM_A + 1], 1, 1, "first scale", err));
    FB_TRY(fb_integer_check_count(in[GEMM_A + 2], 1, 1, "first zero point", err));
    FB_TRY(fb_integer_check_count(fb_call_input(call, GEMM_Y_SCALE), 1, 1, "output scale", err));
    FB_TRY(fb_integer_check_count(fb_call_input(call, GEMM_Y_ZERO), 1, 1, "output zero point", err));
    if (p->transpose_a) {
        a = transposed(in[GEMM_A], copies);
    }
    if (p->transpose_b) {
        b = transposed(in[GEMM_B], copies + a_count);
    }
    const FbTensor *y_zero = fb_call_input(call, GEMM_Y_ZERO);
    FbIntegerMatmul work = {.a = &a, .a_scale = in[GEMM_A + 1], .a_zero = in[GEMM_A + 2], .b = &b, .b_scale = in[GEMM_B + 1],
                            .b_zero = in[GEMM_B + 2], .c = fb_call_input(call, GEMM_C), .y_scale = fb_call_input(call, GEMM_Y_SCALE),
                            .y_zero = y_zero, .store = y_zero ? FB_STORE_CODES : FB_STORE_REALS, .alpha = p->alpha, .to = call->outputs[0]};
    return fb_integer_matmul_run(call->context, &work, call->scratch, err);
}

/* ---- MatMulIntegerToFloat ---- */

/* The bias, if there is one, has a number per column. */
static FbStatus check_bias(const FbInfer *infer, int input, const FbShape *y, FbError *err)
{
    const FbShape *bias = &infer->inputs[input].shape;
    FB_TRY(fb_check_input_dtype(infer, input, FB_MASK(FB_DTYPE_F32), err));
    FB_TRY(fb_check_rank(infer, input, 1, 1, err));
    if (fb_infer_has(infer, input) && bias->rank == 1 && y->rank > 0 && bias->dims[0] >= 0 && y->dims[y->rank - 1] >= 0 &&
        bias->dims[0] != y->dims[y->rank - 1]) {
        return fb_error_set(err, FB_ERR_FORMAT, "the bias holds %lld numbers for %lld columns", (long long)bias->dims[0],
                            (long long)y->dims[y->rank - 1]);
    }
    return FB_OK;
}

static FbStatus infer_to_float(FbInfer *infer, FbError *err)
{
    FbIntegerStack stack;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_CODES8, err));
    FB_TRY(fb_check_input_dtype(infer, 1, FB_MASK_CODES8, err));
    FB_TRY(fb_check_input_dtype(infer, 2, FB_MASK(FB_DTYPE_F32), err));
    FB_TRY(fb_check_input_dtype(infer, 3, FB_MASK(FB_DTYPE_F32), err));
    FB_TRY(fb_check_same_dtype(infer, 0, 4, err));
    FB_TRY(fb_check_same_dtype(infer, 1, 5, err));
    infer->outputs[0].dtype = FB_DTYPE_F32;
    FB_TRY(fb_integer_stack(infer->inputs[0].shape, infer->inputs[1].shape, &stack, &infer->outputs[0].shape, err));
    return check_bias(infer, 6, &infer->outputs[0].shape, err);
}

static size_t scratch_to_float(const FbCall *call) { return (size_t)fb_tensor_elements(call->inputs[0]) * sizeof(float); }

static FbStatus run_to_float(const FbCall *call, FbError *err)
{
    const FbTensor *const *in = call->inputs;
    FbIntegerMatmul work = {.a = in[0], .b = in[1], .a_scale = in[2], .b_scale = in[3], .a_zero = fb_call_input(call, 4),
                            .b_zero = fb_call_input(call, 5), .bias = fb_call_input(call, 6), .store = FB_STORE_REALS, .alpha = 1,
                            .to = call->outputs[0]};
    return fb_integer_matmul_run(call->context, &work, call->scratch, err);
}

/* ---- DynamicQuantizeMatMul ---- */

static FbStatus infer_dynamic(FbInfer *infer, FbError *err)
{
    FbIntegerStack stack;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK(FB_DTYPE_F32), err));
    FB_TRY(fb_check_input_dtype(infer, 1, FB_MASK_CODES8, err));
    FB_TRY(fb_check_input_dtype(infer, 2, FB_MASK(FB_DTYPE_F32), err));
    FB_TRY(fb_check_same_dtype(infer, 1, 3, err));
    infer->outputs[0].dtype = FB_DTYPE_F32;
    FB_TRY(fb_integer_stack(infer->inputs[0].shape, infer->inputs[1].shape, &stack, &infer->outputs[0].shape, err));
    return check_bias(infer, 4, &infer->outputs[0].shape, err);
}

static size_t scratch_dynamic(const FbCall *call) { return (size_t)fb_tensor_elements(call->inputs[0]) * (sizeof(float) + 1); }

static FbStatus run_dynamic(const FbCall *call, FbError *err)
{
    const FbTensor *x = call->inputs[0];
    size_t count = (size_t)fb_tensor_elements(x);
    float scale;
    uint8_t zero;
    FbTensor scale_tensor = {.dtype = FB_DTYPE_F32, .data = &scale, .bytes = sizeof scale};
    FbTensor zero_tensor = {.dtype = FB_DTYPE_U8, .data = &zero, .bytes = sizeof zero};
    FbTensor codes = *x;
    codes.dtype = FB_DTYPE_U8;
    codes.data = (float *)call->scratch + count;
    codes.bytes = count;
    fb_dynamic_range(call->context, x->data, count, &scale, &zero);
    FbQuantTensors t = {.from = x, .scale = &scale_tensor, .zero = &zero_tensor, .to = &codes};
    t.layout = fb_quant_layout(x, &scale_tensor, 1, 0);
    t.kernel = fb_grid_f32_pick(fb_context_cpu(call->context));
    t.grid = fb_grid_of_dtype(FB_DTYPE_U8);
    fb_quant_all(call->context, &t, FB_QUANT_TO_CODES);
    FbIntegerMatmul work = {.a = &codes, .b = call->inputs[1], .a_scale = &scale_tensor, .a_zero = &zero_tensor, .b_scale = call->inputs[2],
                            .b_zero = fb_call_input(call, 3), .bias = fb_call_input(call, 4), .store = FB_STORE_REALS, .alpha = 1,
                            .to = call->outputs[0]};
    return fb_integer_matmul_run(call->context, &work, call->scratch, err);
}

static const char *const gemm_names[] = {"alpha", "transA", "transB", NULL};

static const FbOp rows[] = {
    {.domain = "com.microsoft", .name = "DynamicQuantizeMatMul", .summary = "matrix product with codes, of reals quantized over their own range",
     .since = 1, .newest = 1, .min_inputs = 3, .max_inputs = 5, .min_outputs = 1, .max_outputs = 1, .infer = infer_dynamic,
     .scratch = scratch_dynamic, .run = run_dynamic},
    {.domain = "com.microsoft", .name = "MatMulIntegerToFloat", .summary = "matrix product of 8-bit codes, scaled to reals", .since = 1,
     .newest = 1, .min_inputs = 4, .max_inputs = 7, .min_outputs = 1, .max_outputs = 1, .infer = infer_to_float, .scratch = scratch_to_float,
     .run = run_to_float},
    {.domain = "com.microsoft", .name = "QGemm", .summary = "alpha A B + C of quantized matrices", .since = 1, .newest = 1, .min_inputs = 6,
     .max_inputs = 9, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(QGemmParams), .decode = decode_gemm, .infer = infer_gemm,
     .scratch = scratch_gemm, .run = run_gemm, .attributes = gemm_names},
};

const FbOpFamily fb_ops_quantized_matmul = {rows, sizeof rows / sizeof rows[0]};
