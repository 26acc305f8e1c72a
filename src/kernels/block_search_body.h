/* The searches of tensor/block_search.h for sixteen groups at once, one per lane; included once per instruction set. */
#include <math.h>

#include "kernels/functions_math.h"
#include "tensor/block_search.h"

enum { LANE_MOST = 32 }; /* elements of a group */

/* Element j of all groups. */
typedef struct LaneGroups { float of[LANE_MOST][FB_LANES]; } LaneGroups;

/* Groups of n elements that follow each other. */
static inline void lanes_gather(const float *from, int n, LaneGroups *to)
{
    for (int j = 0; j < n; j++) {
        for (int lane = 0; lane < FB_LANES; lane++) {
            to->of[j][lane] = from[lane * n + j];
        }
    }
}

/* fb_block_nearest as a float, whatever x is. */
static inline FbV lanes_nearest(FbV x)
{
    FbVi bits = fb_v_bits(fb_v_add(x, fb_v_set(12582912.0f)));
    return fb_v_from_int(fb_vi_sub(fb_vi_and(bits, fb_vi_set(0x7FFFFF)), fb_vi_set(0x400000)));
}

static inline FbV lanes_clamp(FbV x, FbV low, FbV high)
{
    return fb_v_min(fb_v_max(x, low), high);
}

static inline FbV lanes_extreme(const LaneGroups *x, int n)
{
    FbV most = fb_v_set(0.0f), value = most;
    for (int j = 0; j < n; j++) {
        FbV here = fb_v_load(x->of[j]), size = fb_m_abs(here);
        FbVm more = fb_v_lt(most, size);
        most = fb_v_select(more, size, most);
        value = fb_v_select(more, here, value);
    }
    return value;
}

typedef struct LaneFit { FbV xl, ll; } LaneFit;

/* Whether `fit` is better than what has the square `best`: ll > 0 and xl^2 > best ll. */
static inline FbV lanes_if_better(LaneFit fit, FbV best, FbV yes, FbV no)
{
    FbV kept = fb_v_select(fb_v_lt(fb_v_mul(best, fit.ll), fb_v_mul(fit.xl, fit.xl)), yes, no);
    return fb_v_select(fb_v_lt(fb_v_set(0.0f), fit.ll), kept, no);
}

/* Codes are far below 2^22 here: inverse * x is at most zero + 1. */
static inline LaneFit lanes_fit_signed(const LaneGroups *x, const LaneGroups *w, const LaneGroups *wx, int n, int zero, FbV inverse)
{
    const FbV low = fb_v_set((float)-zero), high = fb_v_set((float)(zero - 1));
    LaneFit fit = {fb_v_set(0.0f), fb_v_set(0.0f)};
    for (int j = 0; j < n; j++) {
        FbV l = lanes_clamp(fb_v_round(fb_v_mul(inverse, fb_v_load(x->of[j]))), low, high);
        fit.xl = fb_v_add(fit.xl, fb_v_mul(fb_v_load(wx->of[j]), l));
        fit.ll = fb_v_add(fit.ll, fb_v_mul(fb_v_mul(fb_v_load(w->of[j]), l), l));
    }
    return fit;
}

static inline FbV lanes_scale_or_zero(FbVm zero, FbV scale)
{
    return fb_v_select(zero, fb_v_set(0.0f), scale);
}

/* fb_search_signed: the scales; *kept: inverse of the steps whose codes were best, 0 for a group of zeros. */
static inline FbV lanes_search_signed(const LaneGroups *x, const LaneGroups *w, int n, int zero, FbV *kept)
{
    LaneGroups wx;
    for (int j = 0; j < n; j++) {
        fb_v_store(wx.of[j], fb_v_mul(fb_v_load(w->of[j]), fb_v_load(x->of[j])));
    }
    const FbV none = fb_v_set(0.0f), extreme = lanes_extreme(x, n);
    const FbVm empty = fb_v_lt(fb_m_abs(extreme), fb_v_set(FB_GROUP_ZERO));
    FbV inverse = fb_v_div(fb_v_set((float)-zero), extreme);
    LaneFit fit = lanes_fit_signed(x, w, &wx, n, zero, inverse);
    FbV scale = fb_v_select(fb_v_le(fit.ll, none), none, fb_v_div(fit.xl, fit.ll)); /* ll is never negative */
    FbV best = fb_v_mul(scale, fit.xl);
    *kept = inverse;
    for (int step = -9; step <= 9; step++) {
        if (step == 0) {
            continue;
        }
        inverse = fb_v_div(fb_v_set(-((float)zero + 0.1f * (float)step)), extreme);
        fit = lanes_fit_signed(x, w, &wx, n, zero, inverse);
        FbV other = fb_v_div(fit.xl, fit.ll);
        *kept = lanes_if_better(fit, best, inverse, *kept);
        scale = lanes_if_better(fit, best, other, scale);
        best = lanes_if_better(fit, best, fb_v_mul(other, fit.xl), best);
    }
    *kept = lanes_scale_or_zero(empty, *kept);
    return lanes_scale_or_zero(empty, scale);
}

/* fb_search_signed_moves: as above. *codes: l of every element. */
static inline FbV lanes_search_moves(const LaneGroups *x, int n, int zero, LaneGroups *codes)
{
    const FbV none = fb_v_set(0.0f), low = fb_v_set((float)-zero), high = fb_v_set((float)(zero - 1)), extreme = lanes_extreme(x, n);
    const FbVm empty = fb_v_lt(fb_m_abs(extreme), fb_v_set(FB_GROUP_ZERO));
    const FbV inverse = fb_v_div(low, extreme);
    LaneFit fit = {none, none};
    for (int j = 0; j < n; j++) {
        FbV here = fb_v_load(x->of[j]), w = fb_v_mul(here, here);
        FbV l = lanes_clamp(lanes_nearest(fb_v_mul(inverse, here)), low, high);
        fb_v_store(codes->of[j], l);
        fit.xl = fb_v_add(fit.xl, fb_v_mul(fb_v_mul(w, here), l));
        fit.ll = fb_v_add(fit.ll, fb_v_mul(fb_v_mul(w, l), l));
    }
    size_t moved = 1;
    for (int pass = 0; pass < 5 && moved; pass++) {
        moved = 0;
        for (int j = 0; j < n; j++) {
            FbV here = fb_v_load(x->of[j]), w = fb_v_mul(here, here), wx = fb_v_mul(w, here), l = fb_v_load(codes->of[j]);
            LaneFit rest = {fb_v_sub(fit.xl, fb_v_mul(wx, l)), fb_v_sub(fit.ll, fb_v_mul(fb_v_mul(w, l), l))};
            FbV m = lanes_clamp(lanes_nearest(fb_v_div(fb_v_mul(here, rest.ll), rest.xl)), low, high);
            m = fb_v_select(fb_v_lt(none, rest.xl), m, l);
            LaneFit with = {fb_v_add(rest.xl, fb_v_mul(wx, m)), fb_v_add(rest.ll, fb_v_mul(fb_v_mul(w, m), m))};
            FbV ours = fb_v_mul(fb_v_mul(with.xl, with.xl), fit.ll), theirs = fb_v_mul(fb_v_mul(fit.xl, fit.xl), with.ll);
            FbV taken = fb_v_select(fb_v_lt(theirs, ours), m, l);
            taken = fb_v_select(fb_v_lt(none, with.ll), taken, l);
            FbVm other = fb_v_lt(none, fb_m_abs(fb_v_sub(taken, l))); /* moved by at least 1 */
            fit.xl = fb_v_select(other, with.xl, fit.xl);
            fit.ll = fb_v_select(other, with.ll, fit.ll);
            fb_v_store(codes->of[j], taken);
            moved += fb_vm_count(other, FB_LANES);
        }
    }
    for (int j = 0; j < n; j++) {
        fb_v_store(codes->of[j], fb_v_select(empty, low, fb_v_load(codes->of[j]))); /* code 0 */
    }
    FbV scale = fb_v_select(fb_v_lt(none, fit.ll), fb_v_div(fit.xl, fit.ll), none);
    return lanes_scale_or_zero(empty, scale);
}

/* The state of fb_search_range in every lane. */
typedef struct LaneRange {
    FbV scale, low;                  /* the best */
    FbV kept_inverse, kept_low;      /* of the grid that gave the codes */
    FbV error, high, w, x;
} LaneRange;

static inline FbV lanes_range_codes(const LaneGroups *x, int n, FbV top, FbV inverse, FbV low, LaneGroups *codes, const LaneGroups *w, FbV sums[3])
{
    const FbV none = fb_v_set(0.0f);
    FbV l1 = none, l2 = none, xl = none;
    for (int j = 0; j < n; j++) {
        FbV here = fb_v_load(x->of[j]);
        FbV l = lanes_clamp(lanes_nearest(fb_v_mul(inverse, fb_v_sub(here, low))), none, top);
        FbV wl = fb_v_mul(fb_v_load(w->of[j]), l);
        fb_v_store(codes->of[j], l);
        l1 = fb_v_add(l1, wl);
        l2 = fb_v_add(l2, fb_v_mul(wl, l));
        xl = fb_v_add(xl, fb_v_mul(wl, here));
    }
    sums[0] = l1, sums[1] = l2, sums[2] = xl;
    return l1;
}

static inline FbV lanes_range_error(const LaneGroups *x, const LaneGroups *w, const LaneGroups *codes, int n, FbV scale, FbV low, bool absolute)
{
    FbV error = fb_v_set(0.0f);
    for (int j = 0; j < n; j++) {
        FbV d = fb_v_sub(fb_v_add(fb_v_mul(scale, fb_v_load(codes->of[j])), low), fb_v_load(x->of[j]));
        error = fb_v_add(error, fb_v_mul(fb_v_load(w->of[j]), absolute ? fb_m_abs(d) : fb_v_mul(d, d)));
    }
    return error;
}

/* Ends of the range, sums of the weights. */
static inline void lanes_range_begin(const LaneGroups *x, const LaneGroups *w, int n, LaneRange *r)
{
    const FbV none = fb_v_set(0.0f);
    r->low = r->high = fb_v_load(x->of[0]);
    r->w = fb_v_load(w->of[0]);
    r->x = fb_v_mul(r->w, r->low);
    for (int j = 1; j < n; j++) {
        FbV here = fb_v_load(x->of[j]), weight = fb_v_load(w->of[j]);
        r->low = fb_v_select(fb_v_lt(here, r->low), here, r->low);
        r->high = fb_v_select(fb_v_lt(r->high, here), here, r->high);
        r->w = fb_v_add(r->w, weight);
        r->x = fb_v_add(r->x, fb_v_mul(weight, here));
    }
    r->low = fb_v_select(fb_v_lt(none, r->low), none, r->low);
}

/* fb_search_range. A group of one value <= 0, or of zeros, has scale 0, and codes 0 because its inverse is. */
static inline LaneRange lanes_search_range(const FbRangeSearch *search, const LaneGroups *x, const LaneGroups *w, int n)
{
    const FbV none = fb_v_set(0.0f), top = fb_v_set((float)search->top);
    LaneGroups codes;
    LaneRange r;
    FbV sums[3];
    lanes_range_begin(x, w, n, &r);
    const FbVm empty = fb_v_le(r.high, r.low);
    const FbV first_low = r.low;
    r.kept_inverse = fb_v_div(top, fb_v_sub(r.high, r.low));
    r.kept_low = r.low;
    r.scale = fb_v_div(fb_v_set(1.0f), r.kept_inverse);
    lanes_range_codes(x, n, top, r.kept_inverse, r.low, &codes, w, sums);
    r.error = lanes_range_error(x, w, &codes, n, r.scale, r.low, search->absolute);
    for (int step = 0; step <= search->steps; step++) {
        FbV inverse = fb_v_div(fb_v_set(search->first + search->step * (float)step + (float)search->top), fb_v_sub(r.high, r.low));
        lanes_range_codes(x, n, top, inverse, r.low, &codes, w, sums);
        FbV determinant = fb_v_sub(fb_v_mul(r.w, sums[1]), fb_v_mul(sums[0], sums[0]));
        FbV scale = fb_v_div(fb_v_sub(fb_v_mul(r.w, sums[2]), fb_v_mul(r.x, sums[0])), determinant);
        FbV low = fb_v_div(fb_v_sub(fb_v_mul(sums[1], r.x), fb_v_mul(sums[0], sums[2])), determinant);
        FbVm positive = fb_v_lt(none, low);
        scale = fb_v_select(positive, fb_v_div(sums[2], sums[1]), scale);
        low = fb_v_select(positive, none, low);
        FbV error = lanes_range_error(x, w, &codes, n, scale, low, search->absolute);
        error = fb_v_select(fb_v_lt(none, determinant), error, r.error); /* no better: not taken */
        FbVm better = fb_v_lt(error, r.error);
        r.kept_inverse = fb_v_select(better, inverse, r.kept_inverse);
        r.kept_low = fb_v_select(better, r.low, r.kept_low);
        r.error = fb_v_select(better, error, r.error);
        r.scale = fb_v_select(better, scale, r.scale);
        r.low = fb_v_select(better, low, r.low);
    }
    r.scale = lanes_scale_or_zero(empty, r.scale);
    r.low = fb_v_select(empty, first_low, r.low);
    r.kept_inverse = lanes_scale_or_zero(empty, r.kept_inverse);
    r.kept_low = fb_v_select(empty, none, r.kept_low); /* 0 * (x - 0) */
    return r;
}

static inline FbV lanes_level(FbV x)
{
    FbV level = fb_v_set((float)fb_iq4_levels[0]);
    for (int i = 0; i < 15; i++) {
        level = fb_v_select(fb_v_le(fb_v_set(fb_iq4_bounds[i]), x), fb_v_set((float)fb_iq4_levels[i + 1]), level);
    }
    return level;
}

static inline LaneFit lanes_fit_levels(const LaneGroups *x, const LaneGroups *w, int n, FbV inverse)
{
    LaneFit fit = {fb_v_set(0.0f), fb_v_set(0.0f)};
    for (int j = 0; j < n; j++) {
        FbV here = fb_v_load(x->of[j]), q = lanes_level(fb_v_mul(inverse, here)), wq = fb_v_mul(fb_v_load(w->of[j]), q);
        fit.xl = fb_v_add(fit.xl, fb_v_mul(wq, here));
        fit.ll = fb_v_add(fit.ll, fb_v_mul(wq, q));
    }
    return fit;
}

/* fb_search_levels */
static inline FbV lanes_search_levels(const LaneGroups *x, const LaneGroups *w, int n)
{
    const FbV none = fb_v_set(0.0f), extreme = lanes_extreme(x, n), lowest = fb_v_set((float)fb_iq4_levels[0]);
    const FbVm empty = fb_v_lt(fb_m_abs(extreme), fb_v_set(FB_GROUP_ZERO));
    FbV first = fb_v_div(fb_v_sub(none, extreme), lowest);
    LaneFit fit = lanes_fit_levels(x, w, n, fb_v_div(fb_v_set(1.0f), first));
    FbV scale = fb_v_select(fb_v_lt(none, fit.ll), fb_v_div(fit.xl, fit.ll), none);
    FbV best = fb_v_mul(scale, fit.xl);
    for (int step = -7; step <= 7; step++) {
        fit = lanes_fit_levels(x, w, n, fb_v_div(fb_v_set((float)(step + fb_iq4_levels[0])), extreme));
        FbV other = fb_v_div(fit.xl, fit.ll);
        scale = lanes_if_better(fit, best, other, scale);
        best = lanes_if_better(fit, best, fb_v_mul(other, fit.xl), best);
    }
    return lanes_scale_or_zero(empty, scale);
}
