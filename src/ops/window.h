/* Sliding windows of convolution and pooling: their attributes, and what they come to on given sizes. */
#ifndef FB_OPS_WINDOW_H
#define FB_OPS_WINDOW_H

#include "ops/op.h"

enum { FB_SPATIAL_MAX = FB_RANK_MAX - 2 };

typedef enum FbAutoPad { FB_PAD_NOTSET = 0, FB_PAD_SAME_UPPER, FB_PAD_SAME_LOWER, FB_PAD_VALID } FbAutoPad;

typedef struct FbWindowParams { /* as the node says; a count of 0: the default for any rank */
    FbAutoPad auto_pad;
    bool ceil_mode;
    int kernel_count, stride_count, dilation_count, pad_count;
    int64_t kernel[FB_SPATIAL_MAX], stride[FB_SPATIAL_MAX], dilation[FB_SPATIAL_MAX], pad[2 * FB_SPATIAL_MAX];
} FbWindowParams;

typedef struct FbWindow { /* per spatial axis */
    int spatial;
    int64_t in[FB_SPATIAL_MAX], out[FB_SPATIAL_MAX]; /* FB_DIM_UNKNOWN or a symbol when not known */
    int64_t kernel[FB_SPATIAL_MAX], stride[FB_SPATIAL_MAX], dilation[FB_SPATIAL_MAX];
    int64_t begin[FB_SPATIAL_MAX], end[FB_SPATIAL_MAX]; /* padding */
} FbWindow;

FbStatus fb_window_decode(const FbNode *node, FbWindowParams *params, FbError *err);
/* The window on an input of `spatial` axes of sizes `in`; `kernel` NULL: the attribute. FB_ERR_FORMAT when lists do not fit or the kernel is
 * larger than the padded input. */
FbStatus fb_window_resolve(const FbWindowParams *params, int spatial, const int64_t *in, const int64_t *kernel, FbWindow *window, FbError *err);

/* Sizes of a tensor in either order: spatial axis i, channels. */
static inline int64_t fb_spatial_dim(const FbTensor *t, bool channels_last, int i) { return t->dims[(channels_last ? 1 : 2) + i]; }
static inline int64_t fb_channel_dim(const FbTensor *t, bool channels_last) { return t->dims[channels_last ? t->rank - 1 : 1]; }
static inline int64_t fb_window_product(const int64_t *dims, int count)
{
    int64_t product = 1;
    for (int i = 0; i < count; i++) {
        product *= dims[i];
    }
    return product;
}
/* The place in the input, as an index over its spatial axes, that tap (mixed radix over kernel) of output pixel `out` looks at; -1: padding. */
int64_t fb_window_place(const FbWindow *window, int64_t out, int64_t tap);
/* Axes of one element in front until there are `axes`. */
void fb_window_widen(FbWindow *window, int axes);
/* One tap that sees each input pixel once, in order. */
bool fb_window_is_pointwise(const FbWindow *window);

/* ---- channels-last tensors, windows of three axes ---- */

enum { FB_WINDOW_AXES = 3 };

/* Pointers of the output pixels [first, first + count), counted over the images of x, whose pixels are `pixel_elements` apart, to the input pixel
 * that each tap sees, or `padding`: to[pixel * pixel_stride + tap * tap_stride]. */
void fb_window_points(const FbWindow *window, const uint8_t *x, size_t pixel_elements, const uint8_t *padding, size_t first, size_t count,
                      size_t pixel_stride, size_t tap_stride, const uint8_t **to);
void fb_window_points_f32(const FbWindow *window, const float *x, size_t pixel_elements, const float *padding, size_t first, size_t count,
                          size_t pixel_stride, size_t tap_stride, const float **to);

/* How a convolution of few channels reads its input: the pixels that a kernel row sees side by side are one tap, in a copy of the images with
 * their padding. */
typedef struct FbWindowRuns {
    FbWindow window; /* on the copy: without padding, one column to a tap */
    bool copies;     /* false: nothing is padded, the images serve as they are */
    size_t pixels;   /* of one image of the copy */
} FbWindowRuns;
void fb_window_runs(const FbWindow *window, FbWindowRuns *runs);
/* Fills the copy; padding is bytes of `fill`. */
void fb_window_pad(FbContext *context, const FbWindow *window, const FbWindowRuns *runs, const void *x, size_t images, size_t pixel_bytes,
                   int fill, void *copy);

#endif
