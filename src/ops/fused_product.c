/* Products with something fused onto them, as ONNX Runtime's optimizer writes them in domain com.microsoft: FusedConv, FusedGemm, FusedMatMul. */
#include "ops/attribute.h"
#include "ops/check.h"
#include "ops/conv.h"
#include "ops/fused_activation.h"
#include "ops/matmul.h"

/* ---- FusedConv: activation(Conv(x, w, bias) + z) ---- */

typedef struct FusedConvParams {
    FbConvParams conv; /* first: Conv's functions read it */
    FbFusedActivation activation;
} FusedConvParams;

static FbStatus decode_conv(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    FusedConvParams *p = params;
    const char *name;
    const float *numbers;
    size_t count;
    FB_TRY(fb_conv_decode(node, arena, &p->conv, err));
    FB_TRY(fb_attr_string(node, "activation", "", &name, err));
    FB_TRY(fb_attr_floats(node, "activation_params", &numbers, &count, err));
    return fb_fused_activation_decode(name, numbers, count, &p->activation, err);
}

static FbStatus infer_conv(FbInfer *infer, FbError *err)
{
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK(FB_DTYPE_F32), err));
    FB_TRY(fb_conv_infer(infer, err));
    FB_TRY(fb_check_same_dtype(infer, 0, 3, err));
    if (!fb_infer_has(infer, 3)) {
        return FB_OK;
    }
    const FbShape *y = &infer->outputs[0].shape, *z = &infer->inputs[3].shape;
    for (int i = 0; y->rank >= 0 && i < z->rank; i++) {
        if (z->rank != y->rank || (z->dims[i] >= 0 && y->dims[i] >= 0 && z->dims[i] != y->dims[i])) {
            return fb_error_set(err, FB_ERR_FORMAT, "the tensor that is added has another shape than the convolution");
        }
    }
    return FB_OK;
}

typedef struct AddWork {
    const float *from;
    float *to;
} AddWork;

static void add_task(void *arg, size_t slot, size_t begin, size_t end)
{
    const AddWork *work = arg;
    (void)slot;
    for (size_t i = begin; i < end; i++) {
        work->to[i] += work->from[i];
    }
}

static FbStatus run_conv(const FbCall *call, FbError *err)
{
    const FusedConvParams *p = call->params;
    FbTensor *y = call->outputs[0];
    const FbTensor *z = fb_call_input(call, 3);
    size_t count = (size_t)fb_tensor_elements(y);
    FB_TRY(fb_conv_run(call, err));
    if (z) {
        AddWork work = {z->data, y->data};
        fb_parallel(call->context, add_task, &work, count, 16384);
    }
    fb_fused_activation_apply(call->context, &p->activation, y->data, count);
    return FB_OK;
}

/* ---- FusedGemm ---- */

typedef struct FusedGemmParams {
    FbMatmulParams gemm; /* first: Gemm's functions read it */
    FbFusedActivation activation;
} FusedGemmParams;

static FbStatus decode_gemm(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    static const char *const numbers[] = {"activation_alpha", "activation_beta"};
    FusedGemmParams *p = params;
    const char *name;
    float values[2];
    size_t count = 0;
    FB_TRY(fb_gemm_decode(node, arena, &p->gemm, err));
    FB_TRY(fb_attr_string(node, "activation", "", &name, err));
    while (count < 2 && fb_node_attribute(node, numbers[count])) {
        FB_TRY(fb_attr_float(node, numbers[count], 0, &values[count], err));
        count++;
    }
    return fb_fused_activation_decode(name, values, count, &p->activation, err);
}

static FbStatus infer_gemm(FbInfer *infer, FbError *err)
{
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK(FB_DTYPE_F32), err));
    return fb_gemm_infer(infer, err);
}

static FbStatus run_gemm(const FbCall *call, FbError *err)
{
    const FusedGemmParams *p = call->params;
    FbTensor *y = call->outputs[0];
    FB_TRY(fb_matmul_run(call, err));
    fb_fused_activation_apply(call->context, &p->activation, y->data, (size_t)fb_tensor_elements(y));
    return FB_OK;
}

/* ---- FusedMatMul: alpha A B with either transposed ---- */

typedef struct FusedMatmulParams {
    FbMatmulParams matmul; /* transposes of the last two axes, alpha */
    bool batch_a, batch_b; /* axis 0 comes behind the batch axes 1 .. rank - 2 */
} FusedMatmulParams;

static FbStatus decode_matmul(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    FusedMatmulParams *p = params;
    (void)arena;
    p->matmul = (FbMatmulParams){.gemm = true, .alpha = 1, .beta = 1};
    FB_TRY(fb_attr_bool(node, "transA", false, &p->matmul.transpose_a, err));
    FB_TRY(fb_attr_bool(node, "transB", false, &p->matmul.transpose_b, err));
    FB_TRY(fb_attr_bool(node, "transBatchA", false, &p->batch_a, err));
    FB_TRY(fb_attr_bool(node, "transBatchB", false, &p->batch_b, err));
    return fb_attr_float(node, "alpha", 1.0f, &p->matmul.alpha, err);
}

/* The operand as numpy.matmul would have it: with axes moved, dims and strides in elements. */
typedef struct Operand {
    int rank;
    int64_t dims[FB_RANK_MAX], strides[FB_RANK_MAX];
} Operand;

static Operand operand_of(const int64_t *dims, int rank, bool transpose, bool batch)
{
    Operand o = {.rank = rank};
    int64_t stride = 1;
    int order[FB_RANK_MAX];
    for (int i = 0; i < rank; i++) {
        order[i] = batch && i < rank - 1 ? (i == rank - 2 ? 0 : i + 1) : i;
    }
    if (transpose && rank > 1) {
        int last = order[rank - 1];
        order[rank - 1] = order[rank - 2];
        order[rank - 2] = last;
    }
    int64_t strides[FB_RANK_MAX];
    for (int i = rank - 1; i >= 0; i--) {
        strides[i] = stride;
        stride = (int64_t)((uint64_t)stride * (uint64_t)dims[i]); /* dims may be unknown when only their order matters */
    }
    for (int i = 0; i < rank; i++) {
        o.dims[i] = dims[order[i]];
        o.strides[i] = strides[order[i]];
    }
    return o;
}

static FbStatus infer_matmul(FbInfer *infer, FbError *err)
{
    const FusedMatmulParams *p = infer->params;
    FbType inputs[2] = {infer->inputs[0], infer->inputs[1]};
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK(FB_DTYPE_F32) | FB_MASK(FB_DTYPE_F64), err));
    for (int i = 0; i < 2; i++) {
        FbShape *shape = &inputs[i].shape;
        bool batch = i ? p->batch_b : p->batch_a;
        if (shape->rank >= 0) {
            if (batch && shape->rank < 2) {
                return fb_error_set(err, FB_ERR_FORMAT, "an operand of rank %d has no batch axes to move", shape->rank);
            }
            Operand o = operand_of(shape->dims, shape->rank, i ? p->matmul.transpose_b : p->matmul.transpose_a, batch);
            memcpy(shape->dims, o.dims, sizeof shape->dims);
        }
    }
    FbInfer moved = *infer;
    moved.inputs = inputs;
    return fb_matmul_infer(&moved, err);
}

/* Strides instead of copies: the plain product takes any. */
static FbMatmul shape_of(const FusedMatmulParams *p, const FbTensor *a, const FbTensor *b)
{
    Operand left = operand_of(a->dims, a->rank, p->matmul.transpose_a, p->batch_a);
    Operand right = operand_of(b->dims, b->rank, p->matmul.transpose_b, p->batch_b);
    FbMatmulParams plain = {.alpha = 1, .beta = 1};
    FbMatmul m = fb_matmul_of(&plain, left.rank, left.dims, right.rank, right.dims);
    int a_batch = left.rank > 2 ? left.rank - 2 : 0, b_batch = right.rank > 2 ? right.rank - 2 : 0;
    m.a_depth = left.strides[left.rank - 1];
    m.a_row = left.rank > 1 ? left.strides[left.rank - 2] : 0;
    m.b_depth = right.rank > 1 ? right.strides[right.rank - 2] : right.strides[0];
    m.b_col = right.rank > 1 ? right.strides[right.rank - 1] : 0;
    for (int i = 1; i <= m.batch_rank; i++) {
        m.a_batch[m.batch_rank - i] = i <= a_batch && left.dims[a_batch - i] != 1 ? left.strides[a_batch - i] : 0;
        m.b_batch[m.batch_rank - i] = i <= b_batch && right.dims[b_batch - i] != 1 ? right.strides[b_batch - i] : 0;
    }
    return m;
}

static FbStatus run_matmul(const FbCall *call, FbError *err)
{
    const FusedMatmulParams *p = call->params;
    FbMatmul shape = shape_of(p, call->inputs[0], call->inputs[1]);
    return fb_matmul_run_shape(call, &p->matmul, &shape, err);
}

/* Without the rarer transposes it is the lowered MatMul with a factor. */
static bool accepts_matmul(const FbPrepare *prepare)
{
    const FusedMatmulParams *p = prepare->params;
    return !p->batch_a && !p->batch_b && !p->matmul.transpose_a && fb_matmul_lowering.accepts(prepare);
}

static FbStatus prepare_matmul(const FbPrepare *prepare, void **state, FbError *err) { return fb_matmul_lowering.prepare(prepare, state, err); }
static FbStatus bind_matmul(FbBind *bind, FbError *err) { return fb_matmul_lowering.bind(bind, err); }
static FbStatus run_lowered_matmul(const FbCall *call, FbError *err) { return fb_matmul_lowering.run(call, err); }
static uint64_t macs_matmul(const FbCall *call) { return fb_matmul_lowering.macs(call); }

static const char *kernel_matmul(const void *state) { return fb_matmul_lowering.kernel(state); }

static const FbLowering matmul_lowering = {.name = "matmul", .accepts = accepts_matmul, .prepare = prepare_matmul, .bind = bind_matmul,
                                           .run = run_lowered_matmul, .macs = macs_matmul, .kernel = kernel_matmul};

static const char *const conv_names[] = {"activation", "activation_params", "auto_pad", "dilations", "group",
                                         "kernel_shape", "pads", "strides", NULL};
static const char *const gemm_names[] = {"activation", "activation_alpha", "activation_beta", "activation_gamma", "alpha",
                                         "beta", "transA", "transB", NULL};
static const char *const matmul_names[] = {"alpha", "transA", "transB", "transBatchA", "transBatchB", NULL};

static const FbOp rows[] = {
    {.domain = "com.microsoft", .name = "FusedConv", .summary = "convolution, a tensor added, an activation", .since = 1, .newest = 1,
     .min_inputs = 2, .max_inputs = 4, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(FusedConvParams), .decode = decode_conv,
     .infer = infer_conv, .scratch = fb_conv_scratch, .run = run_conv, .attributes = conv_names},
    {.domain = "com.microsoft", .name = "FusedGemm", .summary = "alpha A B + beta C and an activation", .since = 1, .newest = 1,
     .min_inputs = 2, .max_inputs = 3, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(FusedGemmParams), .decode = decode_gemm,
     .infer = infer_gemm, .scratch = fb_matmul_scratch, .run = run_gemm, .attributes = gemm_names},
    {.domain = "com.microsoft", .name = "FusedMatMul", .summary = "alpha A B, with transposes", .since = 1, .newest = 1, .min_inputs = 2,
     .max_inputs = 2, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(FusedMatmulParams), .decode = decode_matmul,
     .infer = infer_matmul, .scratch = fb_matmul_scratch, .run = run_matmul, .lowering = &matmul_lowering, .attributes = matmul_names},
};

const FbOpFamily fb_ops_fused_product = {rows, sizeof rows / sizeof rows[0]};
