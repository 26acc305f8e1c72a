/* Resampling of 8-bit pictures: separable filters in fixed point with Pillow's geometry and rounding. */
#ifndef FB_DATA_RESIZE_H
#define FB_DATA_RESIZE_H

#include "data/image.h"

typedef enum FbFilter { FB_FILTER_NEAREST = 0, FB_FILTER_BILINEAR, FB_FILTER_BICUBIC } FbFilter;

/* Resamples `from` to width x height.
 *
 *   output pixel x looks at centre (x + 0.5) * s, s = input / output; the filter is stretched by max(s, 1) when `antialias`, else by 1;
 *   weights are normalized and rounded to 22 bits; columns first, then rows, each pass rounded to 8 bits.
 *
 * bilinear: triangle; bicubic: Keys 1981 with a = -0.5; nearest: floor of the centre. Equal sizes copy. The geometry of Pillow's
 * Image.resize (antialias; Pillow 13 does rows first when the height shrinks much more, which moves single codes) and of torch's
 * interpolate(align_corners=False) (no antialias). */
FbStatus fb_image_resize(FbContext *context, const char *what, const FbImage *from, int width, int height, FbFilter filter, bool antialias,
                         FbImage *to, FbError *err);

#endif
