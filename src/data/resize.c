/* Two passes of a separable filter. Integer sums, so the result is the same on every machine. */
#include "data/resize.h"

#include <math.h>
#include <string.h>

enum { WEIGHT_BITS = 22 }; /* 8 bits of pixel and a sign leave room for weights that add up to 1 */

/* Weights of one axis: output i takes count[i] inputs from first[i], weights at i * width. */
typedef struct Weights {
    int *first, *count;
    int32_t *weights;
    int width;
} Weights;

static double filter_value(FbFilter filter, double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (filter == FB_FILTER_BILINEAR) {
        return x < 1 ? 1 - x : 0;
    }
    if (x < 1) {
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    }
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static void weights_reset(FbContext *context, Weights *w)
{
    fb_free(context, w->first);
    fb_free(context, w->count);
    fb_free(context, w->weights);
}

/* One output: real weights into `real`, normalized and rounded into the table. */
static void weigh_one(Weights *w, int i, int from, int to, FbFilter filter, double stretch, double *real)
{
    double radius = (filter == FB_FILTER_BILINEAR ? 1.0 : 2.0) * stretch;
    double centre = (i + 0.5) * ((double)from / to), sum = 0;
    int low = (int)(centre - radius + 0.5), high = (int)(centre + radius + 0.5);
    low = centre - radius + 0.5 < 0 ? 0 : low;
    high = high > from ? from : high;
    for (int k = 0; k < high - low; k++) {
        real[k] = filter_value(filter, (k + low - centre + 0.5) / stretch);
        sum += real[k];
    }
    w->first[i] = low;
    w->count[i] = high - low;
    for (int k = 0; k < high - low; k++) {
        double scaled = (sum != 0 ? real[k] / sum : real[k]) * (1 << WEIGHT_BITS);
        w->weights[(size_t)i * (size_t)w->width + (size_t)k] = (int32_t)(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    }
}

static bool weights_make(FbContext *context, int from, int to, FbFilter filter, bool antialias, Weights *w)
{
    double stretch = antialias && from > to ? (double)from / to : 1.0;
    memset(w, 0, sizeof *w);
    w->width = (int)ceil((filter == FB_FILTER_BILINEAR ? 1.0 : 2.0) * stretch) * 2 + 1;
    w->first = fb_alloc_array(context, (size_t)to, sizeof *w->first);
    w->count = fb_alloc_array(context, (size_t)to, sizeof *w->count);
    w->weights = fb_alloc_array(context, (size_t)to * (size_t)w->width, sizeof *w->weights);
    double *real = fb_alloc_array(context, (size_t)w->width, sizeof *real);
    bool made = w->first != NULL && w->count != NULL && w->weights != NULL && real != NULL;
    for (int i = 0; made && i < to; i++) {
        weigh_one(w, i, from, to, filter, stretch, real);
    }
    fb_free(context, real);
    return made;
}

static uint8_t clip_sum(int32_t sum)
{
    int32_t value = sum >> WEIGHT_BITS; /* arithmetic on every compiler we build with */
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static void resize_columns(const FbImage *from, const Weights *w, FbImage *to)
{
    int channels = from->channels;
    for (int y = 0; y < to->height; y++) {
        const uint8_t *row = from->pixels + (size_t)y * (size_t)from->width * (size_t)channels;
        uint8_t *out = to->pixels + (size_t)y * (size_t)to->width * (size_t)channels;
        for (int x = 0; x < to->width; x++) {
            const int32_t *weights = w->weights + (size_t)x * (size_t)w->width;
            const uint8_t *pixel = row + (size_t)w->first[x] * (size_t)channels;
            for (int c = 0; c < channels; c++) {
                int32_t sum = 1 << (WEIGHT_BITS - 1);
                for (int k = 0; k < w->count[x]; k++) {
                    sum += pixel[k * channels + c] * weights[k];
                }
                *out++ = clip_sum(sum);
            }
        }
    }
}

static void resize_rows(const FbImage *from, const Weights *w, FbImage *to)
{
    size_t stride = (size_t)from->width * (size_t)from->channels;
    for (int y = 0; y < to->height; y++) {
        const int32_t *weights = w->weights + (size_t)y * (size_t)w->width;
        const uint8_t *column = from->pixels + (size_t)w->first[y] * stride;
        uint8_t *out = to->pixels + (size_t)y * stride;
        for (size_t i = 0; i < stride; i++) {
            int32_t sum = 1 << (WEIGHT_BITS - 1);
            for (int k = 0; k < w->count[y]; k++) {
                sum += column[(size_t)k * stride + i] * weights[k];
            }
            out[i] = clip_sum(sum);
        }
    }
}

static void resize_nearest(const FbImage *from, FbImage *to)
{
    size_t channels = (size_t)from->channels;
    double step_x = (double)from->width / to->width, step_y = (double)from->height / to->height;
    for (int y = 0; y < to->height; y++) {
        int source_y = (int)((y + 0.5) * step_y);
        source_y = source_y < from->height ? source_y : from->height - 1;
        for (int x = 0; x < to->width; x++) {
            int source_x = (int)((x + 0.5) * step_x);
            source_x = source_x < from->width ? source_x : from->width - 1;
            memcpy(to->pixels + ((size_t)y * (size_t)to->width + (size_t)x) * channels,
                   from->pixels + ((size_t)source_y * (size_t)from->width + (size_t)source_x) * channels, channels);
        }
    }
}

FbStatus fb_image_resize(FbContext *context, const char *what, const FbImage *from, int width, int height, FbFilter filter, bool antialias,
                         FbImage *to, FbError *err)
{
    FbImage between = {0};
    Weights columns = {0}, rows = {0};
    memset(to, 0, sizeof *to);
    FB_TRY(fb_image_alloc(context, what, (uint64_t)width, (uint64_t)height, from->channels, to, err));
    if (width == from->width && height == from->height) {
        memcpy(to->pixels, from->pixels, (size_t)width * (size_t)height * (size_t)from->channels);
        return FB_OK;
    }
    if (filter == FB_FILTER_NEAREST) {
        resize_nearest(from, to);
        return FB_OK;
    }
    FbStatus status = FB_OK;
    if (!weights_make(context, from->width, width, filter, antialias, &columns) ||
        !weights_make(context, from->height, height, filter, antialias, &rows)) {
        status = fb_error_memory(context, err, "resize", (uint64_t)from->width * (uint64_t)from->height);
    } else if (width == from->width) {
        resize_rows(from, &rows, to);
    } else if (height == from->height) {
        resize_columns(from, &columns, to);
    } else {
        status = fb_image_alloc(context, what, (uint64_t)width, (uint64_t)from->height, from->channels, &between, err);
        if (status == FB_OK) {
            resize_columns(from, &columns, &between);
            resize_rows(&between, &rows, to);
        }
    }
    fb_image_reset(context, &between);
    weights_reset(context, &columns);
    weights_reset(context, &rows);
    if (status != FB_OK) {
        fb_image_reset(context, to);
    }
    return status;
}
