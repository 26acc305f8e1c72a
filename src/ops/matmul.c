/* MatMul and Gemm: attributes, shapes, and the plain product in any numeric type. */
#include "ops/matmul.h"

#include <math.h>

#include "ops/attribute.h"
#include "ops/check.h"
#include "ops/elements.h"

static FbStatus matmul_decode(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)node;
    (void)arena;
    (void)err;
    *(FbMatmulParams *)params = (FbMatmulParams){false, false, false, 1.0f, 1.0f};
    return FB_OK;
}

FbStatus fb_gemm_decode(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    FbMatmulParams *p = params;
    (void)arena;
    p->gemm = true;
    FB_TRY(fb_attr_bool(node, "transA", false, &p->transpose_a, err));
    FB_TRY(fb_attr_bool(node, "transB", false, &p->transpose_b, err));
    FB_TRY(fb_attr_float(node, "alpha", 1.0f, &p->alpha, err));
    return fb_attr_float(node, "beta", 1.0f, &p->beta, err);
}

static FbStatus check_depth(int64_t a, int64_t b, FbError *err)
{
    if (a >= 0 && b >= 0 && a != b) {
        return fb_error_set(err, FB_ERR_FORMAT, "the first matrix has %lld columns, the second %lld rows", (long long)a, (long long)b);
    }
    return FB_OK;
}

FbStatus fb_matmul_infer(FbInfer *infer, FbError *err)
{
    const FbShape *a = &infer->inputs[0].shape, *b = &infer->inputs[1].shape;
    FbShape *y = &infer->outputs[0].shape;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_NUMBERS, err));
    FB_TRY(fb_check_same_dtype(infer, 0, 1, err));
    FB_TRY(fb_check_rank(infer, 0, 1, FB_RANK_MAX, err));
    FB_TRY(fb_check_rank(infer, 1, 1, FB_RANK_MAX, err));
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    y->rank = -1;
    if (a->rank < 0 || b->rank < 0) {
        return FB_OK;
    }
    FB_TRY(check_depth(a->dims[a->rank - 1], b->dims[b->rank == 1 ? 0 : b->rank - 2], err));
    FbShape left = *a, right = *b;
    left.rank = a->rank > 2 ? a->rank - 2 : 0;
    right.rank = b->rank > 2 ? b->rank - 2 : 0;
    FB_TRY(fb_shape_broadcast(&left, &right, y, err));
    if (y->rank + 2 > FB_RANK_MAX && a->rank > 1 && b->rank > 1) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "the product has more than %d dimensions", FB_RANK_MAX);
    }
    if (a->rank > 1) {
        y->dims[y->rank++] = a->dims[a->rank - 2];
    }
    if (b->rank > 1) {
        y->dims[y->rank++] = b->dims[b->rank - 1];
    }
    return FB_OK;
}

FbStatus fb_gemm_infer(FbInfer *infer, FbError *err)
{
    const FbMatmulParams *p = infer->params;
    const FbShape *a = &infer->inputs[0].shape, *b = &infer->inputs[1].shape;
    FbShape *y = &infer->outputs[0].shape;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_NUMBERS, err));
    FB_TRY(fb_check_same_dtype(infer, 0, 1, err));
    FB_TRY(fb_check_rank(infer, 0, 2, 2, err));
    FB_TRY(fb_check_rank(infer, 1, 2, 2, err));
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    *y = (FbShape){2, {FB_DIM_UNKNOWN, FB_DIM_UNKNOWN}};
    if (a->rank == 2) {
        y->dims[0] = a->dims[p->transpose_a ? 1 : 0];
    }
    if (b->rank == 2) {
        y->dims[1] = b->dims[p->transpose_b ? 0 : 1];
    }
    if (a->rank == 2 && b->rank == 2) {
        FB_TRY(check_depth(a->dims[p->transpose_a ? 0 : 1], b->dims[p->transpose_b ? 1 : 0], err));
    }
    if (fb_infer_has(infer, 2)) {
        const FbShape *c = &infer->inputs[2].shape;
        FB_TRY(fb_check_same_dtype(infer, 0, 2, err));
        for (int i = 0; i < c->rank; i++) {
            const int64_t have = c->dims[c->rank - 1 - i], want = i < 2 ? y->dims[1 - i] : 1;
            if (i > 1 || (have >= 0 && have != 1 && want >= 0 && have != want)) {
                return fb_error_set(err, FB_ERR_FORMAT, "the third input cannot be broadcast to the product's shape");
            }
        }
    }
    return FB_OK;
}

FbMatmul fb_matmul_of(const FbMatmulParams *params, int a_rank, const int64_t *a, int b_rank, const int64_t *b)
{
    FbMatmul p = {.batches = 1, .b_batches = 1};
    const bool ta = params->transpose_a, tb = params->transpose_b;
    p.k = a[ta ? a_rank - 2 : a_rank - 1];
    p.m = a_rank == 1 ? 1 : a[ta ? a_rank - 1 : a_rank - 2];
    p.n = b_rank == 1 ? 1 : b[tb ? b_rank - 2 : b_rank - 1];
    p.a_row = ta ? 1 : p.k;
    p.a_depth = ta ? p.m : 1;
    p.b_depth = tb ? 1 : p.n;
    p.b_col = tb ? p.k : 1;
    const int a_batch = a_rank > 2 ? a_rank - 2 : 0, b_batch = b_rank > 2 ? b_rank - 2 : 0;
    p.batch_rank = a_batch > b_batch ? a_batch : b_batch;
    int64_t a_stride = p.m * p.k, b_stride = p.k * p.n;
    for (int i = 1; i <= p.batch_rank; i++) {
        const int64_t have_a = i <= a_batch ? a[a_batch - i] : 1, have_b = i <= b_batch ? b[b_batch - i] : 1;
        const int at = p.batch_rank - i;
        p.batch[at] = have_a == 1 ? have_b : have_a;
        p.a_batch[at] = have_a == 1 ? 0 : a_stride;
        p.b_batch[at] = have_b == 1 ? 0 : b_stride;
        a_stride *= have_a;
        b_stride *= have_b;
        p.batches *= p.batch[at];
        p.b_batches *= have_b;
    }
    return p;
}

void fb_matmul_offsets(const FbMatmul *matmul, int64_t index, int64_t *a, int64_t *b)
{
    *a = *b = 0;
    for (int i = matmul->batch_rank - 1; i >= 0; i--) {
        *a += index % matmul->batch[i] * matmul->a_batch[i];
        *b += index % matmul->batch[i] * matmul->b_batch[i];
        index /= matmul->batch[i];
    }
}

/* The plain product on work types; `c` with its strides is Gemm's third input. */
typedef struct PlainProduct {
    FbMatmul shape;
    FbWork work;
    const void *a, *b;      /* in work types */
    const FbTensor *c;
    int64_t c_row, c_col;
    const FbMatmulParams *params;
    FbTensor *y;
} PlainProduct;

static void plain_f32(const PlainProduct *p, int64_t a_at, int64_t b_at, int64_t m, int64_t n, int64_t y_at)
{
    const float *a = p->a, *b = p->b;
    float sum = 0;
    for (int64_t k = 0; k < p->shape.k; k++) {
        const float w = b[b_at + k * p->shape.b_depth + n * p->shape.b_col];
        sum = fmaf(a[a_at + k * p->shape.a_depth], p->params->gemm ? p->params->alpha * w : w, sum);
    }
    if (p->c) {
        float c;
        fb_work_load(p->c->dtype, p->c->data, m * p->c_row + n * p->c_col, 1, FB_WORK_F32, &c, 1);
        sum = sum + p->params->beta * c;
    }
    fb_work_store(p->y->dtype, p->y->data, y_at, FB_WORK_F32, &sum, 1);
}

static void plain_f64(const PlainProduct *p, int64_t a_at, int64_t b_at, int64_t m, int64_t n, int64_t y_at)
{
    const double *a = p->a, *b = p->b;
    double sum = 0;
    for (int64_t k = 0; k < p->shape.k; k++) {
        sum = fma(a[a_at + k * p->shape.a_depth], (double)p->params->alpha * b[b_at + k * p->shape.b_depth + n * p->shape.b_col], sum);
    }
    if (p->c) {
        double c;
        fb_work_load(p->c->dtype, p->c->data, m * p->c_row + n * p->c_col, 1, FB_WORK_F64, &c, 1);
        sum = sum + (double)p->params->beta * c;
    }
    fb_work_store(p->y->dtype, p->y->data, y_at, FB_WORK_F64, &sum, 1);
}

/* Integers wrap; alpha and beta other than 1 go through double, as the result is rounded anyway. */
static void plain_u64(const PlainProduct *p, int64_t a_at, int64_t b_at, int64_t m, int64_t n, int64_t y_at)
{
    const uint64_t *a = p->a, *b = p->b;
    uint64_t sum = 0, c = 0;
    for (int64_t k = 0; k < p->shape.k; k++) {
        sum += a[a_at + k * p->shape.a_depth] * b[b_at + k * p->shape.b_depth + n * p->shape.b_col];
    }
    if (p->c) {
        fb_work_load(p->c->dtype, p->c->data, m * p->c_row + n * p->c_col, 1, p->work, &c, 1);
    }
    if (p->params->alpha != 1.0f || (p->c && p->params->beta != 1.0f)) {
        const double real = (double)p->params->alpha * (double)(int64_t)sum + (double)p->params->beta * (double)(int64_t)c;
        fb_work_store(p->y->dtype, p->y->data, y_at, FB_WORK_F64, &real, 1);
        return;
    }
    sum += c;
    fb_work_store(p->y->dtype, p->y->data, y_at, p->work, &sum, 1);
}

/* Unit: one row of the output. */
static void plain_rows(void *arg, size_t slot, size_t begin, size_t end)
{
    const PlainProduct *p = arg;
    (void)slot;
    for (size_t unit = begin; unit < end; unit++) {
        const int64_t batch = (int64_t)unit / p->shape.m, m = (int64_t)unit % p->shape.m;
        int64_t a_at, b_at;
        fb_matmul_offsets(&p->shape, batch, &a_at, &b_at);
        a_at += m * p->shape.a_row;
        for (int64_t n = 0; n < p->shape.n; n++) {
            const int64_t y_at = (int64_t)unit * p->shape.n + n;
            switch (p->work) {
            case FB_WORK_F32: plain_f32(p, a_at, b_at, m, n, y_at); break;
            case FB_WORK_F64: plain_f64(p, a_at, b_at, m, n, y_at); break;
            case FB_WORK_S64:
            case FB_WORK_U64: plain_u64(p, a_at, b_at, m, n, y_at); break;
            }
        }
    }
}

size_t fb_matmul_scratch(const FbCall *call)
{
    const size_t a = (size_t)fb_tensor_elements(call->inputs[0]), b = (size_t)fb_tensor_elements(call->inputs[1]);
    return (a + b) * fb_work_bytes(fb_work_of(call->inputs[0]->dtype));
}

FbStatus fb_matmul_run_shape(const FbCall *call, const FbMatmulParams *params, const FbMatmul *shape, FbError *err)
{
    const FbTensor *a = call->inputs[0], *b = call->inputs[1];
    const FbWork work = fb_work_of(a->dtype);
    const int64_t a_count = fb_tensor_elements(a), b_count = fb_tensor_elements(b);
    PlainProduct p = {*shape, work, call->scratch, (char *)call->scratch + (size_t)a_count * fb_work_bytes(work), fb_call_input(call, 2), 0, 0,
                      params, call->outputs[0]};
    fb_work_load(a->dtype, a->data, 0, 1, work, call->scratch, (size_t)a_count);
    fb_work_load(b->dtype, b->data, 0, 1, work, (char *)call->scratch + (size_t)a_count * fb_work_bytes(work), (size_t)b_count);
    if (p.c) {
        const int64_t cols = p.c->rank ? p.c->dims[p.c->rank - 1] : 1, rows = p.c->rank > 1 ? p.c->dims[0] : 1;
        p.c_col = cols == 1 ? 0 : 1;
        p.c_row = rows == 1 ? 0 : cols;
    }
    fb_parallel(call->context, plain_rows, &p, (size_t)(p.shape.batches * p.shape.m), 1);
    return fb_check_cancel(call->context, err);
}

FbStatus fb_matmul_run(const FbCall *call, FbError *err)
{
    const FbTensor *a = call->inputs[0], *b = call->inputs[1];
    const FbMatmul shape = fb_matmul_of(call->params, a->rank, a->dims, b->rank, b->dims);
    return fb_matmul_run_shape(call, call->params, &shape, err);
}

static const char *const gemm_attributes[] = {"alpha", "beta", "transA", "transB", NULL};

static const FbOp rows[] = {
    {.domain = "", .name = "MatMul", .summary = "matrix product, batches broadcast", .since = 1, .newest = FB_OPSET_NEWEST, .min_inputs = 2,
     .max_inputs = 2, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(FbMatmulParams), .decode = matmul_decode,
     .infer = fb_matmul_infer, .scratch = fb_matmul_scratch, .run = fb_matmul_run, .lowering = &fb_matmul_lowering,
     .integer = &fb_matmul_integer_lowering, .blocks = &fb_matmul_blocks_lowering},
    {.domain = "", .name = "Gemm", .summary = "alpha A B + beta C", .since = 7, .newest = FB_OPSET_NEWEST, .min_inputs = 2, .max_inputs = 3,
     .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(FbMatmulParams), .decode = fb_gemm_decode, .infer = fb_gemm_infer,
     .scratch = fb_matmul_scratch, .run = fb_matmul_run, .lowering = &fb_matmul_lowering,
     .integer = &fb_matmul_integer_lowering, .blocks = &fb_matmul_blocks_lowering, .attributes = gemm_attributes},
};
const FbOpFamily fb_ops_matmul = {rows, sizeof rows / sizeof *rows};
