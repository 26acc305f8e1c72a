/* MatMulNBits (domain com.microsoft): a product with weights of 2, 4 or 8 bits, a scale and a zero point per block of columns of B's rows. Weights
 * are decoded a panel at a time. Source: ONNX Runtime, ContribOperators.md. */
#include "ops/attribute.h"
#include "ops/check.h"
#include "ops/dense.h"

enum { IN_A = 0, IN_B, IN_SCALES, IN_ZEROS, IN_GROUPS, IN_BIAS };

typedef struct NbitsParams { int64_t k, n, bits, block, blocks, row_bytes, zero_bytes; } NbitsParams;

static FbStatus decode_nbits(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    NbitsParams *p = params;
    int64_t accuracy, prepacked;
    (void)arena;
    FB_TRY(fb_attr_required_int(node, "K", &p->k, err));
    FB_TRY(fb_attr_required_int(node, "N", &p->n, err));
    FB_TRY(fb_attr_int(node, "bits", 4, &p->bits, err));
    FB_TRY(fb_attr_required_int(node, "block_size", &p->block, err));
    FB_TRY(fb_attr_int(node, "accuracy_level", 0, &accuracy, err)); /* always float here, which is at least as accurate */
    FB_TRY(fb_attr_int(node, "weight_prepacked", 0, &prepacked, err));
    if (p->k < 1 || p->n < 1 || p->k > INT32_MAX || p->n > INT32_MAX) {
        return fb_error_set(err, FB_ERR_FORMAT, "attributes 'K' and 'N' are %lld and %lld", (long long)p->k, (long long)p->n);
    }
    if (p->bits != 2 && p->bits != 4 && p->bits != 8) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "attribute 'bits' is %lld, expected 2, 4 or 8", (long long)p->bits);
    }
    if (p->block < 16 || p->block > 1 << 20 || (p->block & (p->block - 1)) != 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'block_size' is %lld, expected a power of two from 16 on", (long long)p->block);
    }
    if (prepacked != 0) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "attribute 'weight_prepacked' is %lld: only plain weights are read", (long long)prepacked);
    }
    p->blocks = (p->k + p->block - 1) / p->block;
    p->row_bytes = p->blocks * (p->block * p->bits / 8);
    p->zero_bytes = (p->blocks * p->bits + 7) / 8;
    return FB_OK;
}

/* Input i, if there and of known shape, holds as many elements; files of different ages write them in one, two or three axes. */
static FbStatus check_elements(const FbInfer *infer, int i, int64_t expected, FbError *err)
{
    int64_t have = fb_infer_has(infer, i) ? fb_shape_elements(&infer->inputs[i].shape) : -1;
    if (have >= 0 && have != expected) {
        return fb_error_set(err, FB_ERR_FORMAT, "input %d of MatMulNBits holds %lld elements, expected %lld", i, (long long)have,
                            (long long)expected);
    }
    return FB_OK;
}

static FbStatus infer_nbits(FbInfer *infer, FbError *err)
{
    const NbitsParams *p = infer->params;
    const FbShape *a = &infer->inputs[IN_A].shape;
    const FbDtypeMask real = FB_MASK(FB_DTYPE_F32);
    FB_TRY(fb_check_input_dtype(infer, IN_A, real, err));
    FB_TRY(fb_check_input_dtype(infer, IN_B, FB_MASK(FB_DTYPE_U8), err));
    FB_TRY(fb_check_input_dtype(infer, IN_SCALES, real, err));
    FB_TRY(fb_check_input_dtype(infer, IN_ZEROS, real | FB_MASK(FB_DTYPE_U8), err));
    FB_TRY(fb_check_input_dtype(infer, IN_GROUPS, FB_MASK(FB_DTYPE_S32), err));
    FB_TRY(fb_check_input_dtype(infer, IN_BIAS, real, err));
    FB_TRY(fb_check_rank(infer, IN_A, 1, FB_RANK_MAX, err));
    FB_TRY(check_elements(infer, IN_B, p->n * p->row_bytes, err));
    FB_TRY(check_elements(infer, IN_SCALES, p->n * p->blocks, err));
    if (fb_infer_has(infer, IN_ZEROS) && infer->inputs[IN_ZEROS].dtype != FB_DTYPE_NONE) {
        FB_TRY(check_elements(infer, IN_ZEROS, p->n * (infer->inputs[IN_ZEROS].dtype == FB_DTYPE_U8 ? p->zero_bytes : p->blocks), err));
    }
    FB_TRY(check_elements(infer, IN_BIAS, p->n, err));
    if (fb_infer_has(infer, IN_GROUPS)) {
        int64_t groups = fb_shape_elements(&infer->inputs[IN_GROUPS].shape);
        if (groups >= 0 && groups < p->k) {
            return fb_error_set(err, FB_ERR_FORMAT, "g_idx holds %lld numbers for %lld columns", (long long)groups, (long long)p->k);
        }
    }
    infer->outputs[0].dtype = FB_DTYPE_F32;
    infer->outputs[0].shape = *a;
    if (a->rank > 0) {
        if (a->dims[a->rank - 1] >= 0 && a->dims[a->rank - 1] != p->k) {
            return fb_error_set(err, FB_ERR_FORMAT, "the last axis of the input is %lld, attribute 'K' %lld", (long long)a->dims[a->rank - 1],
                                (long long)p->k);
        }
        infer->outputs[0].shape.dims[a->rank - 1] = p->n;
    }
    return FB_OK;
}

typedef struct NbitsWork {
    const NbitsParams *params;
    const uint8_t *codes, *zero_codes;  /* zero_codes, zeros: NULL when absent */
    const float *scales, *zeros;
    FbDense dense;
    float *panels;                      /* per slot: [K][col_tile] */
} NbitsWork;

static unsigned code_at(const uint8_t *row, int64_t i, int64_t bits)
{
    int64_t per_byte = 8 / bits;
    return (unsigned)row[i / per_byte] >> (i % per_byte * bits) & ((1u << bits) - 1);
}

/* Row `n` of B as column `column` of a panel. */
static void decode_row(const NbitsWork *w, int64_t n, float *panel, size_t column)
{
    const NbitsParams *p = w->params;
    size_t width = w->dense.kernel->col_tile;
    const uint8_t *row = w->codes + n * p->row_bytes;
    for (int64_t block = 0; block < p->blocks; block++) {
        float scale = w->scales[n * p->blocks + block], zero = (float)(1 << (p->bits - 1));
        int64_t first = block * p->block, end = first + p->block < p->k ? first + p->block : p->k;
        if (w->zero_codes) {
            zero = (float)code_at(w->zero_codes + n * p->zero_bytes, block, p->bits);
        } else if (w->zeros) {
            zero = w->zeros[n * p->blocks + block];
        }
        for (int64_t k = first; k < end; k++) {
            panel[(size_t)k * width + column] = ((float)code_at(row, k, p->bits) - zero) * scale;
        }
    }
}

static void panel_task(void *arg, size_t slot, size_t begin, size_t end)
{
    const NbitsWork *w = arg;
    size_t width = w->dense.kernel->col_tile, depth = w->dense.depth;
    float *panel = w->panels + slot * width * depth;
    for (size_t i = begin; i < end; i++) {
        size_t first = i * width, cols = w->dense.cols - first < width ? w->dense.cols - first : width;
        if (cols < width) {
            memset(panel, 0, width * depth * sizeof *panel);
        }
        for (size_t c = 0; c < cols; c++) {
            decode_row(w, (int64_t)(first + c), panel, c);
        }
        fb_dense_panel_f32(&w->dense, first, panel);
    }
}

static size_t scratch_nbits(const FbCall *call)
{
    const NbitsParams *p = call->params;
    const FbProductF32Kernel *kernel = fb_product_f32_pick(fb_context_cpu(call->context));
    return (size_t)fb_context_threads(call->context) * kernel->col_tile * (size_t)p->k * sizeof(float);
}

static FbStatus run_nbits(const FbCall *call, FbError *err)
{
    const NbitsParams *p = call->params;
    const FbTensor *a = call->inputs[IN_A], *zeros = fb_call_input(call, IN_ZEROS), *groups = fb_call_input(call, IN_GROUPS);
    const FbTensor *bias = fb_call_input(call, IN_BIAS);
    for (int64_t k = 0; groups && k < p->k; k++) {
        if (((const int32_t *)groups->data)[k] != k / p->block) {
            return fb_error_set(err, FB_ERR_UNSUPPORTED, "g_idx puts column %lld into group %d: blocks in another order are not read",
                                (long long)k, ((const int32_t *)groups->data)[k]);
        }
    }
    NbitsWork w = {.params = p, .codes = call->inputs[IN_B]->data, .scales = call->inputs[IN_SCALES]->data, .panels = call->scratch};
    if (zeros) {
        w.zero_codes = zeros->dtype == FB_DTYPE_U8 ? zeros->data : NULL;
        w.zeros = zeros->dtype == FB_DTYPE_U8 ? NULL : zeros->data;
    }
    w.dense = (FbDense){.kernel = fb_product_f32_pick(fb_context_cpu(call->context)), .a = a->data, .depth = (size_t)p->k, .cols = (size_t)p->n,
                        .rows = (size_t)(fb_tensor_elements(a) / p->k), .bias = bias ? bias->data : NULL, .c = call->outputs[0]->data,
                        .c_stride = (size_t)p->n};
    size_t width = w.dense.kernel->col_tile;
    if (w.dense.rows > 0) {
        fb_parallel(call->context, panel_task, &w, (w.dense.cols + width - 1) / width, 1);
    }
    return fb_check_cancel(call->context, err);
}

static const char *const names[] = {"K", "N", "accuracy_level", "bits", "block_size", "weight_prepacked", NULL};

static const FbOp rows[] = {
    {.domain = "com.microsoft", .name = "MatMulNBits", .summary = "matrix product with weights of 2, 4 or 8 bits in blocks", .since = 1, .newest = 1,
     .min_inputs = 3, .max_inputs = 6, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(NbitsParams), .decode = decode_nbits,
     .infer = infer_nbits, .scratch = scratch_nbits, .run = run_nbits, .attributes = names},
};

const FbOpFamily fb_ops_matmul_nbits = {rows, sizeof rows / sizeof rows[0]};
