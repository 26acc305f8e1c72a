/* DynamicQuantizeLSTM, which ONNX Runtime's tools write in domain com.microsoft: an LSTM with 8-bit weights. x is quantized to u8 over the
 * range of all of it, h at every step over the range of its own row (one sequence: the result does not depend on the others); sums are
 * exact integers, gates and states float. */
#include "ops/check.h"
#include "ops/recurrent.h"

enum { FIRST_SCALE = 8 };

/* Input 0 to 7 are LSTM's, with weights [directions, depth, 4 * hidden]; then scale and zero point of W and of R, per direction or column. */
static FbStatus infer_dynamic(FbInfer *infer, FbError *err)
{
    const FbRecurrentParams *p = infer->params;
    for (int i = 0; i < FIRST_SCALE; i++) {
        bool codes = i == 1 || i == 2;
        FbDtypeMask wanted = codes ? FB_MASK(FB_DTYPE_S8) | FB_MASK(FB_DTYPE_U8) : FB_MASK(i == 4 ? FB_DTYPE_S32 : FB_DTYPE_F32);
        FB_TRY(fb_check_input_dtype(infer, i, wanted, err));
    }
    for (int i = FIRST_SCALE; i < FB_RECURRENT_INPUTS; i++) {
        int weight = i < FIRST_SCALE + 2 ? 1 : 2;
        if (!fb_infer_has(infer, i)) {
            if (i % 2 == 0) {
                return fb_error_set(err, FB_ERR_FORMAT, "%s lacks its required input %d, a scale", infer->node->op_type, i);
            }
            continue;
        }
        FB_TRY(fb_check_input_dtype(infer, i, FB_MASK(i % 2 == 0 ? FB_DTYPE_F32 : infer->inputs[weight].dtype), err));
        const FbShape *shape = &infer->inputs[i].shape;
        FB_TRY(fb_check_rank(infer, i, 1, 2, err));
        for (int d = 0; d < shape->rank; d++) {
            int64_t expected = d == 0 ? p->directions : p->gates * p->hidden;
            if (shape->dims[d] >= 0 && shape->dims[d] != expected) {
                return fb_error_set(err, FB_ERR_FORMAT, "dimension %d of input %d of %s is %lld, expected %lld", d, i, infer->node->op_type,
                                    (long long)shape->dims[d], (long long)expected);
            }
        }
    }
    return fb_recurrent_infer(infer, true, err);
}

void fb_coded_matrix(FbCodedMatrix *matrix, const FbTensor *weight, const FbTensor *scale, const FbTensor *zero, int d, FbCodedColumns columns)
{
    size_t depth = (size_t)weight->dims[1], cols = (size_t)weight->dims[2], scales = scale->rank == 2 ? cols : 1;
    size_t zeros = zero && zero->rank == 2 ? cols : 1;
    bool any = false;
    *matrix = (FbCodedMatrix){.depth = depth, .cols = cols, .scale = columns.scale, .column_sum = columns.sum};
    matrix->plain = (const uint8_t *)weight->data + (size_t)d * depth * cols;
    matrix->flip = weight->dtype == FB_DTYPE_U8 ? 0x80 : 0;
    for (size_t c = 0; c < cols; c++) {
        uint8_t code = zero ? ((const uint8_t *)zero->data)[(size_t)d * zeros + c % zeros] : 0;
        columns.scale[c] = ((const float *)scale->data)[(size_t)d * scales + c % scales];
        const int32_t bits = code ^ matrix->flip;
        columns.zero[c] = bits < 128 ? bits : bits - 256;
        columns.sum[c] = 0;
        any = any || columns.zero[c] != 0;
    }
    for (size_t k = 0; k < depth; k++) {
        for (size_t c = 0; c < cols; c++) {
            columns.sum[c] += (int8_t)(matrix->plain[k * cols + c] ^ matrix->flip);
        }
    }
    matrix->zero = any ? columns.zero : NULL;
}

/* ---- run with weights that are computed by the graph ---- */

size_t fb_coded_columns_count(const FbRecurrentParams *p) { return 3 * (size_t)(p->gates * p->hidden); }

static size_t scratch_dynamic(const FbCall *call)
{
    const FbRecurrentParams *p = call->params;
    const FbRecurrentCodes codes = {0};
    const FbRecurrentProducts products = {.codes = &codes};
    return (2 * (size_t)p->directions * fb_coded_columns_count(p) + fb_recurrent_work_count(&products, p, call->inputs[0])) * sizeof(float);
}

FbCodedColumns fb_coded_columns(const FbRecurrentParams *p, float **work)
{
    size_t width = (size_t)(p->gates * p->hidden);
    FbCodedColumns columns = {.scale = *work, .zero = (int32_t *)(void *)(*work + width), .sum = (int32_t *)(void *)(*work + 2 * width)};
    *work += fb_coded_columns_count(p);
    return columns;
}

static FbStatus run_dynamic(const FbCall *call, FbError *err)
{
    const FbRecurrentParams *p = call->params;
    const FbTensor *const *in = call->inputs;
    FbRecurrentCodes codes = {0};
    float *work = call->scratch;
    fb_recurrent_codes_tools(call->context, &codes);
    for (int d = 0; d < p->directions; d++) {
        fb_coded_matrix(&codes.w[d], in[1], in[8], fb_call_input(call, 9), d, fb_coded_columns(p, &work));
        fb_coded_matrix(&codes.r[d], in[2], in[10], fb_call_input(call, 11), d, fb_coded_columns(p, &work));
    }
    return fb_recurrent_run(call, &(FbRecurrentProducts){.codes = &codes}, work, err);
}

static const char *const attributes[] = {"activation_alpha", "activation_beta", "activations", "clip", "direction", "hidden_size", "input_forget",
                                         NULL};

/* Integers whatever the mode: the codes are the operator's own. */
static const FbOp rows[] = {
    {.domain = "com.microsoft", .name = "DynamicQuantizeLSTM", .summary = "a long short-term memory layer with 8-bit weights, of reals quantized over their own range",
     .since = 1, .newest = 1, .min_inputs = 3, .max_inputs = FB_RECURRENT_INPUTS, .min_outputs = 0, .max_outputs = 3,
     .params_bytes = sizeof(FbRecurrentParams), .attributes = attributes, .decode = fb_recurrent_decode, .infer = infer_dynamic,
     .scratch = scratch_dynamic, .run = run_dynamic, .lowering = &fb_recurrent_dynamic_lowering,
     .integer = &fb_recurrent_dynamic_lowering},
};
const FbOpFamily fb_ops_recurrent_dynamic = {rows, sizeof rows / sizeof rows[0]};
