/* Carrying out a preprocessing: geometry on 8-bit pixels, then a table of 256 values per channel. */
#include "data/preprocess.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "base/text.h"
#include "tensor/dtype.h"

/* ITU-R BT.601 luma in 16 bits, as Pillow's convert("L"). Equal channels stay as they are: the weights add up to 65536. */
static void to_grey(FbImage *image)
{
    size_t pixels = (size_t)image->width * (size_t)image->height;
    for (size_t i = 0; i < pixels; i++) {
        const uint8_t *p = image->pixels + 3 * i;
        image->pixels[i] = (uint8_t)((p[0] * 19595U + p[1] * 38470U + p[2] * 7471U + 0x8000U) >> 16);
    }
    image->channels = 1;
}

static FbStatus run_crop(FbContext *context, const char *what, const FbPreprocessStep *step, const FbImage *from, FbImage *to, FbError *err)
{
    if (from->width < step->width || from->height < step->height) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "%s: center_crop of %d x %d from a picture of %d x %d; resize it first", what, step->width,
                            step->height, from->width, from->height);
    }
    FB_TRY(fb_image_alloc(context, what, (uint64_t)step->width, (uint64_t)step->height, from->channels, to, err));
    /* An odd margin is halved to the even neighbour, as Python's round does in torchvision. */
    size_t top = (size_t)nearbyint((from->height - step->height) / 2.0), left = (size_t)nearbyint((from->width - step->width) / 2.0);
    size_t channels = (size_t)from->channels;
    for (size_t y = 0; y < (size_t)step->height; y++) {
        memcpy(to->pixels + y * (size_t)step->width * channels, from->pixels + ((y + top) * (size_t)from->width + left) * channels,
               (size_t)step->width * channels);
    }
    return FB_OK;
}

static FbStatus run_letterbox(FbContext *context, const char *what, const FbPreprocessStep *step, const FbImage *from, FbImage *to, FbError *err)
{
    double ratio_x = (double)step->width / from->width, ratio_y = (double)step->height / from->height;
    double ratio = ratio_x < ratio_y ? ratio_x : ratio_y;
    int width = (int)(from->width * ratio), height = (int)(from->height * ratio);
    width = width < 1 ? 1 : width > step->width ? step->width : width;
    height = height < 1 ? 1 : height > step->height ? step->height : height;
    FbImage inner = {0};
    FB_TRY(fb_image_resize(context, what, from, width, height, step->filter, step->antialias, &inner, err));
    FbStatus status = fb_image_alloc(context, what, (uint64_t)step->width, (uint64_t)step->height, from->channels, to, err);
    if (status == FB_OK) {
        size_t channels = (size_t)from->channels, row = (size_t)step->width * channels;
        size_t top = step->centred ? (size_t)(step->height - height) / 2 : 0, left = step->centred ? (size_t)(step->width - width) / 2 : 0;
        memset(to->pixels, step->value, row * (size_t)step->height);
        for (size_t y = 0; y < (size_t)height; y++) {
            memcpy(to->pixels + (y + top) * row + left * channels, inner.pixels + y * (size_t)width * channels, (size_t)width * channels);
        }
    }
    fb_image_reset(context, &inner);
    return status;
}

static FbStatus run_step(FbContext *context, const char *what, const FbPreprocessStep *step, const FbImage *from, FbImage *to, FbError *err)
{
    int width = step->width, height = step->height;
    switch (step->kind) {
    case FB_PREPROCESS_CENTER_CROP:
        return run_crop(context, what, step, from, to, err);
    case FB_PREPROCESS_LETTERBOX:
        return run_letterbox(context, what, step, from, to, err);
    case FB_PREPROCESS_RESIZE_SHORT: {
        /* The other side keeps the ratio, cut down to whole pixels. Sides are below 2^16, so the products are exact. */
        int64_t side = step->height;
        bool tall = from->width <= from->height;
        int64_t other = side * (tall ? from->height : from->width) / (tall ? from->width : from->height);
        if (other > FB_IMAGE_SIDE_MAX) {
            return fb_error_set(err, FB_ERR_BUDGET, "%s: a picture of %d x %d becomes too long when resized", what, from->width, from->height);
        }
        width = (int)(tall ? side : other);
        height = (int)(tall ? other : side);
        break;
    }
    case FB_PREPROCESS_RESIZE:
        break;
    }
    return fb_image_resize(context, what, from, width, height, step->filter, step->antialias, to, err);
}

FbStatus fb_preprocess_geometry(FbContext *context, const char *what, const FbPreprocess *preprocess, const FbPort *port, const FbImage *from,
                                FbImage *to, FbError *err)
{
    FbPicturePort picture;
    bool fits = preprocess->keep_fitting && fb_picture_port(port, &picture) && from->width == picture.width && from->height == picture.height;
    memset(to, 0, sizeof *to);
    FB_TRY(fb_image_alloc(context, what, (uint64_t)from->width, (uint64_t)from->height, from->channels, to, err));
    memcpy(to->pixels, from->pixels, (size_t)from->width * (size_t)from->height * (size_t)from->channels);
    if (preprocess->order == FB_ORDER_GRAY && to->channels == 3) {
        to_grey(to);
    }
    FbStatus status = FB_OK;
    for (size_t i = 0; status == FB_OK && !fits && i < preprocess->step_count; i++) {
        FbImage next = {0};
        status = run_step(context, what, &preprocess->steps[i], to, &next, err);
        fb_image_reset(context, to);
        *to = next;
    }
    if (status != FB_OK) {
        fb_image_reset(context, to);
    }
    return status;
}

FbStatus fb_preprocess_shape(const char *what, const FbPreprocess *preprocess, const FbPort *port, const FbImage *image, FbTensor *out,
                             FbError *err)
{
    char shown[80];
    bool first = preprocess->layout == FB_LAYOUT_NCHW;
    int lead = port->rank == 3 ? 0 : 1;
    memset(out, 0, sizeof *out);
    if (port->rank != -1 && port->rank != 3 && port->rank != 4) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "the model's input '%s' has %d dimensions: no picture fits", fb_escape(port->name, shown, sizeof shown),
                            port->rank);
    }
    out->rank = lead + 3;
    out->dims[0] = 1;
    out->dims[lead + (first ? 0 : 2)] = image->channels;
    out->dims[lead + (first ? 1 : 0)] = image->height;
    out->dims[lead + (first ? 2 : 1)] = image->width;
    for (int i = 0; i < port->rank; i++) {
        if (port->dims[i] >= 0 && port->dims[i] != out->dims[i]) {
            return fb_error_set(err, FB_ERR_ARGUMENT,
                                "%s: after preprocessing a picture is %d x %d with %d channels in layout %s; axis %d of the model's input '%s' is "
                                "%" PRId64 ", not %" PRId64, what, image->width, image->height, image->channels, first ? "NCHW" : "NHWC", i,
                                fb_escape(port->name, shown, sizeof shown), port->dims[i], out->dims[i]);
        }
    }
    out->dtype = port->dtype;
    FbDtypeKind kind = fb_dtype_info(port->dtype)->kind;
    if ((kind != FB_KIND_FLOAT && kind != FB_KIND_UNSIGNED && kind != FB_KIND_SIGNED) || fb_dtype_bits(port->dtype) < 8) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "the model's input '%s' of type %s takes no pictures",
                            fb_escape(port->name, shown, sizeof shown), fb_dtype_name(port->dtype));
    }
    uint64_t bytes = 0;
    if (!fb_dtype_storage(port->dtype, (uint64_t)image->width * (uint64_t)image->height * (uint64_t)image->channels, &bytes)) {
        return fb_error_set(err, FB_ERR_BUDGET, "%s: the picture is too large", what);
    }
    out->bytes = (size_t)bytes;
    return FB_OK;
}

FbStatus fb_preprocess_values(const char *what, const FbPreprocess *preprocess, const FbPort *port, const FbImage *image, FbTensor *out,
                              FbError *err)
{
    FbTensor shape;
    float table[256];
    FB_TRY(fb_preprocess_shape(what, preprocess, port, image, &shape, err));
    if (shape.bytes != out->bytes || shape.dtype != out->dtype) {
        return fb_error_set(err, FB_ERR_INTERNAL, "%s: the buffer does not have the picture's size", what);
    }
    size_t channels = (size_t)image->channels, pixels = (size_t)image->width * (size_t)image->height;
    bool first = preprocess->layout == FB_LAYOUT_NCHW;
    for (size_t c = 0; c < channels; c++) {
        size_t source = preprocess->order == FB_ORDER_BGR ? channels - 1 - c : c;
        for (int v = 0; v < 256; v++) {
            table[v] = (float)((v * preprocess->scale - preprocess->mean[c]) / preprocess->std[c]);
        }
        if (out->dtype == FB_DTYPE_F32) {
            float *to = out->data;
            for (size_t i = 0; i < pixels; i++) {
                to[first ? c * pixels + i : i * channels + c] = table[image->pixels[i * channels + source]];
            }
            continue;
        }
        for (size_t i = 0; i < pixels; i++) {
            fb_encode_f32(out->dtype, &table[image->pixels[i * channels + source]], out->data, first ? c * pixels + i : i * channels + c, 1);
        }
    }
    return FB_OK;
}
