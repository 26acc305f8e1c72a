/* Conv with a constant weight on channels-last tensors: the indirect product, the product over a padded copy when channels are few, or the
 * depthwise kernel. One, two and three spatial axes are all treated as three. */
#include "kernels/depthwise_f32.h"
#include "kernels/product_block.h"
#include "ops/conv.h"
#include "ops/fused.h"

enum { FEW_CHANNELS = 16 };

typedef struct ConvState {
    const FbProductF32Kernel *product;
    const FbDepthwiseF32Kernel *depthwise; /* NULL: the product */
    size_t group, in_channels, out_channels, taps; /* channels per group */
    bool few_channels;   /* taps of one kernel row and their channels are one run of a padded copy */
    float *packed;       /* per group; depthwise: [taps][channels] */
    size_t packed_group; /* floats of one group */
    float *zero;         /* a row of zeros for padding */
    FbFused fused;
} ConvState;

typedef struct ConvBound {
    FbWindow window;         /* three axes */
    FbWindowRuns runs;       /* few channels */
    bool pointwise;          /* rows of x as they are */
    size_t rows, depth, taps;/* of the product: with few channels a kernel row is one tap */
    size_t copy_bytes;       /* of the padded copy */
    FbProductTiling tiling;
    size_t pixel_block;      /* depthwise */
    size_t pointers;         /* per slot */
} ConvBound;

typedef struct ConvRun {
    const ConvState *state;
    const ConvBound *bound;
    const float *x;      /* or its padded copy */
    float *y;
    FbEpilogue epilogue;
    const float **pointers;
    size_t x_stride, y_stride; /* from pixel to pixel */
} ConvRun;

static bool conv_accepts(const FbPrepare *prepare)
{
    const FbConst *weight = prepare->constants[1];
    return prepare->channels_last && weight && weight->dtype == FB_DTYPE_F32 && prepare->inputs[0].dtype == FB_DTYPE_F32 &&
           weight->shape.rank >= 3 && weight->shape.rank <= 2 + FB_WINDOW_AXES && fb_shape_elements(&weight->shape) > 0 && fb_fused_accepts(prepare);
}

/* OIHW to the packed panels of one group: depth runs over taps, then channels. */
static void pack_group(const ConvState *s, const float *w, float *packed)
{
    const size_t tile = s->product->col_tile, depth = s->taps * s->in_channels;
    for (size_t n = 0; n < s->out_channels; n++) {
        float *to = packed + n / tile * depth * tile + n % tile;
        for (size_t k = 0; k < s->in_channels; k++) {
            for (size_t t = 0; t < s->taps; t++) {
                to[(t * s->in_channels + k) * tile] = w[(n * s->in_channels + k) * s->taps + t];
            }
        }
    }
}

static FbStatus pack_weight(const FbPrepare *prepare, ConvState *s, FbError *err)
{
    const size_t weights = s->out_channels * s->in_channels * s->taps;
    const size_t channels = s->group * s->out_channels;
    s->packed_group = s->depthwise ? s->taps : fb_product_f32_packed_count(s->product, s->taps * s->in_channels, s->out_channels);
    s->packed = fb_arena_array(prepare->arena, s->group * s->packed_group, sizeof *s->packed);
    s->zero = fb_arena_array(prepare->arena, s->depthwise ? channels : s->in_channels * s->group, sizeof *s->zero);
    float *w = fb_alloc_array(prepare->context, weights, sizeof *w);
    if (!s->packed || !s->zero || !w) {
        fb_free(prepare->context, w);
        return fb_error_memory(prepare->context, err, "packed weights", s->group * s->packed_group * sizeof *s->packed);
    }
    FbStatus status = FB_OK;
    for (size_t g = 0; g < s->group && status == FB_OK; g++) {
        status = fb_const_read_f32(prepare->context, prepare->constants[1], g * weights, weights, w, err);
        if (status != FB_OK) {
            break;
        }
        if (s->depthwise) {
            for (size_t t = 0; t < s->taps; t++) {
                s->packed[t * channels + g] = w[t];
            }
        } else {
            pack_group(s, w, s->packed + g * s->packed_group);
        }
    }
    fb_free(prepare->context, w);
    return status;
}

static FbStatus conv_prepare(const FbPrepare *prepare, void **state, FbError *err)
{
    const FbConvParams *p = prepare->params;
    const FbShape *w = &prepare->constants[1]->shape;
    ConvState *s = fb_arena_alloc(prepare->arena, sizeof *s);
    if (!s) {
        return fb_error_memory(prepare->context, err, "convolution", sizeof *s);
    }
    const unsigned cpu = fb_context_cpu(prepare->context);
    s->product = fb_product_f32_pick(cpu);
    s->group = (size_t)p->group;
    s->in_channels = (size_t)w->dims[1];
    s->out_channels = (size_t)(w->dims[0] / p->group);
    s->taps = (size_t)fb_window_product(w->dims + 2, w->rank - 2);
    s->depthwise = s->group > 1 && s->in_channels == 1 && s->out_channels == 1 ? fb_depthwise_f32_pick(cpu) : NULL;
    const bool dense_row = p->window.dilation_count == 0 || p->window.dilation[p->window.dilation_count - 1] == 1;
    s->few_channels = s->group == 1 && s->in_channels < FEW_CHANNELS && w->dims[w->rank - 1] > 1 && dense_row;
    FB_TRY(fb_fused_prepare(prepare, (size_t)w->dims[0], &s->fused, err));
    FB_TRY(pack_weight(prepare, s, err));
    *state = s;
    return FB_OK;
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
    b->depth = s->in_channels;
    b->taps = s->taps;
    b->pointwise = !s->few_channels && fb_window_is_pointwise(&b->window);
    if (s->few_channels) {
        const size_t row_taps = (size_t)b->window.kernel[FB_WINDOW_AXES - 1];
        fb_window_runs(&b->window, &b->runs);
        b->depth = row_taps * s->in_channels;
        b->taps = s->taps / row_taps;
        b->copy_bytes = b->runs.copies ? fb_up_to_line((size_t)x->dims[0] * b->runs.pixels * s->in_channels * sizeof(float)) : 0;
    }
    if (s->depthwise) {
        const size_t fit = ((size_t)1 << 17) / (s->group * s->taps) / 4 * 4; /* multiply-adds of a unit */
        b->pixel_block = fit < 8 ? 8 : fit > 512 ? 512 : fit;
        b->pointers = b->pixel_block * s->taps;
    } else {
        b->tiling = fb_product_tiling(s->product, b->rows, s->out_channels, s->taps * s->in_channels);
        b->pointers = fb_product_pointer_count(s->product, b->tiling.row_block, b->taps);
    }
    bind->scratch_bytes = b->copy_bytes + (size_t)fb_context_threads(bind->context) * b->pointers * sizeof(const float *);
    bind->bound = b;
    return FB_OK;
}

static void point(const void *arg, size_t first, size_t count, size_t stride, const float **a)
{
    const ConvRun *r = arg;
    if (r->bound->pointwise) {
        for (size_t i = 0; i < count; i++) {
            a[i] = r->x + (first + i) * r->x_stride;
        }
    } else if (r->state->few_channels) {
        fb_window_points_f32(&r->bound->runs.window, r->x, r->state->in_channels, NULL, first, count, 1, stride, a);
    } else {
        fb_window_points_f32(&r->bound->window, r->x, r->x_stride, r->state->zero, first, count, 1, stride, a);
    }
}

static void product_units(void *arg, size_t slot, size_t begin, size_t end)
{
    const ConvRun *r = arg;
    const ConvState *s = r->state;
    const ConvBound *b = r->bound;
    const FbProductTiling *t = &b->tiling;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t group = unit / (t->row_blocks * t->col_blocks), block = unit % (t->row_blocks * t->col_blocks);
        const size_t row = block / t->col_blocks * t->row_block, col = block % t->col_blocks * t->col_block;
        FbEpilogue epilogue;
        fb_epilogue_shift(&r->epilogue, 0, group * s->out_channels, &epilogue);
        const FbProductJob job = {s->product, b->rows, s->out_channels, b->depth, b->taps, s->packed + group * s->packed_group, s->zero,
                                  (ptrdiff_t)(group * s->in_channels), r->y + group * s->out_channels, r->y_stride, &epilogue, point, r};
        const size_t rows = b->rows - row < t->row_block ? b->rows - row : t->row_block;
        const size_t cols = s->out_channels - col < t->col_block ? s->out_channels - col : t->col_block;
        fb_product_block(&job, row, rows, col, cols, r->pointers + slot * b->pointers);
    }
}

static void depthwise_units(void *arg, size_t slot, size_t begin, size_t end)
{
    const ConvRun *r = arg;
    const ConvState *s = r->state;
    const ConvBound *b = r->bound;
    const float **pointers = r->pointers + slot * b->pointers;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t first = unit * b->pixel_block, left = b->rows - first;
        FbDepthwiseF32 d = {left < b->pixel_block ? left : b->pixel_block, s->group, s->taps, pointers, s->packed,
                            r->y + first * r->y_stride, r->y_stride, NULL};
        FbEpilogue epilogue;
        fb_epilogue_shift(&r->epilogue, first, 0, &epilogue);
        d.epilogue = &epilogue;
        fb_window_points_f32(&b->window, r->x, r->x_stride, s->zero, first, d.pixels, s->taps, 1, pointers);
        s->depthwise->run(&d);
    }
}

static FbStatus conv_run_lowered(const FbCall *call, FbError *err)
{
    const ConvState *s = call->state;
    const ConvBound *b = call->bound;
    const FbTensor *x = call->inputs[0];
    ConvRun r = {.state = s, .bound = b, .x = x->data, .y = call->outputs[0]->data,
                 .x_stride = fb_call_stride(call, 0, s->group * s->in_channels), .y_stride = fb_call_stride(call, -1, s->group * s->out_channels)};
    if (b->rows == 0) {
        return FB_OK;
    }
    if (b->runs.copies) {
        fb_window_pad(call->context, &b->window, &b->runs, r.x, (size_t)x->dims[0], s->in_channels * sizeof(float), 0, call->scratch);
        r.x = call->scratch;
    }
    r.pointers = (const float **)(void *)((char *)call->scratch + b->copy_bytes);
    fb_fused_epilogue(&s->fused, call, s->group * s->out_channels, &r.epilogue);
    if (s->depthwise) {
        fb_parallel(call->context, depthwise_units, &r, (b->rows + b->pixel_block - 1) / b->pixel_block, 1);
    } else {
        const size_t units = s->group * b->tiling.row_blocks * b->tiling.col_blocks;
        const size_t macs = b->rows * s->out_channels * s->in_channels * s->taps / (b->tiling.row_blocks * b->tiling.col_blocks);
        fb_parallel(call->context, product_units, &r, units, macs < ((size_t)1 << 18) ? ((size_t)1 << 18) / (macs + 1) + 1 : 1);
    }
    return fb_check_cancel(call->context, err);
}

static uint64_t conv_macs(const FbCall *call)
{
    const ConvState *s = call->state;
    const ConvBound *b = call->bound;
    return (uint64_t)b->rows * s->group * s->out_channels * s->in_channels * s->taps;
}

/* Runs of a few channels are read side by side. */
static bool conv_strided(const FbCall *call, int i)
{
    return i != 0 || !((const ConvState *)call->state)->few_channels;
}

static const char *conv_kernel(const void *state)
{
    const ConvState *s = state;
    return s->depthwise != NULL ? "depthwise_f32" : "product_f32";
}

const FbLowering fb_conv_lowering = {.name = "conv", .accepts = conv_accepts, .prepare = conv_prepare, .bind = conv_bind, .run = conv_run_lowered,
                                     .macs = conv_macs, .kernel = conv_kernel, .strided = conv_strided};
