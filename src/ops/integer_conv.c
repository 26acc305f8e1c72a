/* ConvInteger and QLinearConv: convolutions of 8-bit codes, exact. */
#include "ops/attribute.h"
#include "ops/integer_product.h"
#include "ops/window.h"

typedef struct IntegerConvParams {
    FbWindowParams window;
    int64_t group;
} IntegerConvParams;

static FbStatus decode_conv(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    IntegerConvParams *p = params;
    (void)arena;
    FB_TRY(fb_attr_int(node, "group", 1, &p->group, err));
    if (p->group < 1) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'group' is %lld", (long long)p->group);
    }
    return fb_window_decode(node, &p->window, err);
}

/* Shapes: x [N, C, spatial...], w [M, C / group, kernel...]. */
static FbStatus conv_shape(const IntegerConvParams *p, const FbShape *x, const FbShape *w, FbWindow *window, FbShape *out, FbError *err)
{
    *out = (FbShape){.rank = -1};
    if (x->rank < 0 || w->rank < 0) {
        return FB_OK;
    }
    if (x->rank < 3 || x->rank != w->rank) {
        return fb_error_set(err, FB_ERR_FORMAT, "a convolution needs operands of equal rank, 3 at least, not %d and %d", x->rank, w->rank);
    }
    int64_t channels = x->dims[1], filters = w->dims[0], each = w->dims[1];
    if ((channels >= 0 && each >= 0 && channels != each * p->group) || (filters >= 0 && filters % p->group != 0)) {
        return fb_error_set(err, FB_ERR_FORMAT, "%lld channels do not fit %lld filters of %lld channels in %lld groups", (long long)channels,
                            (long long)filters, (long long)each, (long long)p->group);
    }
    out->rank = x->rank;
    out->dims[0] = x->dims[0];
    out->dims[1] = filters;
    for (int i = 2; i < x->rank; i++) {
        out->dims[i] = FB_DIM_UNKNOWN;
        if (w->dims[i] < 0) { /* a kernel that is computed and not known yet */
            return FB_OK;
        }
    }
    FB_TRY(fb_window_resolve(&p->window, x->rank - 2, x->dims + 2, w->dims + 2, window, err));
    for (int i = 0; i < window->spatial; i++) {
        out->dims[2 + i] = window->out[i];
    }
    return FB_OK;
}

typedef struct ConvWork {
    FbWindow window;
    const FbTensor *x, *w, *x_zero, *w_zero;                       /* zeros NULL: 0 */
    const FbTensor *x_scale, *w_scale, *y_scale, *y_zero, *bias;   /* y_scale NULL: store int32 sums */
    FbTensor *to;
    int64_t channels, filters, group_channels, group_filters, in_size, out_size, taps, blocks;
    float *centered;                                               /* x less its zero point, channels last */
    const FbProductF32Kernel *kernel;
    int64_t groups, panels;                                        /* panels of filters per group */
} ConvWork;

static double pick(const FbTensor *tensor, int64_t i)
{
    return tensor ? fb_tensor_number(tensor, fb_tensor_elements(tensor) == 1 ? 0 : i) : 0;
}

/* Adds one tap of all channels of the filter's group to the sums of a block of output pixels. */
static void add_tap(const ConvWork *work, FbIntegerSums *sums, int64_t image, int64_t filter, int64_t tap, const int64_t *places, size_t count)
{
    int32_t x_zero = (int32_t)pick(work->x_zero, 0), w_zero = (int32_t)pick(work->w_zero, filter);
    int64_t first_channel = filter / work->group_filters * work->group_channels;
    for (int64_t c = 0; c < work->group_channels; c++) {
        if (fb_integer_full(sums)) {
            fb_integer_flush(sums, count);
        }
        int32_t w = fb_code_at(work->w, (filter * work->group_channels + c) * work->taps + tap) - w_zero;
        int64_t plane = (image * work->channels + first_channel + c) * work->in_size;
        sums->pending++;
        for (size_t i = 0; w != 0 && i < count; i++) { /* padding is x's zero point: nothing to add */
            sums->part[i] += places[i] < 0 ? 0 : w * (fb_code_at(work->x, plane + places[i]) - x_zero);
        }
    }
}

static void store_sum(const ConvWork *work, int64_t sum, int64_t filter, int64_t at, double multiplier)
{
    if (!work->y_scale) {
        ((int32_t *)work->to->data)[at] = (int32_t)(uint32_t)(uint64_t)sum;
        return;
    }
    sum += work->bias ? ((const int32_t *)work->bias->data)[filter] : 0;
    fb_integer_requantize(sum, multiplier, (int32_t)pick(work->y_zero, 0), work->to, at);
}

static double multiplier_of(const ConvWork *work, int64_t filter)
{
    return work->y_scale ? pick(work->x_scale, 0) * pick(work->w_scale, filter) / pick(work->y_scale, 0) : 0;
}

/* Few filters per group (depthwise): one filter and a block of pixels at a time. */
static void conv_block(const ConvWork *work, int64_t image, int64_t filter, int64_t pixel, size_t count)
{
    FbIntegerSums sums;
    int64_t places[FB_INTEGER_BLOCK];
    fb_integer_begin(&sums, count);
    for (int64_t tap = 0; tap < work->taps; tap++) {
        for (size_t i = 0; i < count; i++) {
            places[i] = fb_window_place(&work->window, pixel + (int64_t)i, tap);
        }
        add_tap(work, &sums, image, filter, tap, places, count);
    }
    fb_integer_flush(&sums, count);
    int64_t first = (image * work->filters + filter) * work->out_size + pixel;
    double multiplier = multiplier_of(work, filter);
    for (size_t i = 0; i < count; i++) {
        store_sum(work, sums.total[i], filter, first + (int64_t)i, multiplier);
    }
}

static void conv_task(void *arg, size_t slot, size_t begin, size_t end)
{
    const ConvWork *work = arg;
    (void)slot;
    for (size_t i = begin; i < end; i++) {
        int64_t pixel = (int64_t)i % work->blocks * FB_INTEGER_BLOCK, line = (int64_t)i / work->blocks;
        int64_t count = work->out_size - pixel < FB_INTEGER_BLOCK ? work->out_size - pixel : FB_INTEGER_BLOCK;
        conv_block(work, line / work->filters, line % work->filters, pixel, (size_t)count);
    }
}

/* Images to channels last, less the zero point. */
static void center_task(void *arg, size_t slot, size_t begin, size_t end)
{
    const ConvWork *work = arg;
    float zero = (float)pick(work->x_zero, 0);
    (void)slot;
    for (size_t pixel = begin; pixel < end; pixel++) {
        int64_t image = (int64_t)pixel / work->in_size, place = (int64_t)pixel % work->in_size;
        fb_integer_center(work->x, image * work->channels * work->in_size + place, work->in_size, zero,
                          work->centered + (int64_t)pixel * work->channels, (size_t)work->channels);
    }
}

/* Weights of `taps` taps from `tap` and `depth` channels from `channel`, for the tile's filters, into its panel. */
static void pack_panel(const ConvWork *work, FbIntegerTile *tile, int64_t filter, int64_t tap, size_t taps, int64_t channel, size_t depth)
{
    size_t width = work->kernel->col_tile;
    memset(tile->panel, 0, taps * depth * width * sizeof tile->panel[0]);
    for (size_t n = 0; n < tile->cols; n++) {
        int64_t row = (filter + (int64_t)n) * work->group_channels * work->taps;
        float zero = (float)pick(work->w_zero, filter + (int64_t)n);
        for (size_t t = 0; t < taps; t++) {
            for (size_t d = 0; d < depth; d++) {
                int64_t at = row + (channel + (int64_t)d) * work->taps + tap + (int64_t)t;
                tile->panel[(t * depth + d) * width + n] = (float)fb_code_at(work->w, at) - zero;
            }
        }
    }
}

enum { CONV_TAPS = 32 }; /* of one chunk: bounds the pointers */

/* A group of pixels by a panel of filters, all taps and channels. */
static void conv_tile(const ConvWork *work, FbIntegerTile *tile, int64_t image, int64_t group, int64_t filter, int64_t pixel)
{
    const float *a[CONV_TAPS * FB_INTEGER_ROWS];
    const float *base = work->centered + image * work->in_size * work->channels + group * work->group_channels;
    size_t depth = (size_t)(work->group_channels < FB_INTEGER_DEPTH ? work->group_channels : FB_INTEGER_DEPTH);
    int64_t step = FB_INTEGER_DEPTH / (int64_t)depth < CONV_TAPS ? FB_INTEGER_DEPTH / (int64_t)depth : CONV_TAPS;
    for (int64_t tap = 0; tap < work->taps; tap += step) {
        size_t taps = (size_t)(work->taps - tap < step ? work->taps - tap : step);
        for (size_t t = 0; t < taps; t++) {
            for (size_t r = 0; r < tile->rows; r++) {
                int64_t place = fb_window_place(&work->window, pixel + (int64_t)r, tap + (int64_t)t);
                a[t * FB_INTEGER_ROWS + r] = place < 0 ? fb_integer_padding : base + place * work->channels;
            }
        }
        for (int64_t channel = 0; channel < work->group_channels; channel += FB_INTEGER_DEPTH) {
            size_t here = (size_t)(work->group_channels - channel < FB_INTEGER_DEPTH ? work->group_channels - channel : FB_INTEGER_DEPTH);
            pack_panel(work, tile, filter, tap, taps, channel, here);
            fb_integer_tile_add(tile, a, taps, here, (ptrdiff_t)channel);
        }
    }
    fb_integer_tile_end(tile);
    int64_t first = (image * work->filters + filter) * work->out_size + pixel;
    for (size_t n = 0; n < tile->cols; n++) {
        double multiplier = multiplier_of(work, filter + (int64_t)n);
        for (size_t r = 0; r < tile->rows; r++) {
            store_sum(work, tile->total[r * tile->cols + n], filter + (int64_t)n, first + (int64_t)n * work->out_size + (int64_t)r, multiplier);
        }
    }
}

static void tile_task(void *arg, size_t slot, size_t begin, size_t end)
{
    const ConvWork *work = arg;
    FbIntegerTile tile;
    int64_t most = (int64_t)fb_integer_cols(work->kernel);
    (void)slot;
    for (size_t i = begin; i < end; i++) {
        int64_t pixel = (int64_t)i % work->blocks * FB_INTEGER_ROWS, rest = (int64_t)i / work->blocks;
        int64_t panel = rest % work->panels * most, group = rest / work->panels % work->groups, image = rest / work->panels / work->groups;
        size_t rows = (size_t)(work->out_size - pixel < FB_INTEGER_ROWS ? work->out_size - pixel : FB_INTEGER_ROWS);
        size_t cols = (size_t)(work->group_filters - panel < most ? work->group_filters - panel : most);
        fb_integer_tile_begin(&tile, work->kernel, rows, cols);
        conv_tile(work, &tile, image, group, group * work->group_filters + panel, pixel);
    }
}

/* Channels-last images and panels of filters through the float product. */
static void conv_by_tiles(const FbCall *call, ConvWork *work, int64_t images)
{
    int64_t most = (int64_t)fb_integer_cols(work->kernel);
    work->centered = call->scratch;
    work->panels = (work->group_filters + most - 1) / most;
    work->blocks = (work->out_size + FB_INTEGER_ROWS - 1) / FB_INTEGER_ROWS;
    fb_parallel(call->context, center_task, work, (size_t)(images * work->in_size), (size_t)(1 + 65536 / work->channels));
    fb_parallel(call->context, tile_task, work, (size_t)(images * work->groups * work->panels * work->blocks), 1);
}

/* Below this a panel is mostly empty. */
enum { CONV_TILE_FILTERS = 4 };

static size_t scratch_conv(const FbCall *call) { return (size_t)fb_tensor_elements(call->inputs[0]) * sizeof(float); }

static FbStatus run_conv(const FbCall *call, ConvWork *work, FbError *err)
{
    const IntegerConvParams *p = call->params;
    FbShape x = fb_tensor_shape(work->x), w = fb_tensor_shape(work->w), out;
    FB_TRY(conv_shape(p, &x, &w, &work->window, &out, err));
    work->channels = x.dims[1];
    work->filters = w.dims[0];
    work->group_channels = w.dims[1];
    work->group_filters = w.dims[0] / p->group;
    work->in_size = fb_window_product(work->window.in, work->window.spatial);
    work->out_size = fb_window_product(work->window.out, work->window.spatial);
    work->taps = fb_window_product(work->window.kernel, work->window.spatial);
    FB_TRY(fb_integer_check_count(work->x_zero, 1, 1, "input's zero point", err));
    FB_TRY(fb_integer_check_count(work->x_scale, 1, 1, "input's scale", err));
    FB_TRY(fb_integer_check_count(work->y_zero, 1, 1, "output's zero point", err));
    FB_TRY(fb_integer_check_count(work->y_scale, 1, 1, "output's scale", err));
    FB_TRY(fb_integer_check_count(work->w_zero, work->filters, 1, "weight's zero point", err));
    FB_TRY(fb_integer_check_count(work->w_scale, work->filters, 1, "weight's scale", err));
    if (work->bias && fb_tensor_elements(work->bias) != work->filters) {
        return fb_error_set(err, FB_ERR_FORMAT, "the bias holds %lld numbers for %lld filters", (long long)fb_tensor_elements(work->bias),
                            (long long)work->filters);
    }
    work->groups = p->group;
    work->kernel = fb_product_f32_pick(fb_context_cpu(call->context));
    if (x.dims[0] == 0 || work->filters == 0 || work->out_size == 0) {
        return FB_OK;
    }
    if (work->group_filters >= CONV_TILE_FILTERS && work->group_channels > 0) {
        conv_by_tiles(call, work, x.dims[0]);
        return FB_OK;
    }
    work->blocks = (work->out_size + FB_INTEGER_BLOCK - 1) / FB_INTEGER_BLOCK;
    fb_parallel(call->context, conv_task, work, (size_t)(x.dims[0] * work->filters * work->blocks),
                (size_t)(1 + 262144 / (work->taps * work->group_channels * FB_INTEGER_BLOCK + 1)));
    return FB_OK;
}

static FbStatus infer_conv_integer(FbInfer *infer, FbError *err)
{
    FbWindow window;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_CODES8, err));
    FB_TRY(fb_check_input_dtype(infer, 1, FB_MASK_CODES8, err));
    FB_TRY(fb_check_same_dtype(infer, 0, 2, err));
    FB_TRY(fb_check_same_dtype(infer, 1, 3, err));
    infer->outputs[0].dtype = FB_DTYPE_S32;
    return conv_shape(infer->params, &infer->inputs[0].shape, &infer->inputs[1].shape, &window, &infer->outputs[0].shape, err);
}

static FbStatus run_conv_integer(const FbCall *call, FbError *err)
{
    ConvWork work = {.x = call->inputs[0], .w = call->inputs[1], .x_zero = fb_call_input(call, 2), .w_zero = fb_call_input(call, 3),
                     .to = call->outputs[0]};
    return run_conv(call, &work, err);
}

static FbStatus infer_qlinear_conv(FbInfer *infer, FbError *err)
{
    FbWindow window;
    FB_TRY(fb_integer_check_triple(infer, 0, err));
    FB_TRY(fb_integer_check_triple(infer, 3, err));
    FB_TRY(fb_check_input_dtype(infer, 6, FB_MASK_SCALES, err));
    FB_TRY(fb_check_input_dtype(infer, 7, FB_MASK_CODES8, err));
    FB_TRY(fb_check_input_dtype(infer, 8, FB_MASK(FB_DTYPE_S32), err));
    infer->outputs[0].dtype = infer->inputs[7].dtype;
    return conv_shape(infer->params, &infer->inputs[0].shape, &infer->inputs[3].shape, &window, &infer->outputs[0].shape, err);
}

static FbStatus run_qlinear_conv(const FbCall *call, FbError *err)
{
    const FbTensor *const *in = call->inputs;
    ConvWork work = {.x = in[0], .x_scale = in[1], .x_zero = in[2], .w = in[3], .w_scale = in[4], .w_zero = in[5], .y_scale = in[6],
                     .y_zero = in[7], .bias = fb_call_input(call, 8), .to = call->outputs[0]};
    return run_conv(call, &work, err);
}

static const char *const names[] = {"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides", NULL};

static const FbOp rows[] = {
    {.domain = "", .name = "ConvInteger", .summary = "convolution of 8-bit codes, int32 sums", .since = 10, .newest = FB_OPSET_NEWEST,
     .min_inputs = 2, .max_inputs = 4, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(IntegerConvParams), .decode = decode_conv,
     .infer = infer_conv_integer, .scratch = scratch_conv, .run = run_conv_integer, .attributes = names},
    {.domain = "", .name = "QLinearConv", .summary = "convolution of quantized tensors", .since = 10, .newest = FB_OPSET_NEWEST,
     .min_inputs = 8, .max_inputs = 9, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(IntegerConvParams), .decode = decode_conv,
     .infer = infer_qlinear_conv, .scratch = scratch_conv, .run = run_qlinear_conv, .attributes = names},
};

const FbOpFamily fb_ops_integer_conv = {rows, sizeof rows / sizeof rows[0]};
