/* MaxPool, AveragePool and GlobalAveragePool on channels-last codes, with the sums of the operators on reals. One, two and three spatial axes
 * are all treated as three. */
#include "ops/codes_pool.h"

#include "kernels/codes.h"
#include "ops/codes_store.h"
#include "ops/pool.h"

enum { PIXEL_BLOCK = 16, CHANNEL_BLOCK = 256 };

typedef struct CodesPoolState {
    const FbCodesKernel *kernel;
    bool max, global;
    FbCodeGrid from, to;
    bool codes;
} CodesPoolState;

typedef struct CodesPoolBound {
    FbWindow window; /* three axes; global: unused */
    size_t pixels, taps, channels; /* of the output */
    bool count_include_pad;
} CodesPoolBound;

typedef struct CodesPoolRun {
    const CodesPoolState *state;
    const CodesPoolBound *bound;
    const uint8_t *x;
    void *y;
    size_t x_stride, y_stride; /* from pixel to pixel */
    const uint8_t **pointers; /* [threads][PIXEL_BLOCK][taps], global [threads][taps] */
    int32_t *divisors;        /* [threads][PIXEL_BLOCK] */
} CodesPoolRun;

/* Every code of `b` is one of `a`, and means the same. */
static bool covers(const FbCodeGrid *a, const FbCodeGrid *b)
{
    return a->scale == b->scale && a->zero == b->zero && a->low <= b->low && a->high >= b->high;
}

static bool pool_accepts(const FbPrepare *prepare)
{
    const int rank = prepare->inputs[0].shape.rank;
    if (!prepare->channels_last || prepare->grids[0] == NULL || prepare->constants[0] || prepare->inputs[0].dtype != FB_DTYPE_F32 || rank < 3 ||
        rank > 2 + FB_WINDOW_AXES || !fb_codes_store_is_plain(prepare)) {
        return false;
    }
    const bool max = strcmp(prepare->node->op_type, "MaxPool") == 0; /* of codes: only as codes of their own grid */
    return !max || (prepare->store_grid != NULL && covers(prepare->store_grid, prepare->grids[0]));
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
        FB_TRY(fb_window_resolve(&p->window, x->rank - 2, x->dims + 1, NULL, &b->window, err));
        fb_window_widen(&b->window, FB_WINDOW_AXES);
        b->count_include_pad = p->count_include_pad;
        b->taps = (size_t)fb_window_product(b->window.kernel, FB_WINDOW_AXES);
        b->pixels = (size_t)(x->dims[0] * fb_window_product(b->window.out, FB_WINDOW_AXES));
        bind->scratch_bytes = threads * PIXEL_BLOCK * (b->taps * sizeof(const uint8_t *) + sizeof(int32_t));
    }
    bind->bound = b;
    return FB_OK;
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
        fb_window_points(&b->window, r->x, r->x_stride, NULL, first, count, b->taps, 1, pointers);
        for (size_t i = 0; !s->max && i < count; i++) {
            divisors[i] = (int32_t)fb_pool_divisor(&b->window, b->count_include_pad, (int64_t)(first + i));
        }
        const FbCodesPool pool = {.pixels = count, .channels = b->channels, .taps = b->taps, .x = pointers, .divisor = divisors, .from = s->from,
                                  .codes = s->codes, .to = s->to, .y = (char *)r->y + first * r->y_stride * (s->codes ? 1 : sizeof(float)),
                                  .y_stride = r->y_stride};
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
        const size_t image = unit / blocks, c = unit % blocks * CHANNEL_BLOCK, at = image * r->y_stride + c;
        for (size_t t = 0; t < b->taps; t++) {
            pointers[t] = r->x + (image * b->taps + t) * r->x_stride + c;
        }
        const FbCodesPool pool = {.pixels = 1, .channels = b->channels - c < CHANNEL_BLOCK ? b->channels - c : CHANNEL_BLOCK, .taps = b->taps,
                                  .x = pointers, .divisor = &divisor, .from = s->from, .codes = s->codes, .to = s->to,
                                  .y = (char *)r->y + at * (s->codes ? 1 : sizeof(float)), .y_stride = r->y_stride};
        s->kernel->average_pool(&pool);
    }
}

static FbStatus pool_run(const FbCall *call, FbError *err)
{
    const CodesPoolBound *b = call->bound;
    CodesPoolRun r = {.state = call->state, .bound = b, .x = call->inputs[0]->data, .y = call->outputs[0]->data,
                      .x_stride = fb_call_stride(call, 0, b->channels), .y_stride = fb_call_stride(call, -1, b->channels), .pointers = call->scratch};
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

static bool pool_strided(const FbCall *call, int i)
{
    (void)call;
    (void)i;
    return true;
}

static const char *pool_kernel(const void *state)
{
    (void)state;
    return "codes";
}

const FbLowering fb_codes_pool_lowering = {.name = "pool_codes", .accepts = pool_accepts, .prepare = pool_prepare, .bind = pool_bind,
                                           .run = pool_run, .kernel = pool_kernel, .strided = pool_strided};
