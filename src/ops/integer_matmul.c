/* MatMulInteger and QLinearMatMul: products of 8-bit codes, exact. */
#include "ops/attribute.h"
#include "ops/integer_product.h"

/* Operands as stacks of matrices: a [batches][rows][depth], b [batches][depth][cols], repeated by NumPy's rules. */
typedef struct Stack {
    int64_t rows, depth, cols, batches;
    FbShape batch, a_batch, b_batch;
} Stack;

/* Shapes of numpy.matmul; the output in *out. Unknown dimensions pass. */
static FbStatus stack_of(FbShape a, FbShape b, Stack *stack, FbShape *out, FbError *err)
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

typedef struct MatmulWork {
    Stack stack;
    const FbTensor *a, *b, *a_zero, *b_zero;     /* zeros NULL: 0 */
    const FbTensor *a_scale, *b_scale, *y_scale, *y_zero; /* NULL: store int32 sums */
    FbTensor *to;
    float *centered;                             /* a less its zero points */
    const FbProductF32Kernel *kernel;
    int64_t panels, row_groups;
} MatmulWork;

/* Element for a row or column: 1 number for all, one per line, or one per line and batch. */
static double pick(const FbTensor *tensor, int64_t batch, int64_t lines, int64_t line)
{
    return tensor ? fb_tensor_number(tensor, (batch * lines + line) % fb_tensor_elements(tensor)) : 0;
}

static void center_task(void *arg, size_t slot, size_t begin, size_t end)
{
    const MatmulWork *work = arg;
    const Stack *s = &work->stack;
    (void)slot;
    for (size_t line = begin; line < end; line++) {
        float zero = (float)pick(work->a_zero, 0, 0, (int64_t)line);
        int64_t first = (int64_t)line * s->depth;
        fb_integer_center(work->a, first, 1, zero, work->centered + first, (size_t)s->depth);
    }
}

static void store_tile(const MatmulWork *work, const FbIntegerTile *tile, int64_t batch, int64_t row, int64_t col)
{
    const Stack *s = &work->stack;
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
            int64_t sum = tile->total[r * tile->cols + n];
            if (work->y_scale) {
                fb_integer_requantize(sum, a_scale * b_scale[n] / y_scale, y_zero, work->to, first + (int64_t)n);
            } else {
                ((int32_t *)work->to->data)[first + (int64_t)n] = (int32_t)(uint32_t)(uint64_t)sum;
            }
        }
    }
}

/* A panel of columns for a group of rows of one batch. */
static void matmul_tile(const MatmulWork *work, int64_t batch, int64_t row, int64_t col)
{
    FbIntegerTile tile;
    const Stack *s = &work->stack;
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
    const MatmulWork *work = arg;
    (void)slot;
    for (size_t i = begin; i < end; i++) {
        int64_t group = (int64_t)i % work->row_groups, line = (int64_t)i / work->row_groups;
        matmul_tile(work, line / work->panels, group * FB_INTEGER_ROWS, line % work->panels * (int64_t)fb_integer_cols(work->kernel));
    }
}

static size_t scratch_matmul(const FbCall *call) { return (size_t)fb_tensor_elements(call->inputs[0]) * sizeof(float); }

static FbStatus run_matmul(const FbCall *call, MatmulWork *work, FbError *err)
{
    FbShape out;
    Stack *s = &work->stack;
    FB_TRY(stack_of(fb_tensor_shape(work->a), fb_tensor_shape(work->b), s, &out, err));
    int64_t a_count = fb_shape_elements(&s->a_batch) * s->rows, b_count = fb_shape_elements(&s->b_batch) * s->cols;
    int64_t y_count = s->batches * s->rows;
    FB_TRY(fb_integer_check_count(work->a_zero, s->rows, a_count, "first zero point", err));
    FB_TRY(fb_integer_check_count(work->a_scale, s->rows, a_count, "first scale", err));
    FB_TRY(fb_integer_check_count(work->b_zero, s->cols, b_count, "second zero point", err));
    FB_TRY(fb_integer_check_count(work->b_scale, s->cols, b_count, "second scale", err));
    FB_TRY(fb_integer_check_count(work->y_scale, s->rows, y_count, "output scale", err));
    FB_TRY(fb_integer_check_count(work->y_zero, s->rows, y_count, "output zero point", err));
    work->centered = call->scratch;
    work->kernel = fb_product_f32_pick(fb_context_cpu(call->context));
    work->panels = (s->cols + (int64_t)fb_integer_cols(work->kernel) - 1) / (int64_t)fb_integer_cols(work->kernel);
    work->row_groups = (s->rows + FB_INTEGER_ROWS - 1) / FB_INTEGER_ROWS;
    int64_t tasks = s->batches * work->panels * work->row_groups;
    if (tasks > 0) {
        fb_parallel(call->context, center_task, work, (size_t)a_count, (size_t)(1 + 65536 / (s->depth + 1)));
        fb_parallel(call->context, matmul_task, work, (size_t)tasks, (size_t)(1 + 16 / (s->depth / FB_INTEGER_DEPTH + 1)));
    }
    return FB_OK;
}

static FbStatus infer_matmul_integer(FbInfer *infer, FbError *err)
{
    Stack stack;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_CODES8, err));
    FB_TRY(fb_check_input_dtype(infer, 1, FB_MASK_CODES8, err));
    FB_TRY(fb_check_same_dtype(infer, 0, 2, err));
    FB_TRY(fb_check_same_dtype(infer, 1, 3, err));
    infer->outputs[0].dtype = FB_DTYPE_S32;
    return stack_of(infer->inputs[0].shape, infer->inputs[1].shape, &stack, &infer->outputs[0].shape, err);
}

static FbStatus run_matmul_integer(const FbCall *call, FbError *err)
{
    MatmulWork work = {.a = call->inputs[0], .b = call->inputs[1], .a_zero = fb_call_input(call, 2), .b_zero = fb_call_input(call, 3),
                       .to = call->outputs[0]};
    return run_matmul(call, &work, err);
}

static FbStatus infer_qlinear_matmul(FbInfer *infer, FbError *err)
{
    Stack stack;
    FB_TRY(fb_integer_check_triple(infer, 0, err));
    FB_TRY(fb_integer_check_triple(infer, 3, err));
    FB_TRY(fb_check_input_dtype(infer, 6, FB_MASK_SCALES, err));
    FB_TRY(fb_check_input_dtype(infer, 7, FB_MASK_CODES8, err));
    infer->outputs[0].dtype = infer->inputs[7].dtype;
    return stack_of(infer->inputs[0].shape, infer->inputs[3].shape, &stack, &infer->outputs[0].shape, err);
}

static FbStatus run_qlinear_matmul(const FbCall *call, FbError *err)
{
    const FbTensor *const *in = call->inputs;
    MatmulWork work = {.a = in[0], .a_scale = in[1], .a_zero = in[2], .b = in[3], .b_scale = in[4], .b_zero = in[5], .y_scale = in[6],
                       .y_zero = in[7], .to = call->outputs[0]};
    return run_matmul(call, &work, err);
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
