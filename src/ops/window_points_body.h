/* What output pixels see of a channels-last tensor; included once per type of its elements. */

/* What one tap of a kernel row sees from `count` pixels of an output row, the first of them looking at input column `column`. */
static void POINTS_ROW(const POINTS_TYPE *line, int64_t column, int64_t stride, int64_t width, ptrdiff_t pixel, const POINTS_TYPE *padding,
                       size_t count, size_t pixel_stride, const POINTS_TYPE **to)
{
    size_t i = 0;
    for (; i < count && column < 0; i++, column += stride) {
        to[i * pixel_stride] = padding;
    }
    for (; i < count && column < width; i++, column += stride) {
        to[i * pixel_stride] = line + column * pixel;
    }
    for (; i < count; i++) {
        to[i * pixel_stride] = padding;
    }
}

void POINTS_NAME(const FbWindow *w, const POINTS_TYPE *x, size_t pixel_elements, const POINTS_TYPE *padding, size_t first, size_t count,
                 size_t pixel_stride, size_t tap_stride, const POINTS_TYPE **to)
{
    const ptrdiff_t elements = (ptrdiff_t)pixel_elements;
    const int64_t *in = w->in, *out = w->out;
    for (size_t run; count > 0; first += run, count -= run, to += run * pixel_stride) { /* the part of an output row */
        const int64_t pixel = (int64_t)first;
        const int64_t column = pixel % out[2], row = pixel / out[2] % out[1], plane = pixel / (out[2] * out[1]) % out[0];
        const int64_t image = pixel / (out[2] * out[1] * out[0]);
        const POINTS_TYPE **at = to;
        run = count < (size_t)(out[2] - column) ? count : (size_t)(out[2] - column);
        for (int64_t kd = 0; kd < w->kernel[0]; kd++) {
            const int64_t d = plane * w->stride[0] - w->begin[0] + kd * w->dilation[0];
            for (int64_t kh = 0; kh < w->kernel[1]; kh++) {
                const int64_t h = row * w->stride[1] - w->begin[1] + kh * w->dilation[1];
                const bool inside = d >= 0 && d < in[0] && h >= 0 && h < in[1];
                const POINTS_TYPE *line = inside ? x + ((image * in[0] + d) * in[1] + h) * in[2] * elements : NULL;
                for (int64_t kw = 0; kw < w->kernel[2]; kw++, at += tap_stride) {
                    const int64_t c = column * w->stride[2] - w->begin[2] + kw * w->dilation[2];
                    POINTS_ROW(line, c, w->stride[2], inside ? in[2] : INT64_MIN, elements, padding, run, pixel_stride, at);
                }
            }
        }
    }
}
#undef POINTS_NAME
#undef POINTS_ROW
#undef POINTS_TYPE
