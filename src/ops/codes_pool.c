/* MaxPool, AveragePool and GlobalAveragePool on channels-last codes, with the sums of the operators on reals. One, two and three spatial axes
 * are all treated as three. */
#include "ops/codes_pool.h"

#include "kernels/codes.h"
#include "ops/codes_store.h"
#include "ops/pool.h"

enum { AXES = 3, PIXEL_BLOCK = 16, CHANNEL_BLOCK = 256 };

typedef struct CodesPoolState {
    const FbCodesKernel *kernel;
    bool max, global;
    FbCodeGrid from, to;
    bool codes;
} CodesPoolState;

typedef struct CodesPoolBound { /* the window on three axes; global: unused but for in */
    int64_t in[AXES], out[AXES], kernel[AXES], stride[AXES], dilation[AXES], begin[AXES], end[AXES];
    size_t pixels, taps, channels; /* of the output */
    bool count_include_pad;
} CodesPoolBound;

typedef struct CodesPoolRun {
    const CodesPoolState *state;
    const CodesPoolBound *bound;
    const uint8_t *x;
    void *y;
    const uint8_t **pointers; /* [threads][PIXEL_BLOCK][taps], global [threads][taps] */
    int32_t *divisors;        /* [threads][PIXEL_BLOCK] */
} CodesPoolRun;

static bool same_grid(const FbCodeGrid *a, const FbCodeGrid *b)
{
    return a->scale == b->scale && a->zero == b->zero && a->low <= b->low && a->high >= b->high;
}

static bool pool_accepts(const FbPrepare *prepare)
{
    const int rank = prepare->inputs[0].shape.rank;
    if (!prepare->channels_last || prepare->grids[0] == NULL || prepare->constants[0] || prepare->inputs[0].dtype != FB_DTYPE_F32 || rank < 3 ||
        rank > 2 + AXES || !fb_codes_store_is_plain(prepare)) {
        return false;
    }
    const bool max = strcmp(prepare->node->op_type, "MaxPool") == 0; /* of codes: only as codes of their own grid */
    return !max || (prepare->store_grid != NULL && same_grid(prepare->store_grid, prepare->grids[0]));
}

static FbStatus pool_prepare(const FbPrepare *prepare, void **state, FbError *err)
{
    CodesPoolState *s = fb_arena_alloc(prepare->arena, sizeof *s);
    if (!s) {
        return fb_error_memory(prepare->context, err, "a step on codes", sizeof *s);
    }
    *s = (CodesPoolState){.kernel = fb_codes_pick(fb_context_cpu(prepare->context)), .max = strcmp(prepare->node->op_type, "MaxPool") == 0,
                          .global = strcmp(prepare->node->op_type, "GlobalAveragePool") == 0, .from = *prepare->grids[0],
                          .codes = prepare->store_grid != NULL};
    if (s->codes) {
        s->to = *prepare->store_grid;
    }
    *state = s;
    return FB_OK;
}

/* The spatial axes at the end of three, ones in front of them. */
static void spread(CodesPoolBound *b, const FbWindow *w)
{
    for (int i = 0; i < AXES; i++) {
        const int from = i - (AXES - w->spatial);
        const bool has = from >= 0;
        b->in[i] = has ? w->in[from] : 1;
        b->out[i] = has ? w->out[from] : 1;
        b->kernel[i] = has ? w->kernel[from] : 1;
        b->stride[i] = has ? w->stride[from] : 1;
        b->dilation[i] = has ? w->dilation[from] : 1;
        b->begin[i] = has ? w->begin[from] : 0;
        b->end[i] = has ? w->end[from] : 0;
    }
}

static FbStatus pool_bind(FbBind *bind, FbError *err)
{
    const CodesPoolState *s = bind->state;
    const FbPoolParams *p = bind->params;
    const FbTensor *x = bind->call->inputs[0];
    const size_t threads = (size_t)fb_context_threads(bind->context);
    CodesPoolBound *b = fb_arena_alloc(bind->arena, sizeof *b);
    if (!b) {
        return fb_error_memory(bind->context, err, "a step on codes", sizeof *b);
    }
    *b = (CodesPoolBound){.channels = (size_t)x->dims[x->rank - 1]};
    if (s->global) {
        b->taps = (size_t)fb_window_product(x->dims + 1, x->rank - 2);
        b->pixels = (size_t)x->dims[0];
        bind->scratch_bytes = threads * b->taps * sizeof(const uint8_t *);
    } else {
        FbWindow window;
        FB_TRY(fb_window_resolve(&p->window, x->rank - 2, x->dims + 1, NULL, &window, err));
        spread(b, &window);
        b->count_include_pad = p->count_include_pad;
        b->taps = (size_t)fb_window_product(b->kernel, AXES);
        b->pixels = (size_t)(x->dims[0] * fb_window_product(b->out, AXES));
        bind->scratch_bytes = threads * PIXEL_BLOCK * (b->taps * sizeof(const uint8_t *) + sizeof(int32_t));
    }
    bind->bound = b;
    return FB_OK;
}

/* How many taps an average of output position `out` counts along an axis: those in the input, or in the padded input. */
static int32_t counted(const CodesPoolBound *b, int axis, int64_t out)
{
    const int64_t start = out * b->stride[axis] - b->begin[axis];
    const int64_t low = b->count_include_pad ? -b->begin[axis] : 0, high = b->in[axis] + (b->count_include_pad ? b->end[axis] : 0);
    int32_t count = 0;
    for (int64_t k = 0; k < b->kernel[axis]; k++) {
        const int64_t at = start + k * b->dilation[axis];
        count += at >= low && at < high;
    }
    return count;
}

/* What one output pixel sees, and how much of it counts. */
static int32_t point(const CodesPoolRun *r, int64_t pixel, const uint8_t **to)
{
    const CodesPoolBound *b = r->bound;
    const int64_t column = pixel % b->out[2], row = pixel / b->out[2] % b->out[1], plane = pixel / (b->out[2] * b->out[1]) % b->out[0];
    const int64_t image = pixel / (b->out[2] * b->out[1] * b->out[0]);
    for (int64_t kd = 0; kd < b->kernel[0]; kd++) {
        const int64_t d = plane * b->stride[0] - b->begin[0] + kd * b->dilation[0];
        for (int64_t kh = 0; kh < b->kernel[1]; kh++) {
            const int64_t h = row * b->stride[1] - b->begin[1] + kh * b->dilation[1];
            const bool inside = d >= 0 && d < b->in[0] && h >= 0 && h < b->in[1];
            for (int64_t kw = 0; kw < b->kernel[2]; kw++) {
                const int64_t c = column * b->stride[2] - b->begin[2] + kw * b->dilation[2];
                const size_t at = (size_t)(((image * b->in[0] + d) * b->in[1] + h) * b->in[2] + c);
                *to++ = inside && c >= 0 && c < b->in[2] ? r->x + at * b->channels : NULL;
            }
        }
    }
    return r->state->max ? 1 : counted(b, 0, plane) * counted(b, 1, row) * counted(b, 2, column);
}

static void pool_units(void *arg, size_t slot, size_t begin, size_t end)
{
    const CodesPoolRun *r = arg;
    const CodesPoolBound *b = r->bound;
    const CodesPoolState *s = r->state;
    const uint8_t **pointers = r->pointers + slot * PIXEL_BLOCK * b->taps;
    int32_t *divisors = r->divisors + slot * PIXEL_BLOCK;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t first = unit * PIXEL_BLOCK, count = b->pixels - first < PIXEL_BLOCK ? b->pixels - first : PIXEL_BLOCK;
        for (size_t i = 0; i < count; i++) {
            divisors[i] = point(r, (int64_t)(first + i), pointers + i * b->taps);
        }
        const FbCodesPool pool = {.pixels = count, .channels = b->channels, .taps = b->taps, .x = pointers, .divisor = divisors, .from = s->from,
                                  .codes = s->codes, .to = s->to, .y = (char *)r->y + first * b->channels * (s->codes ? 1 : sizeof(float))};
        (s->max ? s->kernel->max_pool : s->kernel->average_pool)(&pool);
    }
}

/* Unit: a block of the channels of one image. */
static void global_units(void *arg, size_t slot, size_t begin, size_t end)
{
    const CodesPoolRun *r = arg;
    const CodesPoolBound *b = r->bound;
    const CodesPoolState *s = r->state;
    const size_t blocks = (b->channels + CHANNEL_BLOCK - 1) / CHANNEL_BLOCK;
    const uint8_t **pointers = r->pointers + slot * b->taps;
    const int32_t divisor = (int32_t)b->taps;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t image = unit / blocks, c = unit % blocks * CHANNEL_BLOCK, at = image * b->channels + c;
        for (size_t t = 0; t < b->taps; t++) {
            pointers[t] = r->x + (image * b->taps + t) * b->channels + c;
        }
        const FbCodesPool pool = {.pixels = 1, .channels = b->channels - c < CHANNEL_BLOCK ? b->channels - c : CHANNEL_BLOCK, .taps = b->taps,
                                  .x = pointers, .divisor = &divisor, .from = s->from, .codes = s->codes, .to = s->to,
                                  .y = (char *)r->y + at * (s->codes ? 1 : sizeof(float))};
        s->kernel->average_pool(&pool);
    }
}

static FbStatus pool_run(const FbCall *call, FbError *err)
{
    const CodesPoolBound *b = call->bound;
    CodesPoolRun r = {.state = call->state, .bound = b, .x = call->inputs[0]->data, .y = call->outputs[0]->data, .pointers = call->scratch};
    if (b->pixels * b->channels == 0 || b->taps == 0) {
        return FB_OK;
    }
    if (r.state->global) {
        const size_t blocks = (b->channels + CHANNEL_BLOCK - 1) / CHANNEL_BLOCK;
        fb_parallel(call->context, global_units, &r, b->pixels * blocks, 262144 / (b->taps * CHANNEL_BLOCK) + 1);
    } else {
        r.divisors = (int32_t *)(void *)(r.pointers + (size_t)fb_context_threads(call->context) * PIXEL_BLOCK * b->taps);
        const size_t work = PIXEL_BLOCK * b->taps * b->channels;
        fb_parallel(call->context, pool_units, &r, (b->pixels + PIXEL_BLOCK - 1) / PIXEL_BLOCK, 262144 / work + 1);
    }
    return fb_check_cancel(call->context, err);
}

static const char *pool_kernel(const void *state)
{
    (void)state;
    return "codes";
}

const FbLowering fb_codes_pool_lowering = {.name = "pool_codes", .accepts = pool_accepts, .prepare = pool_prepare, .bind = pool_bind,
                                           .run = pool_run, .kernel = pool_kernel};
