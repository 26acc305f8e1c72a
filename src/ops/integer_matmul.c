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
    int64_t col_blocks;
} MatmulWork;

/* Element for a row or column: 1 number for all, one per line, or one per line and batch. */
static double pick(const FbTensor *tensor, int64_t batch, int64_t lines, int64_t line)
{
    return tensor ? fb_tensor_number(tensor, (batch * lines + line) % fb_tensor_elements(tensor)) : 0;
}

#define ADD_ROW(T)                                                          \
    do {                                                                    \
        const T *row = (const T *)b->data + first;                          \
        for (size_t n = 0; n < count; n++) {                                \
            part[n] += a * ((int32_t)row[n] - zeros[n]);                    \
        }                                                                   \
    } while (0)

static void add_row(int32_t *part, int32_t a, const FbTensor *b, int64_t first, const int32_t *zeros, size_t count)
{
    if (b->dtype == FB_DTYPE_S8) {
        ADD_ROW(int8_t);
    } else {
        ADD_ROW(uint8_t);
    }
}

/* A block of columns of one row of one batch. */
static void matmul_block(const MatmulWork *work, int64_t batch, int64_t row, int64_t col, size_t count)
{
    FbIntegerSums sums;
    int32_t zeros[FB_INTEGER_BLOCK];
    const Stack *s = &work->stack;
    int64_t a_batch = batch_of(&s->batch, &s->a_batch, batch), b_batch = batch_of(&s->batch, &s->b_batch, batch);
    int32_t a_zero = (int32_t)pick(work->a_zero, a_batch, s->rows, row);
    for (size_t n = 0; n < count; n++) {
        zeros[n] = (int32_t)pick(work->b_zero, b_batch, s->cols, col + (int64_t)n);
    }
    fb_integer_begin(&sums, count);
    for (int64_t k = 0; k < s->depth; k++) {
        if (fb_integer_full(&sums)) {
            fb_integer_flush(&sums, count);
        }
        int32_t a = fb_code_at(work->a, (a_batch * s->rows + row) * s->depth + k) - a_zero;
        add_row(sums.part, a, work->b, (b_batch * s->depth + k) * s->cols + col, zeros, count);
        sums.pending++;
    }
    fb_integer_flush(&sums, count);
    int64_t first = (batch * s->rows + row) * s->cols + col;
    for (size_t n = 0; n < count; n++) {
        int64_t at = first + (int64_t)n;
        if (!work->y_scale) {
            ((int32_t *)work->to->data)[at] = (int32_t)(uint32_t)(uint64_t)sums.total[n];
            continue;
        }
        double multiplier = pick(work->a_scale, a_batch, s->rows, row) * pick(work->b_scale, b_batch, s->cols, col + (int64_t)n) /
                            pick(work->y_scale, batch, s->rows, row);
        fb_integer_requantize(sums.total[n], multiplier, (int32_t)pick(work->y_zero, batch, s->rows, row), work->to, at);
    }
}

static void matmul_task(void *arg, size_t slot, size_t begin, size_t end)
{
    const MatmulWork *work = arg;
    const Stack *s = &work->stack;
    (void)slot;
    for (size_t i = begin; i < end; i++) {
        int64_t block = (int64_t)i % work->col_blocks, line = (int64_t)i / work->col_blocks, col = block * FB_INTEGER_BLOCK;
        int64_t count = s->cols - col < FB_INTEGER_BLOCK ? s->cols - col : FB_INTEGER_BLOCK;
        matmul_block(work, line / s->rows, line % s->rows, col, (size_t)count);
    }
}

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
    work->col_blocks = (s->cols + FB_INTEGER_BLOCK - 1) / FB_INTEGER_BLOCK;
    int64_t tasks = s->batches * s->rows * work->col_blocks;
    if (tasks > 0) {
        fb_parallel(call->context, matmul_task, work, (size_t)tasks, (size_t)(1 + 262144 / (s->depth * FB_INTEGER_BLOCK + 1)));
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
     .min_inputs = 2, .max_inputs = 4, .min_outputs = 1, .max_outputs = 1, .infer = infer_matmul_integer, .run = run_matmul_integer},
    {.domain = "", .name = "QLinearMatMul", .summary = "matrix product of quantized tensors", .since = 10, .newest = FB_OPSET_NEWEST,
     .min_inputs = 8, .max_inputs = 8, .min_outputs = 1, .max_outputs = 1, .infer = infer_qlinear_matmul, .run = run_qlinear_matmul},
};

const FbOpFamily fb_ops_integer_matmul = {rows, sizeof rows / sizeof rows[0]};
