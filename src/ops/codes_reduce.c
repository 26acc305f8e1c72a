/* ReduceMean over neighbouring axes of codes: exact sums, one multiplication per mean. */
#include "kernels/codes.h"
#include "ops/codes_pool.h"
#include "ops/codes_store.h"

enum { MEANS = 256 }; /* computed at a time */

typedef struct CodesReduceState {
    const FbCodesKernel *kernel;
    bool marked[FB_RANK_MAX];
    FbCodeGrid from, to;
    bool codes;
} CodesReduceState;

typedef struct CodesReduceRun {
    const CodesReduceState *state;
    const uint8_t *x;
    void *y;
    size_t taps, inner, blocks; /* [outer][taps][inner]; blocks of MEANS in what is stored of one outer index, or of all when inner is 1 */
    size_t means;               /* outer * inner */
} CodesReduceRun;

/* The reduced axes stand side by side. */
static bool one_run(const bool *marked, int rank)
{
    int runs = 0;
    for (int i = 0; i < rank; i++) {
        runs += marked[i] && (i == 0 || !marked[i - 1]);
    }
    return runs == 1;
}

static bool reduce_accepts(const FbPrepare *prepare)
{
    const int rank = prepare->inputs[0].shape.rank;
    const FbTensor *axes = prepare->input_count > 1 ? prepare->inputs[1].value : NULL;
    bool marked[FB_RANK_MAX];
    if (prepare->channels_last || prepare->grids[0] == NULL || prepare->constants[0] || rank < 1 || prepare->inputs[0].dtype != FB_DTYPE_F32 ||
        (prepare->input_count > 1 && prepare->inputs[1].present && !axes)) {
        return false;
    }
    return fb_reduce_mean_axes(prepare->params, axes, rank, marked) && one_run(marked, rank) && fb_codes_store_is_plain(prepare);
}

static FbStatus reduce_prepare(const FbPrepare *prepare, void **state, FbError *err)
{
    CodesReduceState *s = fb_arena_alloc(prepare->arena, sizeof *s);
    if (!s) {
        return fb_error_memory(prepare->context, err, "a step on codes", sizeof *s);
    }
    *s = (CodesReduceState){.kernel = fb_codes_pick(fb_context_cpu(prepare->context)), .from = *prepare->grids[0],
                            .codes = prepare->store_grid != NULL};
    s->to = s->codes ? *prepare->store_grid : s->to;
    fb_reduce_mean_axes(prepare->params, prepare->input_count > 1 ? prepare->inputs[1].value : NULL, prepare->inputs[0].shape.rank, s->marked);
    *state = s;
    return FB_OK;
}

static FbStatus reduce_bind(FbBind *bind, FbError *err)
{
    (void)bind;
    (void)err;
    return FB_OK;
}

/* Sums of `count` means: neighbours in memory when inner is 1, else `count` columns of `taps` rows. */
static void add_up(const CodesReduceRun *r, size_t first, size_t count, int32_t *sums)
{
    memset(sums, 0, count * sizeof *sums);
    if (r->inner == 1) {
        for (size_t i = 0; i < count; i++) {
            const uint8_t *row = r->x + (first + i) * r->taps;
            for (size_t t = 0; t < r->taps; t++) {
                sums[i] += row[t];
            }
        }
        return;
    }
    const uint8_t *column = r->x + first / r->inner * r->taps * r->inner + first % r->inner;
    for (size_t t = 0; t < r->taps; t++) {
        for (size_t i = 0; i < count; i++) {
            sums[i] += column[t * r->inner + i];
        }
    }
}

static void reduce_units(void *arg, size_t slot, size_t begin, size_t end)
{
    const CodesReduceRun *r = arg;
    const CodesReduceState *s = r->state;
    const float factor = (float)((double)s->from.scale / (double)r->taps);
    (void)slot;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t row = r->inner == 1 ? r->means : r->inner, at = unit % r->blocks * MEANS, first = unit / r->blocks * row + at;
        const size_t count = row - at < MEANS ? row - at : MEANS;
        int32_t sums[MEANS];
        float means[MEANS];
        add_up(r, first, count, sums);
        for (size_t i = 0; i < count; i++) {
            means[i] = (float)(sums[i] - (int32_t)r->taps * s->from.zero) * factor;
        }
        if (s->codes) {
            s->kernel->quantize(means, (uint8_t *)r->y + first, count, &s->to);
        } else {
            memcpy((float *)r->y + first, means, count * sizeof *means);
        }
    }
}

static FbStatus reduce_run(const FbCall *call, FbError *err)
{
    const CodesReduceState *s = call->state;
    const FbTensor *x = call->inputs[0];
    CodesReduceRun r = {.state = s, .x = x->data, .y = call->outputs[0]->data, .taps = 1, .inner = 1};
    size_t outer = 1;
    bool seen = false;
    for (int i = 0; i < x->rank; i++) {
        seen = seen || s->marked[i];
        size_t *to = s->marked[i] ? &r.taps : seen ? &r.inner : &outer;
        *to *= (size_t)x->dims[i];
    }
    r.means = outer * r.inner;
    if (r.means == 0 || r.taps == 0) {
        return r.means == 0 ? FB_OK : fb_error_set(err, FB_ERR_NUMERIC, "the mean of nothing has no code");
    }
    const size_t row = r.inner == 1 ? r.means : r.inner;
    r.blocks = (row + MEANS - 1) / MEANS;
    fb_parallel(call->context, reduce_units, &r, r.means / row * r.blocks, 65536 / (MEANS * r.taps) + 1);
    return fb_check_cancel(call->context, err);
}

const FbLowering fb_codes_reduce_lowering = {.name = "reduce_codes", .accepts = reduce_accepts, .prepare = reduce_prepare, .bind = reduce_bind,
                                             .run = reduce_run};
