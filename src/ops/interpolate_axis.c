/* Coordinates and weights of Resize; formulas of the ONNX specification of Resize (opset 19), in float as ONNX Runtime computes them. */
#include "ops/interpolate_axis.h"

#include <math.h>

static float source_coordinate(const FbResizeRule *rule, const FbResizeAxis *axis, int64_t at)
{
    float x = (float)at, scale = axis->scale, in = (float)axis->in;
    float length = scale * in; /* not rounded, as the specification's reference has it */
    switch (rule->coordinate) {
    case FB_COORDINATE_HALF_PIXEL: return (x + 0.5F) / scale - 0.5F;
    case FB_COORDINATE_HALF_PIXEL_SYMMETRIC: return in / 2 * (1 - (float)axis->out / length) + (x + 0.5F) / scale - 0.5F;
    case FB_COORDINATE_PYTORCH_HALF_PIXEL: return axis->out > 1 ? (x + 0.5F) / scale - 0.5F : 0.0F;
    case FB_COORDINATE_ALIGN_CORNERS: return axis->out == 1 || length == 1.0F ? 0.0F : x * (in - 1) / (length - 1);
    case FB_COORDINATE_ASYMMETRIC: return x / scale;
    case FB_COORDINATE_TF_HALF_PIXEL_FOR_NN: return (x + 0.5F) / scale;
    case FB_COORDINATE_TF_CROP_AND_RESIZE: break;
    }
    float span = axis->roi_end - axis->roi_begin;
    return axis->out > 1 ? axis->roi_begin * (in - 1) + x * span * (in - 1) / (length - 1) : 0.5F * (axis->roi_begin + axis->roi_end) * (in - 1);
}

/* First tap relative to the element left of the coordinate; taps lie symmetrically around it. */
static int64_t first_tap(const FbResizeRule *rule, const FbResizeAxis *axis)
{
    int64_t reach = rule->mode == FB_RESIZE_LINEAR ? 1 : 2;
    if (!rule->antialias || axis->scale >= 1.0F) {
        return 1 - reach;
    }
    return (int64_t)floorf(-(float)reach / axis->scale) + 1;
}

int64_t fb_resize_tap_count(const FbResizeRule *rule, const FbResizeAxis *axis)
{
    return rule->mode == FB_RESIZE_NEAREST ? 1 : 2 - 2 * first_tap(rule, axis);
}

/* Keys 1981: cubic convolution. */
static float cubic_kernel(float a, float x)
{
    x = fabsf(x);
    if (x <= 1) {
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    }
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0.0F;
}

static float linear_kernel(float x)
{
    x = 1 - fabsf(x);
    return x > 0 ? x : 0.0F;
}

static int64_t clamped(int64_t i, int64_t size) { return i < 0 ? 0 : i >= size ? size - 1 : i; }

/* Coordinates beyond int64 come from absurd scales only: the nearest end is meant. */
static int64_t floor_index(float x, int64_t size)
{
    float floor_x = floorf(x);
    return floor_x >= (float)size ? size : floor_x <= -2147483648.0F ? -2147483647 : floor_x != floor_x ? 0 : (int64_t)floor_x;
}

static int64_t nearest_index(const FbResizeRule *rule, float x, int64_t size)
{
    int64_t left = floor_index(x, size);
    float ratio = x - floorf(x);
    bool up = false;
    switch (rule->nearest) {
    case FB_NEAREST_PREFER_FLOOR: up = ratio > 0.5F; break;
    case FB_NEAREST_PREFER_CEIL: up = ratio >= 0.5F; break;
    case FB_NEAREST_FLOOR: up = false; break;
    case FB_NEAREST_CEIL: up = ratio > 0; break;
    }
    return clamped(left + up, size);
}

static void weigh(const FbResizeRule *rule, const FbResizeAxis *axis, float x, int64_t taps, int64_t *index, float *weight)
{
    int64_t first = first_tap(rule, axis), left = floor_index(x, axis->in);
    float ratio = x - floorf(x), shrink = rule->antialias && axis->scale < 1.0F ? axis->scale : 1.0F, sum = 0;
    if (ratio == 0) { /* an exact hit counts as the right neighbour, so that the taps lean to the left */
        left--;
        ratio = 1;
    }
    for (int64_t t = 0; t < taps; t++) {
        int64_t at = left + first + t;
        float distance = ((float)(first + t) - ratio) * shrink;
        weight[t] = rule->mode == FB_RESIZE_LINEAR ? linear_kernel(distance) : cubic_kernel(rule->cubic_a, distance);
        if (rule->exclude_outside && (at < 0 || at >= axis->in)) {
            weight[t] = 0;
        }
        index[t] = clamped(at, axis->in);
        sum += weight[t];
    }
    if ((rule->antialias || rule->exclude_outside) && sum != 0) {
        for (int64_t t = 0; t < taps; t++) {
            weight[t] /= sum;
        }
    }
}

void fb_resize_taps(const FbResizeRule *rule, const FbResizeAxis *axis, int64_t taps, int64_t *index, float *weight, bool *outside)
{
    for (int64_t at = 0; at < axis->out; at++) {
        float x = source_coordinate(rule, axis, at);
        outside[at] = rule->coordinate == FB_COORDINATE_TF_CROP_AND_RESIZE && !(x >= 0 && x <= (float)(axis->in - 1));
        if (rule->mode == FB_RESIZE_NEAREST) {
            index[at] = nearest_index(rule, x, axis->in);
        } else {
            weigh(rule, axis, x, taps, index + at * taps, weight + at * taps);
        }
    }
}
