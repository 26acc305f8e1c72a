/* Conv of u8 codes with a constant encoded weight on channels-last tensors: the indirect product, the product over a padded copy when
 * channels are few, or the depthwise kernel. Real inputs are first quantized with the range of the run where the plan asks for it. One, two
 * and three spatial axes are all treated as three. */
#include "kernels/depthwise_u8s8.h"
#include "ops/conv.h"
#include "ops/dynamic_codes.h"
#include "ops/integer_store.h"

enum { FEW_CHANNELS = 16 };

typedef struct ConvState {
    const FbProductU8S8Kernel *product;
    const FbDepthwiseU8S8Kernel *depthwise; /* NULL: the product */
    size_t group, in_channels, out_channels, taps; /* channels per group */
    size_t kernel_taps;      /* taps of the packed weights for one summand: with few channels a kernel row is one tap */
    size_t summands;
    bool few_channels;
    bool dynamic;
    FbPackedU8S8 *packed;    /* [group] */
    int16_t *depthwise_weight; /* [taps][channels] */
    uint8_t *zero;           /* a row of codes of real zero; dynamic: NULL */
    int32_t zero_code;
    size_t zero_bytes;
    FbIntegerStore store;
} ConvState;

typedef struct ConvBound {
    FbWindow window;         /* three axes */
    FbWindowRuns runs;       /* few channels */
    bool pointwise;          /* rows of x as they are */
    size_t rows;
    FbTilingU8S8 tiling;
    size_t pixel_block;      /* depthwise */
    size_t pointers;         /* per slot */
    size_t dynamic_bytes, copy_bytes, zero_bytes; /* of the scratch, in this order, before the pointers */
} ConvBound;

typedef struct ConvRun {
    const ConvState *state;
    const ConvBound *bound;
    const uint8_t *x;      /* or its padded copy */
    const uint8_t *zero;
    void *y;
    size_t y_bytes;        /* of an element */
    size_t x_stride, y_stride; /* from pixel to pixel */
    FbIntegerEpilogue epilogue;
    const uint8_t **pointers;
} ConvRun;

static bool conv_accepts(const FbPrepare *prepare)
{
    const FbConst *weight = prepare->constants[1];
    if (!prepare->channels_last || !weight || weight->shape.rank < 3 || weight->shape.rank > 2 + FB_WINDOW_AXES) {
        return false;
    }
    const FbShape *shape = &weight->shape;
    const int64_t depth = shape->dims[1] * fb_window_product(shape->dims + 2, shape->rank - 2);
    return fb_integer_weight_accepts(weight, 0, depth) && fb_integer_store_accepts(prepare);
}

static FbStatus pack_depthwise(const FbPrepare *prepare, const FbIntegerWeight *w, ConvState *s, FbError *err)
{
    s->depthwise_weight = fb_arena_array(prepare->arena, s->group * s->taps, sizeof *s->depthwise_weight);
    if (!s->depthwise_weight) {
        return fb_error_memory(prepare->context, err, "packed weights", s->group * s->taps * sizeof *s->depthwise_weight);
    }
    for (size_t c = 0; c < s->group; c++) {
        for (size_t t = 0; t < s->taps; t++) {
            s->depthwise_weight[t * s->group + c] = w->codes[c * s->taps + t];
        }
    }
    return FB_OK;
}

static FbStatus pack_groups(const FbPrepare *prepare, const FbIntegerWeight *w, ConvState *s, FbError *err)
{
    const size_t column = s->taps * s->in_channels;
    s->packed = fb_arena_array(prepare->arena, s->group, sizeof *s->packed);
    if (!s->packed) {
        return fb_error_memory(prepare->context, err, "packed weights", s->group * sizeof *s->packed);
    }
    for (size_t g = 0; g < s->group; g++) {
        const FbIntegerMatrix m = {w->codes + g * s->out_channels * column, s->taps, s->in_channels, s->out_channels, 1, s->taps, column};
        FB_TRY(fb_integer_weight_pack(prepare, s->product, &m, s->kernel_taps, w->summands, &s->packed[g], err));
    }
    return FB_OK;
}

static FbStatus prepare_zero(const FbPrepare *prepare, ConvState *s, FbError *err)
{
    s->zero_bytes = s->depthwise ? s->group : (s->in_channels + FB_U8S8_STEP - 1) / FB_U8S8_STEP * FB_U8S8_STEP;
    if (s->dynamic) {
        return FB_OK;
    }
    s->zero_code = prepare->grids[0]->zero;
    s->zero = fb_arena_alloc(prepare->arena, s->zero_bytes);
    if (!s->zero) {
        return fb_error_memory(prepare->context, err, "a row of padding", s->zero_bytes);
    }
    memset(s->zero, s->zero_code, s->zero_bytes);
    return FB_OK;
}

static FbStatus conv_prepare(const FbPrepare *prepare, void **state, FbError *err)
{
    const FbConvParams *p = prepare->params;
    const FbShape *shape = &prepare->constants[1]->shape;
    ConvState *s = fb_arena_alloc(prepare->arena, sizeof *s);
    if (!s) {
        return fb_error_memory(prepare->context, err, "convolution", sizeof *s);
    }
    const unsigned cpu = fb_context_cpu(prepare->context);
    s->product = fb_product_u8s8_pick(cpu);
    s->dynamic = !prepare->grids || !prepare->grids[0];
    s->group = (size_t)p->group;
    s->in_channels = (size_t)shape->dims[1];
    s->out_channels = (size_t)(shape->dims[0] / p->group);
    s->taps = (size_t)fb_window_product(shape->dims + 2, shape->rank - 2);
    s->depthwise = s->group > 1 && s->in_channels == 1 && s->out_channels == 1 ? fb_depthwise_u8s8_pick(cpu) : NULL;
    const bool dense_row = p->window.dilation_count == 0 || p->window.dilation[p->window.dilation_count - 1] == 1;
    const size_t row_taps = (size_t)shape->dims[shape->rank - 1];
    s->few_channels = s->group == 1 && s->in_channels < FEW_CHANNELS && row_taps > 1 && dense_row;
    s->kernel_taps = s->few_channels ? s->taps / row_taps : s->taps;
    FB_TRY(prepare_zero(prepare, s, err));
    FbIntegerWeight weight;
    FB_TRY(fb_integer_weight_read(prepare, 0, &weight, err));
    s->summands = weight.summands;
    FbStatus status = s->depthwise ? pack_depthwise(prepare, &weight, s, err) : pack_groups(prepare, &weight, s, err);
    if (status == FB_OK) {
        status = fb_integer_store_prepare(prepare, &weight, 1, 1, &s->store, err);
    }
    fb_integer_weight_free(prepare->context, &weight);
    *state = s;
    return status;
}

static FbStatus conv_bind(FbBind *bind, FbError *err)
{
    const FbConvParams *p = bind->params;
    const ConvState *s = bind->state;
    const FbTensor *x = bind->call->inputs[0], *w = bind->call->inputs[1];
    ConvBound *b = fb_arena_alloc(bind->arena, sizeof *b);
    if (!b) {
        return fb_error_memory(bind->context, err, "convolution", sizeof *b);
    }
    FB_TRY(fb_window_resolve(&p->window, x->rank - 2, x->dims + 1, w->dims + 2, &b->window, err));
    fb_window_widen(&b->window, FB_WINDOW_AXES);
    b->rows = (size_t)(x->dims[0] * fb_window_product(b->window.out, FB_WINDOW_AXES));
    b->pointwise = !s->few_channels && s->summands == 1 && fb_window_is_pointwise(&b->window);
    if (s->few_channels) {
        fb_window_runs(&b->window, &b->runs);
        b->copy_bytes = b->runs.copies ? fb_up_to_line((size_t)x->dims[0] * b->runs.pixels * s->in_channels + FB_U8S8_STEP) : 0;
    }
    if (s->dynamic) {
        b->dynamic_bytes = fb_dynamic_codes_bytes((size_t)fb_tensor_elements(x), s->store.columns);
        b->zero_bytes = fb_up_to_line(s->zero_bytes);
    }
    if (s->depthwise) {
        const size_t fit = ((size_t)1 << 18) / (s->group * s->taps) / 4 * 4; /* multiply-adds of a unit */
        b->pixel_block = fit < 32 ? 32 : fit > 512 ? 512 : fit; /* fewer would not repay the kernel for interleaving its weights */
        b->pointers = b->pixel_block * s->taps;
    } else {
        b->tiling = fb_product_u8s8_tiling(s->product, b->rows, s->out_channels, s->taps * s->summands * s->in_channels);
        b->pointers = fb_product_u8s8_pointer_count(s->product, b->tiling.row_block, s->kernel_taps * s->summands);
    }
    bind->scratch_bytes = b->dynamic_bytes + b->copy_bytes + b->zero_bytes +
                          (size_t)fb_context_threads(bind->context) * b->pointers * sizeof(const uint8_t *);
    bind->bound = b;
    return FB_OK;
}

static void point(const void *arg, size_t first, size_t count, size_t stride, const uint8_t **a)
{
    const ConvRun *r = arg;
    const ConvState *s = r->state;
    if (r->bound->pointwise) {
        for (size_t i = 0; i < count; i++) {
            a[i] = r->x + (first + i) * r->x_stride;
        }
        return;
    }
    if (s->few_channels) {
        fb_window_points(&r->bound->runs.window, r->x, s->in_channels, NULL, first, count, 1, stride, a);
    } else {
        fb_window_points(&r->bound->window, r->x, r->x_stride, r->zero, first, count, 1, stride, a);
    }
    for (size_t t = s->kernel_taps; t < s->kernel_taps * s->summands; t++) {
        memcpy(a + t * stride, a + (t - s->kernel_taps) * stride, count * sizeof *a);
    }
}

static void product_units(void *arg, size_t slot, size_t begin, size_t end)
{
    const ConvRun *r = arg;
    const ConvState *s = r->state;
    const ConvBound *b = r->bound;
    const FbTilingU8S8 *t = &b->tiling;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t group = unit / (t->row_blocks * t->col_blocks), block = unit % (t->row_blocks * t->col_blocks);
        const size_t row = block / t->col_blocks * t->row_block, col = block % t->col_blocks * t->col_block;
        FbIntegerEpilogue epilogue;
        fb_integer_epilogue_shift(&r->epilogue, 0, group * s->out_channels, &epilogue);
        const FbProductU8S8Job job = {s->product, &s->packed[group], r->zero, (ptrdiff_t)(group * s->in_channels),
                                      (char *)r->y + group * s->out_channels * r->y_bytes, r->y_stride, &epilogue, point, r};
        const size_t rows = b->rows - row < t->row_block ? b->rows - row : t->row_block;
        const size_t cols = s->out_channels - col < t->col_block ? s->out_channels - col : t->col_block;
        fb_product_u8s8_block(&job, row, rows, col, cols, r->pointers + slot * b->pointers);
    }
}

static void depthwise_units(void *arg, size_t slot, size_t begin, size_t end)
{
    const ConvRun *r = arg;
    const ConvState *s = r->state;
    const uint8_t **pointers = r->pointers + slot * r->bound->pointers;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t first = unit * r->bound->pixel_block, left = r->bound->rows - first;
        FbDepthwiseU8S8 d = {left < r->bound->pixel_block ? left : r->bound->pixel_block, s->group, s->taps, pointers, s->depthwise_weight,
                             (char *)r->y + first * r->y_stride * r->y_bytes, r->y_stride, NULL};
        FbIntegerEpilogue epilogue;
        fb_integer_epilogue_shift(&r->epilogue, first, 0, &epilogue);
        d.epilogue = &epilogue;
        fb_window_points(&r->bound->window, r->x, r->x_stride, r->zero, first, d.pixels, s->taps, 1, pointers);
        s->depthwise->run(&d);
    }
}

/* The codes, their padding, offsets and scales of this run, in the scratch where they are not constant. */
static void begin_run(const FbCall *call, ConvRun *r)
{
    const ConvState *s = r->state;
    const ConvBound *b = r->bound;
    const FbTensor *x = call->inputs[0];
    char *scratch = call->scratch;
    FbDynamicCodes dynamic = {.codes = x->data, .zero = s->zero_code};
    r->zero = s->zero;
    if (s->dynamic) {
        uint8_t *zero = (uint8_t *)scratch + b->dynamic_bytes + b->copy_bytes;
        fb_dynamic_codes_run(call->context, &s->store, x->data, (size_t)fb_tensor_elements(x), scratch, &dynamic);
        memset(zero, dynamic.zero, s->zero_bytes);
        r->zero = zero;
    }
    r->x = dynamic.codes;
    if (b->runs.copies) {
        uint8_t *copy = (uint8_t *)scratch + b->dynamic_bytes;
        fb_window_pad(call->context, &b->window, &b->runs, r->x, (size_t)x->dims[0], s->in_channels, dynamic.zero, copy);
        r->x = copy;
    }
    r->pointers = (const uint8_t **)(void *)(scratch + b->dynamic_bytes + b->copy_bytes + b->zero_bytes);
    fb_integer_store_epilogue(&s->store, call, dynamic.offset, dynamic.scales, &r->epilogue);
}

static FbStatus conv_run_lowered(const FbCall *call, FbError *err)
{
    const ConvState *s = call->state;
    const ConvBound *b = call->bound;
    ConvRun r = {.state = s, .bound = b, .y = call->outputs[0]->data, .y_bytes = s->store.codes ? 1 : sizeof(float),
                 .x_stride = fb_call_stride(call, 0, s->group * s->in_channels), .y_stride = fb_call_stride(call, -1, s->group * s->out_channels)};
    if (b->rows == 0) {
        return FB_OK;
    }
    begin_run(call, &r);
    if (s->depthwise) {
        fb_parallel(call->context, depthwise_units, &r, (b->rows + b->pixel_block - 1) / b->pixel_block, 1);
    } else {
        const size_t units = s->group * b->tiling.row_blocks * b->tiling.col_blocks;
        const size_t macs = b->rows * s->out_channels * s->in_channels * s->taps / (b->tiling.row_blocks * b->tiling.col_blocks);
        fb_parallel(call->context, product_units, &r, units, macs < ((size_t)1 << 19) ? ((size_t)1 << 19) / (macs + 1) + 1 : 1);
    }
    return fb_check_cancel(call->context, err);
}

static uint64_t conv_macs(const FbCall *call)
{
    const ConvState *s = call->state;
    const ConvBound *b = call->bound;
    return (uint64_t)b->rows * s->group * s->out_channels * s->in_channels * s->taps;
}

/* Runs of a few channels are read side by side, and quantizing goes over all elements in one. */
static bool conv_strided(const FbCall *call, int i)
{
    const ConvState *s = call->state;
    return i != 0 || (!s->few_channels && !s->dynamic);
}

static const char *conv_kernel(const void *state)
{
    const ConvState *s = state;
    return s->depthwise ? "depthwise_u8s8" : "product_u8s8";
}

const FbLowering fb_conv_integer_lowering = {.name = "conv_u8s8", .accepts = conv_accepts, .prepare = conv_prepare, .bind = conv_bind,
                                             .run = conv_run_lowered, .macs = conv_macs, .kernel = conv_kernel, .strided = conv_strided};
