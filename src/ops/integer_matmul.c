/* MatMulInteger and QLinearMatMul: products of 8-bit codes, exact. */
#include "ops/integer_matmul.h"

#include "ops/attribute.h"

FbStatus fb_integer_stack(FbShape a, FbShape b, FbIntegerStack *stack, FbShape *out, FbError *err)
{
    *out = (FbShape){.rank = -1};
    if (a.rank < 0 || b.rank < 0) {
        return FB_OK;
    }
    if (a.rank == 0 || b.rank == 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "a matrix product needs vectors or matrices, not a scalar");
    }
    bool a_vector = a.rank == 1, b_vector = b.rank == 1;
    int64_t depth = a.dims[a.rank - 1], depth_b = b.dims[b_vector ? 0 : b.rank - 2];
    if (depth >= 0 && depth_b >= 0 && depth != depth_b) {
        return fb_error_set(err, FB_ERR_FORMAT, "the operands share no dimension: %lld columns times %lld rows", (long long)depth,
                            (long long)depth_b);
    }
    stack->rows = a_vector ? 1 : a.dims[a.rank - 2];
    stack->cols = b_vector ? 1 : b.dims[b.rank - 1];
    stack->depth = depth;
    stack->a_batch = fb_shape_make(a_vector ? 0 : a.rank - 2, a.dims);
    stack->b_batch = fb_shape_make(b_vector ? 0 : b.rank - 2, b.dims);
    FB_TRY(fb_shape_broadcast(&stack->a_batch, &stack->b_batch, &stack->batch, err));
    *out = stack->batch;
    if (!a_vector) {
        out->dims[out->rank++] = stack->rows;
    }
    if (!b_vector) {
        out->dims[out->rank++] = stack->cols;
    }
    stack->batches = fb_shape_elements(&stack->batch);
    return FB_OK;
}

/* Which matrix of an operand serves batch `index` of the output. */
static int64_t batch_of(const FbShape *all, const FbShape *one, int64_t index)
{
    int64_t at = 0, stride = 1;
    for (int i = 1; i <= all->rank; i++) {
        int64_t here = index % all->dims[all->rank - i];
        index /= all->dims[all->rank - i];
        if (i <= one->rank) {
            at += one->dims[one->rank - i] == 1 ? 0 : here * stride;
            stride *= one->dims[one->rank - i];
        }
    }
    return at;
}

/* Element for a row or column: 1 number for all, one per line, or one per line and batch. */
static double pick(const FbTensor *tensor, int64_t batch, int64_t lines, int64_t line)
{
    return tensor ? fb_tensor_number(tensor, (batch * lines + line) % fb_tensor_elements(tensor)) : 0;
}

static void center_task(void *arg, size_t slot, size_t begin, size_t end)
{
    const FbIntegerMatmul *work = arg;
    const FbIntegerStack *s = &work->stack;
    (void)slot;
    for (size_t line = begin; line < end; line++) {
        float zero = (float)pick(work->a_zero, 0, 0, (int64_t)line);
        int64_t first = (int64_t)line * s->depth;
        fb_integer_center(work->a, first, 1, zero, work->centered + first, (size_t)s->depth);
    }
}

/* What is added to the sum of this row and column before it is scaled. */
static int64_t addend(const FbIntegerMatmul *work, int64_t row, int64_t col)
{
    return work->c ? ((const int32_t *)work->c->data)[row * work->c_row + col * work->c_col] : 0;
}

static void store_tile(const FbIntegerMatmul *work, const FbIntegerTile *tile, int64_t batch, int64_t row, int64_t col)
{
    const FbIntegerStack *s = &work->stack;
    int64_t a_batch = batch_of(&s->batch, &s->a_batch, batch), b_batch = batch_of(&s->batch, &s->b_batch, batch);
    double b_scale[FB_INTEGER_COLS];
    for (size_t n = 0; n < tile->cols; n++) {
        b_scale[n] = pick(work->b_scale, b_batch, s->cols, col + (int64_t)n);
    }
    for (size_t r = 0; r < tile->rows; r++) {
        int64_t line = row + (int64_t)r, first = (batch * s->rows + line) * s->cols + col;
        double a_scale = pick(work->a_scale, a_batch, s->rows, line), y_scale = pick(work->y_scale, batch, s->rows, line);
        int32_t y_zero = (int32_t)pick(work->y_zero, batch, s->rows, line);
        for (size_t n = 0; n < tile->cols; n++) {
            int64_t sum = tile->total[r * tile->cols + n] + addend(work, line, col + (int64_t)n), at = first + (int64_t)n;
            double multiplier = (double)work->alpha * a_scale * b_scale[n];
            switch (work->store) {
            case FB_STORE_SUMS:
                ((int32_t *)work->to->data)[at] = (int32_t)(uint32_t)(uint64_t)sum;
                break;
            case FB_STORE_CODES:
                fb_integer_requantize(sum, multiplier / y_scale, y_zero, work->to, at);
                break;
            case FB_STORE_REALS:
                ((float *)work->to->data)[at] = (float)sum * (float)multiplier + (float)pick(work->bias, 0, 0, col + (int64_t)n);
                break;
            }
        }
    }
}

/* A panel of columns for a group of rows of one batch. */
static void matmul_tile(const FbIntegerMatmul *work, int64_t batch, int64_t row, int64_t col)
{
    FbIntegerTile tile;
    const FbIntegerStack *s = &work->stack;
    const float *a[FB_INTEGER_ROWS];
    float zeros[FB_INTEGER_COLS];
    size_t width = work->kernel->col_tile, most = fb_integer_cols(work->kernel);
    size_t rows = (size_t)(s->rows - row < FB_INTEGER_ROWS ? s->rows - row : FB_INTEGER_ROWS);
    size_t cols = s->cols - col < (int64_t)most ? (size_t)(s->cols - col) : most;
    int64_t a_batch = batch_of(&s->batch, &s->a_batch, batch), b_batch = batch_of(&s->batch, &s->b_batch, batch);
    fb_integer_tile_begin(&tile, work->kernel, rows, cols);
    for (size_t n = 0; n < cols; n++) {
        zeros[n] = (float)pick(work->b_zero, b_batch, s->cols, col + (int64_t)n);
    }
    for (size_t r = 0; r < rows; r++) {
        a[r] = work->centered + (a_batch * s->rows + row + (int64_t)r) * s->depth;
    }
    for (int64_t k = 0; k < s->depth; k += FB_INTEGER_DEPTH) {
        size_t depth = (size_t)(s->depth - k < FB_INTEGER_DEPTH ? s->depth - k : FB_INTEGER_DEPTH);
        for (size_t d = 0; d < depth; d++) {
            float *to = tile.panel + d * width;
            fb_integer_center(work->b, (b_batch * s->depth + k + (int64_t)d) * s->cols + col, 1, 0, to, cols);
            for (size_t n = 0; n < cols; n++) {
                to[n] -= zeros[n];
            }
            memset(to + cols, 0, (width - cols) * sizeof *to);
        }
        fb_integer_tile_add(&tile, a, 1, depth, (ptrdiff_t)k);
    }
    fb_integer_tile_end(&tile);
    store_tile(work, &tile, batch, row, col);
}

static void matmul_task(void *arg, size_t slot, size_t begin, size_t end)
{
    const FbIntegerMatmul *work = arg;
    (void)slot;
    for (size_t i = begin; i < end; i++) {
        int64_t group = (int64_t)i % work->row_groups, line = (int64_t)i / work->row_groups;
        matmul_tile(work, line / work->panels, group * FB_INTEGER_ROWS, line % work->panels * (int64_t)fb_integer_cols(work->kernel));
    }
}

FbStatus fb_integer_matmul_run(FbContext *context, FbIntegerMatmul *work, float *scratch, FbError *err)
{
    FbShape out;
    FbIntegerStack *s = &work->stack;
    FB_TRY(fb_integer_stack(fb_tensor_shape(work->a), fb_tensor_shape(work->b), s, &out, err));
    int64_t a_count = fb_shape_elements(&s->a_batch) * s->rows, b_count = fb_shape_elements(&s->b_batch) * s->cols;
    int64_t y_count = s->batches * s->rows;
    FB_TRY(fb_integer_check_count(work->a_zero, s->rows, a_count, "first zero point", err));
    FB_TRY(fb_integer_check_count(work->a_scale, s->rows, a_count, "first scale", err));
    FB_TRY(fb_integer_check_count(work->b_zero, s->cols, b_count, "second zero point", err));
    FB_TRY(fb_integer_check_count(work->b_scale, s->cols, b_count, "second scale", err));
    FB_TRY(fb_integer_check_count(work->y_scale, s->rows, y_count, "output scale", err));
    FB_TRY(fb_integer_check_count(work->y_zero, s->rows, y_count, "output zero point", err));
    FB_TRY(fb_integer_check_count(work->bias, s->cols, s->cols, "bias", err));
    if (work->c) {
        int64_t c_cols = work->c->rank ? work->c->dims[work->c->rank - 1] : 1, c_rows = work->c->rank > 1 ? work->c->dims[work->c->rank - 2] : 1;
        work->c_col = c_cols == 1 ? 0 : 1;
        work->c_row = c_rows == 1 ? 0 : c_cols;
    }
    work->centered = scratch;
    work->kernel = fb_product_f32_pick(fb_context_cpu(context));
    work->panels = (s->cols + (int64_t)fb_integer_cols(work->kernel) - 1) / (int64_t)fb_integer_cols(work->kernel);
    work->row_groups = (s->rows + FB_INTEGER_ROWS - 1) / FB_INTEGER_ROWS;
    int64_t tasks = s->batches * work->panels * work->row_groups;
    if (tasks > 0) {
        fb_parallel(context, center_task, work, (size_t)a_count, (size_t)(1 + 65536 / (s->depth + 1)));
        fb_parallel(context, matmul_task, work, (size_t)tasks, (size_t)(1 + 16 / (s->depth / FB_INTEGER_DEPTH + 1)));
    }
    return FB_OK;
}

static size_t scratch_matmul(const FbCall *call) { return (size_t)fb_tensor_elements(call->inputs[0]) * sizeof(float); }

static FbStatus infer_matmul_integer(FbInfer *infer, FbError *err)
{
    FbIntegerStack stack;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_CODES8, err));
    FB_TRY(fb_check_input_dtype(infer, 1, FB_MASK_CODES8, err));
    FB_TRY(fb_check_same_dtype(infer, 0, 2, err));
    FB_TRY(fb_check_same_dtype(infer, 1, 3, err));
    infer->outputs[0].dtype = FB_DTYPE_S32;
    return fb_integer_stack(infer->inputs[0].shape, infer->inputs[1].shape, &stack, &infer->outputs[0].shape, err);
}

static FbStatus run_matmul_integer(const FbCall *call, FbError *err)
{
    FbIntegerMatmul work = {.a = call->inputs[0], .b = call->inputs[1], .a_zero = fb_call_input(call, 2), .b_zero = fb_call_input(call, 3),
                       .to = call->outputs[0]};
    return fb_integer_matmul_run(call->context, &work, call->scratch, err);
}

static FbStatus infer_qlinear_matmul(FbInfer *infer, FbError *err)
{
    FbIntegerStack stack;
    FB_TRY(fb_integer_check_triple(infer, 0, err));
    FB_TRY(fb_integer_check_triple(infer, 3, err));
    FB_TRY(fb_check_input_dtype(infer, 6, FB_MASK_SCALES, err));
    FB_TRY(fb_check_input_dtype(infer, 7, FB_MASK_CODES8, err));
    infer->outputs[0].dtype = infer->inputs[7].dtype;
    return fb_integer_stack(infer->inputs[0].shape, infer->inputs[3].shape, &stack, &infer->outputs[0].shape, err);
}

static FbStatus run_qlinear_matmul(const FbCall *call, FbError *err)
{
    const FbTensor *const *in = call->inputs;
    FbIntegerMatmul work = {.a = in[0], .a_scale = in[1], .a_zero = in[2], .b = in[3], .b_scale = in[4], .b_zero = in[5], .y_scale = in[6],
                            .y_zero = in[7], .store = FB_STORE_CODES, .alpha = 1, .to = call->outputs[0]};
    return fb_integer_matmul_run(call->context, &work, call->scratch, err);
}

static const FbOp rows[] = {
    {.domain = "", .name = "MatMulInteger", .summary = "matrix product of 8-bit codes, int32 sums", .since = 10, .newest = FB_OPSET_NEWEST,
     .min_inputs = 2, .max_inputs = 4, .min_outputs = 1, .max_outputs = 1, .infer = infer_matmul_integer,
     .scratch = scratch_matmul, .run = run_matmul_integer},
    {.domain = "", .name = "QLinearMatMul", .summary = "matrix product of quantized tensors", .since = 10, .newest = FB_OPSET_NEWEST,
     .min_inputs = 8, .max_inputs = 8, .min_outputs = 1, .max_outputs = 1, .infer = infer_qlinear_matmul,
     .scratch = scratch_matmul, .run = run_qlinear_matmul},
};

const FbOpFamily fb_ops_integer_matmul = {rows, sizeof rows / sizeof rows[0]};
