/* Interpolation along one axis: which input elements an output element is made of, and with which weights. */
#ifndef FB_OPS_INTERPOLATE_AXIS_H
#define FB_OPS_INTERPOLATE_AXIS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum FbResizeMode { FB_RESIZE_NEAREST, FB_RESIZE_LINEAR, FB_RESIZE_CUBIC } FbResizeMode;
typedef enum FbResizeCoordinate {
    FB_COORDINATE_HALF_PIXEL, FB_COORDINATE_HALF_PIXEL_SYMMETRIC, FB_COORDINATE_PYTORCH_HALF_PIXEL, FB_COORDINATE_ALIGN_CORNERS,
    FB_COORDINATE_ASYMMETRIC, FB_COORDINATE_TF_HALF_PIXEL_FOR_NN, FB_COORDINATE_TF_CROP_AND_RESIZE
} FbResizeCoordinate;
typedef enum FbResizeNearest { FB_NEAREST_PREFER_FLOOR, FB_NEAREST_PREFER_CEIL, FB_NEAREST_FLOOR, FB_NEAREST_CEIL } FbResizeNearest;

typedef struct FbResizeAxis {
    int64_t in, out;        /* sizes; in > 0 when out > 0 */
    float scale;            /* out / in, or as the model gives it */
    float roi_begin, roi_end;
} FbResizeAxis;

typedef struct FbResizeRule {
    FbResizeMode mode;
    FbResizeCoordinate coordinate;
    FbResizeNearest nearest;
    float cubic_a;
    bool antialias, exclude_outside;
} FbResizeRule;

/* Input elements per output element, the same for the whole axis. */
int64_t fb_resize_tap_count(const FbResizeRule *rule, const FbResizeAxis *axis);
/* Fills index[out][taps] (clamped to the axis) and weight[out][taps]; outside[out] when the coordinate lies outside of the input and
 * counts as such (crop and resize). weight may be NULL for nearest, which has one tap. */
void fb_resize_taps(const FbResizeRule *rule, const FbResizeAxis *axis, int64_t taps, int64_t *index, float *weight, bool *outside);

#endif
