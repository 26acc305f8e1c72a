/* Running RNN, GRU and LSTM: all inputs are multiplied by W first, then every block of sequences walks through time. Each gate is one fma
 * chain over the input and then the hidden state, so the result depends neither on the batch nor on the block. */
#include <string.h>

#include "ops/check.h"
#include "ops/dynamic_range.h"
#include "ops/recurrent.h"

enum { ROUND = 16, ROW_TILE_MAX = 64, PLAIN_TILE = 4 }; /* floats that regions of memory are rounded to; rows of a block */

static size_t rounded(size_t count) { return (count + ROUND - 1) / ROUND * ROUND; }

FbRecurrentSizes fb_recurrent_sizes(const FbRecurrentParams *params, const FbTensor *x)
{
    int t = params->batch_first ? 1 : 0;
    return (FbRecurrentSizes){.time = x->dims[t], .batch = x->dims[1 - t], .input = x->dims[2], .hidden = params->hidden, .gates = params->gates};
}

/* ---- weights ---- */

static int64_t joint_gates(const FbRecurrentParams *params) { return params->cell == FB_CELL_GRU ? 2 : params->gates; }

size_t fb_recurrent_packed_count(const FbProductF32Kernel *kernel, const FbRecurrentParams *params, int64_t input)
{
    size_t n = (size_t)params->hidden;
    size_t count = rounded(fb_product_f32_packed_count(kernel, (size_t)input, n * (size_t)params->gates));
    count += rounded(fb_product_f32_packed_count(kernel, n, n * (size_t)joint_gates(params)));
    return count + (params->cell == FB_CELL_GRU ? rounded(fb_product_f32_packed_count(kernel, n, n)) : 0);
}

FbRecurrentWeights fb_recurrent_pack(const FbProductF32Kernel *kernel, const FbRecurrentParams *params, int64_t input, const float *w,
                                     const float *r, float *packed)
{
    size_t n = (size_t)params->hidden, joint = n * (size_t)joint_gates(params);
    FbRecurrentWeights weights = {.w = packed};
    if (input > 0) {
        fb_product_f32_pack(kernel, w, 1, (size_t)input, (size_t)input, n * (size_t)params->gates, packed);
    }
    packed += rounded(fb_product_f32_packed_count(kernel, (size_t)input, n * (size_t)params->gates));
    fb_product_f32_pack(kernel, r, 1, n, n, joint, packed);
    weights.r = packed;
    if (params->cell == FB_CELL_GRU) {
        packed += rounded(fb_product_f32_packed_count(kernel, n, joint));
        fb_product_f32_pack(kernel, r + joint * n, 1, n, n, n, packed);
        weights.r_hidden = packed;
    }
    return weights;
}

void fb_recurrent_multiply(const FbProductF32Kernel *kernel, const float *const *a, size_t rows, size_t depth, const float *panels, size_t cols,
                           float *c, size_t c_stride, bool accumulate)
{
    FbProductF32 product = {.rows = rows, .depth = depth, .taps = 1, .a = a, .a_row_stride = rows, .c_stride = c_stride, .accumulate = accumulate};
    for (size_t n = 0; n < cols; n += kernel->col_tile) {
        product.cols = cols - n < kernel->col_tile ? cols - n : kernel->col_tile;
        product.w = panels + n * depth;
        product.c = c + n;
        kernel->run(&product);
    }
}

/* ---- memory ---- */

typedef struct Job {
    const FbCall *call;
    const FbRecurrentParams *params;
    const FbProductF32Kernel *kernel;
    const FbRecurrentWeights *weights;
    const FbRecurrentCodes *codes; /* NULL: products of floats */
    uint8_t *x_codes;           /* [time * batch, stride] */
    FbCodedRow x_grid;
    FbRecurrentSizes size;
    size_t tile;                /* sequences of a block */
    size_t blocks, row_blocks;  /* per direction: of sequences; of (time, batch) rows */
    float *sums[2];             /* x * W: [time * batch in memory order, gates * hidden] */
    float *bias[2];             /* or NULL */
    float *states;              /* per block: gate, h, c, spare; of codes also sums and codes of h */
    size_t state_count;
    FbUnaryTable functions;
    const FbLstmKernel *lstm;
} Job;

static size_t tile_of(const FbRecurrentProducts *products)
{
    const FbProductU8S8Kernel *integer = products->codes ? products->codes->kernel : NULL;
    size_t tile = integer ? integer->row_tile : products->codes ? PLAIN_TILE : products->kernel->row_tile;
    return tile < ROW_TILE_MAX ? tile : ROW_TILE_MAX;
}

/* Floats that hold `rows` rows of codes. */
static size_t codes_count(size_t rows, int64_t depth) { return rounded(rows * fb_coded_stride((size_t)depth) / sizeof(float)); }

static size_t state_count(const FbRecurrentSizes *size, size_t tile, bool codes)
{
    size_t count = rounded(tile * (size_t)(size->hidden * (size->gates + 3)));
    return codes ? count + rounded(tile * (size_t)(size->hidden * size->gates)) + codes_count(tile, size->hidden) : count;
}

size_t fb_recurrent_work_count(const FbRecurrentProducts *products, const FbRecurrentParams *params, const FbTensor *x)
{
    FbRecurrentSizes size = fb_recurrent_sizes(params, x);
    size_t tile = tile_of(products), width = (size_t)(size.gates * size.hidden), total = (size_t)(size.time * size.batch);
    size_t blocks = ((size_t)size.batch + tile - 1) / tile;
    size_t codes = products->codes ? codes_count(total, size.input) : 0;
    return codes + (size_t)params->directions * (rounded(total * width) + rounded(width) + blocks * state_count(&size, tile, products->codes != NULL));
}

/* Both biases of direction d as they can be added in one go. */
static void add_biases(Job *job, int d)
{
    const FbTensor *b = fb_call_input(job->call, 3);
    size_t n = (size_t)job->size.hidden, width = n * (size_t)job->size.gates;
    if (!b) {
        job->bias[d] = NULL;
        return;
    }
    const float *wb = (const float *)b->data + (size_t)d * 2 * width, *rb = wb + width;
    bool apart = job->params->cell == FB_CELL_GRU && job->params->linear_before_reset;
    for (size_t i = 0; i < width; i++) {
        job->bias[d][i] = apart && i >= 2 * n ? wb[i] : wb[i] + rb[i];
    }
}

/* ---- x * W ---- */

static void quantize_task(void *arg, size_t slot, size_t begin, size_t end)
{
    (void)slot;
    const Job *job = arg;
    size_t depth = (size_t)job->size.input, stride = fb_coded_stride(depth);
    const float *x = job->call->inputs[0]->data;
    const FbCodeGrid grid = {job->x_grid.scale, job->x_grid.zero, 0, 255};
    for (size_t i = begin; i < end; i++) {
        job->codes->rows->quantize(x + i * depth, job->x_codes + i * stride, depth, &grid);
        memset(job->x_codes + i * stride + depth, 0, stride - depth);
    }
}

/* The sums take the place of the reals that they become. */
static void input_codes(const Job *job, const FbCodedMatrix *w, size_t first, size_t rows, float *sums)
{
    const uint8_t *a[ROW_TILE_MAX];
    for (size_t r = 0; r < rows; r++) {
        a[r] = job->x_codes + (first + r) * fb_coded_stride(w->depth);
    }
    fb_coded_multiply(job->codes->kernel, w, a, rows, (int32_t *)(void *)sums);
    for (size_t r = 0; r < rows; r++) {
        fb_coded_real(job->codes->reals, w, a[r], job->x_grid, (const int32_t *)(const void *)(sums + r * w->cols), sums + r * w->cols, false);
    }
}

static void input_task(void *arg, size_t slot, size_t begin, size_t end)
{
    (void)slot;
    const Job *job = arg;
    const float *a[ROW_TILE_MAX], *x = job->call->inputs[0]->data;
    size_t total = (size_t)(job->size.time * job->size.batch), width = (size_t)(job->size.gates * job->size.hidden);
    for (size_t i = begin; i < end; i++) {
        size_t d = i / job->row_blocks, first = i % job->row_blocks * job->tile;
        size_t rows = total - first < job->tile ? total - first : job->tile;
        float *sums = job->sums[d] + first * width;
        if (job->size.input == 0) {
            memset(sums, 0, rows * width * sizeof *sums);
            continue;
        }
        if (job->codes) {
            input_codes(job, &job->codes->w[d], first, rows, sums);
            continue;
        }
        for (size_t r = 0; r < rows; r++) {
            a[r] = x + (first + r) * (size_t)job->size.input;
        }
        fb_recurrent_multiply(job->kernel, a, rows, (size_t)job->size.input, job->weights[d].w, width, sums, width, false);
    }
}

/* ---- through time ---- */

/* Row number of (time or direction, batch) in tensors whose leading dimensions are [outer, batch] or, batch first, [batch, outer]. */
static size_t row_of(const Job *job, int64_t outer, int64_t outer_count, int64_t batch)
{
    return (size_t)(job->params->batch_first ? batch * outer_count + outer : outer * job->size.batch + batch);
}

static void load_state(const Job *job, int input, int d, int64_t batch, float *to)
{
    size_t n = (size_t)job->size.hidden;
    const FbTensor *initial = fb_call_input(job->call, input);
    if (initial) {
        memcpy(to, (const float *)initial->data + row_of(job, d, job->params->directions, batch) * n, n * sizeof *to);
    } else {
        memset(to, 0, n * sizeof *to);
    }
}

static void store_state(const Job *job, int output, int d, int64_t batch, const float *from)
{
    size_t n = (size_t)job->size.hidden;
    FbTensor *final = fb_call_output(job->call, output);
    if (final) {
        memcpy((float *)final->data + row_of(job, d, job->params->directions, batch) * n, from, n * sizeof *from);
    }
}

static void store_y(const Job *job, int d, int64_t t, int64_t batch, const float *from)
{
    FbTensor *y = fb_call_output(job->call, 0);
    int64_t n = job->size.hidden, directions = job->params->directions;
    if (!y) {
        return;
    }
    int64_t row = job->params->batch_first ? (batch * job->size.time + t) * directions + d : (t * directions + d) * job->size.batch + batch;
    float *to = (float *)y->data + row * n;
    if (from) {
        memcpy(to, from, (size_t)n * sizeof *to);
    } else {
        memset(to, 0, (size_t)n * sizeof *to);
    }
}

static int64_t length_of(const Job *job, int64_t batch)
{
    const FbTensor *lengths = fb_call_input(job->call, 4);
    return lengths ? ((const int32_t *)lengths->data)[batch] : job->size.time;
}

typedef struct Block {
    int d;
    int64_t first;              /* sequence */
    bool backwards;
    int64_t lengths[ROW_TILE_MAX], longest;
    bool active[ROW_TILE_MAX];
    const float *a[ROW_TILE_MAX];
    int32_t *sums;              /* [tile, gates * hidden] */
    uint8_t *codes;             /* of h: [tile, stride] */
} Block;

/* gate += h * R, each row of h quantized over its own range. */
static void hidden_codes(const Job *job, const Block *block, const FbCellStep *step)
{
    const FbCodedMatrix *r = &job->codes->r[block->d];
    const uint8_t *a[ROW_TILE_MAX];
    FbCodedRow grids[ROW_TILE_MAX];
    for (size_t i = 0; i < step->rows; i++) {
        uint8_t *codes = block->codes + i * fb_coded_stride(r->depth);
        grids[i] = fb_coded_row(job->codes, block->a[i], r->depth, codes);
        a[i] = codes;
    }
    fb_coded_multiply(job->codes->kernel, r, a, step->rows, block->sums);
    for (size_t i = 0; i < step->rows; i++) {
        fb_coded_real(job->codes->reals, r, a[i], grids[i], block->sums + i * r->cols, step->gate + i * r->cols, true);
    }
}

static void walk(const Job *job, Block *block, FbCellStep *step)
{
    size_t n = (size_t)job->size.hidden, width = n * (size_t)job->size.gates, joint = n * (size_t)joint_gates(job->params);
    for (int64_t s = 0; s < block->longest; s++) {
        for (size_t r = 0; r < step->rows; r++) {
            int64_t batch = block->first + (int64_t)r, length = block->lengths[r];
            block->active[r] = s < length;
            int64_t t = !block->active[r] ? s : block->backwards ? length - 1 - s : s;
            memcpy(step->gate + r * width, job->sums[block->d] + row_of(job, t, job->size.time, batch) * width, width * sizeof(float));
            block->a[r] = step->h + r * n;
        }
        if (job->codes) {
            hidden_codes(job, block, step);
        } else {
            fb_recurrent_multiply(job->kernel, block->a, step->rows, n, job->weights[block->d].r, joint, step->gate, width, true);
        }
        fb_cell_step(step);
        for (size_t r = 0; r < step->rows; r++) {
            if (block->active[r]) {
                int64_t t = block->backwards ? block->lengths[r] - 1 - s : s;
                store_y(job, block->d, t, block->first + (int64_t)r, step->h + r * n);
            }
        }
    }
}

static void sequence_task(void *arg, size_t slot, size_t begin, size_t end)
{
    (void)slot;
    const Job *job = arg;
    size_t n = (size_t)job->size.hidden, width = n * (size_t)job->size.gates;
    for (size_t i = begin; i < end; i++) {
        Block block = {.d = (int)(i / job->blocks), .first = (int64_t)(i % job->blocks * job->tile)};
        const FbTensor *bias = fb_call_input(job->call, 3), *peephole = fb_call_input(job->call, 7);
        size_t rest = (size_t)(job->size.batch - block.first), d = (size_t)block.d;
        FbCellStep step = {.params = job->params, .act = job->params->act[d], .functions = &job->functions, .lstm = job->lstm, .kernel = job->kernel,
                           .rows = rest < job->tile ? rest : job->tile, .active = block.active, .bias = job->bias[d],
                           .r_hidden = job->codes ? NULL : job->weights[d].r_hidden};
        step.gate = job->states + i * job->state_count;
        step.h = step.gate + job->tile * width;
        step.c = step.h + job->tile * n;
        step.spare = step.c + job->tile * n;
        block.sums = (int32_t *)(void *)(step.gate + rounded(job->tile * (width + 3 * n)));
        block.codes = (uint8_t *)(block.sums + rounded(job->tile * width));
        step.peephole = peephole ? (const float *)peephole->data + d * 3 * n : NULL;
        step.bias_hidden = bias ? (const float *)bias->data + d * 2 * width + width + 2 * n : NULL;
        block.backwards = d == 1 || job->params->reverse;
        for (size_t r = 0; r < step.rows; r++) {
            int64_t batch = block.first + (int64_t)r;
            block.lengths[r] = length_of(job, batch);
            block.longest = block.lengths[r] > block.longest ? block.lengths[r] : block.longest;
            load_state(job, 5, block.d, batch, step.h + r * n);
            load_state(job, 6, block.d, batch, step.c + r * n);
            for (int64_t t = block.lengths[r]; t < job->size.time; t++) {
                store_y(job, block.d, t, batch, NULL);
            }
        }
        walk(job, &block, &step);
        for (size_t r = 0; r < step.rows; r++) {
            store_state(job, 1, block.d, block.first + (int64_t)r, step.h + r * n);
            store_state(job, 2, block.d, block.first + (int64_t)r, step.c + r * n);
        }
    }
}

/* The codes of x over the range of all of it; moves `work` behind them. */
static void quantize_input(Job *job, float **work)
{
    const FbTensor *x = job->call->inputs[0];
    size_t total = (size_t)(job->size.time * job->size.batch);
    uint8_t zero;
    job->x_codes = (uint8_t *)*work;
    *work += codes_count(total, job->size.input);
    int64_t longest = 0; /* padding behind the longest sequence does not widen the range: as in ONNX Runtime */
    for (int64_t b = 0; b < job->size.batch; b++) {
        longest = length_of(job, b) > longest ? length_of(job, b) : longest;
    }
    size_t count = (size_t)(longest * job->size.batch * job->size.input);
    fb_dynamic_range(job->call->context, x->data, count, &job->x_grid.scale, &zero);
    job->x_grid.zero = zero;
    fb_parallel(job->call->context, quantize_task, job, total, 16);
}

FbStatus fb_recurrent_run(const FbCall *call, const FbRecurrentProducts *products, float *work, FbError *err)
{
    const FbRecurrentParams *params = call->params;
    Job job = {.call = call, .params = params, .kernel = products->kernel, .weights = products->weights, .codes = products->codes,
               .tile = tile_of(products)};
    job.size = fb_recurrent_sizes(params, call->inputs[0]);
    for (int64_t b = 0; b < job.size.batch; b++) {
        int64_t length = length_of(&job, b);
        if (length < 0 || length > job.size.time) {
            return fb_error_set(err, FB_ERR_FORMAT, "sequence %lld has the length %lld, expected 0 to %lld", (long long)b, (long long)length,
                                (long long)job.size.time);
        }
    }
    for (int k = 0; k < FB_UNARY_COUNT; k++) {
        job.functions.run[k] = fb_unary_f32_pick(fb_context_cpu(call->context), (FbUnaryKind)k);
    }
    job.lstm = fb_lstm_pick(fb_context_cpu(call->context));
    size_t total = (size_t)(job.size.time * job.size.batch), width = (size_t)(job.size.gates * job.size.hidden);
    job.blocks = ((size_t)job.size.batch + job.tile - 1) / job.tile;
    job.row_blocks = (total + job.tile - 1) / job.tile;
    job.state_count = state_count(&job.size, job.tile, job.codes != NULL);
    if (job.codes) {
        quantize_input(&job, &work);
    }
    for (int d = 0; d < params->directions; d++) {
        job.sums[d] = work;
        work += rounded(total * width);
        job.bias[d] = work;
        work += rounded(width);
        add_biases(&job, d);
    }
    job.states = work;
    size_t directions = (size_t)params->directions;
    fb_parallel(call->context, input_task, &job, directions * job.row_blocks, 1);
    fb_parallel(call->context, sequence_task, &job, directions * job.blocks, 1);
    return fb_check_cancel(call->context, err);
}
