/* Sliding windows: attributes and sizes. */
#include "ops/window.h"

#include "ops/attribute.h"

enum { WINDOW_MAX = 1 << 30 }; /* of every attribute: keeps the arithmetic below in int64 */

static FbStatus read_list(const FbNode *node, const char *name, int64_t low, int capacity, int64_t *list, int *count, FbError *err)
{
    const int64_t *ints;
    size_t n;
    FB_TRY(fb_attr_ints(node, name, &ints, &n, err));
    if (n > (size_t)capacity) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute '%s' has %zu entries, at most %d make sense", name, n, capacity);
    }
    for (size_t i = 0; i < n; i++) {
        if (ints[i] < low || ints[i] > WINDOW_MAX) {
            return fb_error_set(err, FB_ERR_FORMAT, "attribute '%s' holds %lld, expected %lld to %d", name, (long long)ints[i], (long long)low,
                                WINDOW_MAX);
        }
        list[i] = ints[i];
    }
    *count = (int)n;
    return FB_OK;
}

FbStatus fb_window_decode(const FbNode *node, FbWindowParams *params, FbError *err)
{
    static const char *const names[] = {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"};
    const char *auto_pad;
    FB_TRY(fb_attr_string(node, "auto_pad", "NOTSET", &auto_pad, err));
    int found = 0;
    while (found < 4 && strcmp(names[found], auto_pad) != 0) {
        found++;
    }
    if (found == 4) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'auto_pad' must be NOTSET, SAME_UPPER, SAME_LOWER or VALID");
    }
    params->auto_pad = (FbAutoPad)found;
    FB_TRY(fb_attr_bool(node, "ceil_mode", false, &params->ceil_mode, err));
    FB_TRY(read_list(node, "kernel_shape", 1, FB_SPATIAL_MAX, params->kernel, &params->kernel_count, err));
    FB_TRY(read_list(node, "strides", 1, FB_SPATIAL_MAX, params->stride, &params->stride_count, err));
    FB_TRY(read_list(node, "dilations", 1, FB_SPATIAL_MAX, params->dilation, &params->dilation_count, err));
    return read_list(node, "pads", 0, 2 * FB_SPATIAL_MAX, params->pad, &params->pad_count, err);
}

static FbStatus check_count(const char *name, int count, int want, FbError *err)
{
    if (count != 0 && count != want) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute '%s' has %d entries, expected %d", name, count, want);
    }
    return FB_OK;
}

static int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

static FbStatus resolve_axis(const FbWindowParams *params, FbWindow *w, int i, FbError *err)
{
    const int64_t reach = (w->kernel[i] - 1) * w->dilation[i] + 1;
    const bool same = params->auto_pad == FB_PAD_SAME_UPPER || params->auto_pad == FB_PAD_SAME_LOWER;
    if (params->auto_pad == FB_PAD_NOTSET && params->pad_count) {
        w->begin[i] = params->pad[i];
        w->end[i] = params->pad[w->spatial + i];
    }
    if (w->in[i] < 0) { /* not known yet: only a window that keeps the size says something */
        const bool keeps = w->stride[i] == 1 && (same || w->begin[i] + w->end[i] == reach - 1);
        w->out[i] = keeps ? w->in[i] : FB_DIM_UNKNOWN;
        return FB_OK;
    }
    if (w->in[i] > INT64_MAX / 4) {
        return fb_error_set(err, FB_ERR_FORMAT, "an axis of %lld elements is too long", (long long)w->in[i]);
    }
    if (same) {
        w->out[i] = divide_up(w->in[i], w->stride[i]);
        const int64_t lacking = (w->out[i] - 1) * w->stride[i] + reach - w->in[i];
        const int64_t total = lacking > 0 ? lacking : 0;
        w->begin[i] = params->auto_pad == FB_PAD_SAME_UPPER ? total / 2 : total - total / 2;
        w->end[i] = total - w->begin[i];
        return FB_OK;
    }
    const int64_t room = w->in[i] + w->begin[i] + w->end[i] - reach;
    if (room < 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "a window of %lld elements does not fit into %lld, padding included", (long long)reach,
                            (long long)(w->in[i] + w->begin[i] + w->end[i]));
    }
    w->out[i] = (params->ceil_mode ? divide_up(room, w->stride[i]) : room / w->stride[i]) + 1;
    if (params->ceil_mode && (w->out[i] - 1) * w->stride[i] >= w->in[i] + w->begin[i]) {
        w->out[i]--; /* a window that would begin in the end padding does not count */
    }
    return FB_OK;
}

FbStatus fb_window_resolve(const FbWindowParams *params, int spatial, const int64_t *in, const int64_t *kernel, FbWindow *window, FbError *err)
{
    *window = (FbWindow){.spatial = spatial};
    FB_TRY(check_count("kernel_shape", params->kernel_count, spatial, err));
    FB_TRY(check_count("strides", params->stride_count, spatial, err));
    FB_TRY(check_count("dilations", params->dilation_count, spatial, err));
    FB_TRY(check_count("pads", params->pad_count, 2 * spatial, err));
    if (!kernel && params->kernel_count == 0 && spatial > 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'kernel_shape' is missing");
    }
    for (int i = 0; i < spatial; i++) {
        window->in[i] = in[i];
        window->kernel[i] = kernel ? kernel[i] : params->kernel[i];
        if (window->kernel[i] < 1 || window->kernel[i] > WINDOW_MAX) {
            return fb_error_set(err, FB_ERR_FORMAT, "a window of %lld elements makes no sense", (long long)window->kernel[i]);
        }
        if (kernel && params->kernel_count && params->kernel[i] != kernel[i]) {
            return fb_error_set(err, FB_ERR_FORMAT, "attribute 'kernel_shape' says %lld where the weight has %lld", (long long)params->kernel[i],
                                (long long)kernel[i]);
        }
        window->stride[i] = params->stride_count ? params->stride[i] : 1;
        window->dilation[i] = params->dilation_count ? params->dilation[i] : 1;
        FB_TRY(resolve_axis(params, window, i, err));
    }
    return FB_OK;
}

int64_t fb_window_place(const FbWindow *w, int64_t out, int64_t tap)
{
    int64_t place = 0, scale = 1;
    for (int i = w->spatial - 1; i >= 0; i--) {
        const int64_t at = out % w->out[i] * w->stride[i] - w->begin[i] + tap % w->kernel[i] * w->dilation[i];
        if (at < 0 || at >= w->in[i]) {
            return -1;
        }
        place += at * scale;
        scale *= w->in[i];
        out /= w->out[i];
        tap /= w->kernel[i];
    }
    return place;
}

void fb_window_widen(FbWindow *w, int axes)
{
    const int missing = axes - w->spatial;
    int64_t *const lists[] = {w->in, w->out, w->kernel, w->stride, w->dilation, w->begin, w->end};
    for (int list = 0; list < 7; list++) {
        memmove(lists[list] + missing, lists[list], (size_t)w->spatial * sizeof(int64_t));
        for (int i = 0; i < missing; i++) {
            lists[list][i] = list < 5 ? 1 : 0;
        }
    }
    w->spatial = axes;
}

bool fb_window_is_pointwise(const FbWindow *w)
{
    for (int i = 0; i < w->spatial; i++) {
        if (w->kernel[i] != 1 || w->stride[i] != 1 || w->begin[i] != 0 || w->end[i] != 0) {
            return false;
        }
    }
    return true;
}

#define POINTS_NAME fb_window_points
#define POINTS_ROW point_row
#define POINTS_TYPE uint8_t
#include "ops/window_points_body.h"
#define POINTS_NAME fb_window_points_f32
#define POINTS_ROW point_row_f32
#define POINTS_TYPE float
#include "ops/window_points_body.h"

void fb_window_runs(const FbWindow *window, FbWindowRuns *runs)
{
    *runs = (FbWindowRuns){.window = *window, .pixels = 1};
    for (int i = 0; i < FB_WINDOW_AXES; i++) {
        FbWindow *w = &runs->window;
        w->in[i] += w->begin[i] + w->end[i];
        w->begin[i] = w->end[i] = 0;
        runs->copies = runs->copies || w->in[i] != window->in[i];
        runs->pixels *= (size_t)w->in[i];
    }
    runs->window.kernel[FB_WINDOW_AXES - 1] = 1;
}

typedef struct PadRun {
    const FbWindow *from, *to;
    const uint8_t *x;
    uint8_t *copy;
    size_t pixel_bytes;
    int fill;
} PadRun;

/* Unit: one row of the copy. */
static void pad_rows(void *arg, size_t slot, size_t begin, size_t end)
{
    const PadRun *r = arg;
    const FbWindow *w = r->from;
    const int64_t *in = r->to->in;
    const size_t width = (size_t)in[2] * r->pixel_bytes;
    (void)slot;
    for (size_t unit = begin; unit < end; unit++) {
        const int64_t h = (int64_t)unit % in[1] - w->begin[1], d = (int64_t)unit / in[1] % in[0] - w->begin[0];
        const int64_t image = (int64_t)unit / (in[1] * in[0]);
        uint8_t *to = r->copy + unit * width;
        if (h < 0 || h >= w->in[1] || d < 0 || d >= w->in[0]) {
            memset(to, r->fill, width);
            continue;
        }
        const size_t before = (size_t)w->begin[2] * r->pixel_bytes, middle = (size_t)w->in[2] * r->pixel_bytes;
        memset(to, r->fill, before);
        memcpy(to + before, r->x + (size_t)((image * w->in[0] + d) * w->in[1] + h) * middle, middle);
        memset(to + before + middle, r->fill, width - before - middle);
    }
}

void fb_window_pad(FbContext *context, const FbWindow *window, const FbWindowRuns *runs, const void *x, size_t images, size_t pixel_bytes,
                   int fill, void *copy)
{
    PadRun run = {window, &runs->window, x, copy, pixel_bytes, fill};
    fb_parallel(context, pad_rows, &run, images * (size_t)(runs->window.in[0] * runs->window.in[1]), 64);
}
