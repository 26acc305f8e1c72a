/* Constants into scales and zero points, halves, and biases into codes; the codes of weights are units.c's. */
#include "quantize/weights.h"

#include <float.h>
#include <math.h>

#include "base/checked.h"
#include "base/text.h"

enum { CHUNK = 1 << 18 };

/* How elements map to scales: element i has scale (o * steps + a / block) * inner + r with i = (o * dim + a) * inner + r for blocks; for an
 * axis it is a; for a tensor 0. */
typedef struct Layout {
    FbGrain grain;
    uint64_t dim, inner, block, steps;
    uint64_t elements, scales;
} Layout;

static FbStatus make_layout(const FbConst *constant, const FbEncoding *encoding, Layout *layout, FbError *err)
{
    const FbShape *shape = &constant->shape;
    FbShape scale_shape = fb_encoding_scale_shape(encoding, shape);
    int64_t elements = fb_shape_elements(shape), scales = fb_shape_elements(&scale_shape);
    if (elements < 0 || scales < 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "a weight's size overflows");
    }
    *layout = (Layout){.grain = encoding->grain, .dim = 1, .inner = 1, .block = 1, .steps = 1, .elements = (uint64_t)elements,
                       .scales = (uint64_t)scales};
    if (encoding->grain == FB_GRAIN_TENSOR) {
        return FB_OK;
    }
    layout->dim = (uint64_t)shape->dims[encoding->axis];
    for (int i = encoding->axis + 1; i < shape->rank; i++) {
        layout->inner *= (uint64_t)shape->dims[i];
    }
    if (encoding->grain == FB_GRAIN_BLOCK) {
        layout->block = (uint64_t)encoding->block;
        layout->steps = (layout->dim + layout->block - 1) / layout->block;
    }
    return FB_OK;
}

static void take_one(const float *x, size_t count, float *low, float *high)
{
    float least = *low, most = *high;
    for (size_t i = 0; i < count; i++) {
        least = x[i] < least ? x[i] : least;
        most = x[i] > most ? x[i] : most;
    }
    *low = least;
    *high = most;
}

static void take_each(const float *x, size_t count, float *low, float *high)
{
    for (size_t i = 0; i < count; i++) {
        low[i] = x[i] < low[i] ? x[i] : low[i];
        high[i] = x[i] > high[i] ? x[i] : high[i];
    }
}

static size_t smaller(uint64_t a, size_t b)
{
    return a < b ? (size_t)a : b;
}

/* Takes the run of elements from `first` on that either share one scale or have consecutive ones; returns its length. */
static size_t take_run(const Layout *layout, uint64_t first, const float *x, size_t count, float *low, float *high)
{
    if (layout->grain == FB_GRAIN_TENSOR) {
        take_one(x, count, low, high);
        return count;
    }
    uint64_t line = first / layout->inner, offset = first % layout->inner, a = line % layout->dim, outer = line / layout->dim;
    bool axis = layout->grain == FB_GRAIN_AXIS, along = layout->inner == 1; /* along: the scaled axis is the contiguous one */
    uint64_t scale = axis ? a : (outer * layout->steps + a / layout->block) * layout->inner + offset;
    if (along) {
        uint64_t end = axis ? layout->dim : (a / layout->block + 1) * layout->block;
        size_t run = smaller((end < layout->dim ? end : layout->dim) - a, count);
        if (axis) {
            take_each(x, run, low + scale, high + scale);
        } else {
            take_one(x, run, low + scale, high + scale);
        }
        return run;
    }
    size_t run = smaller(layout->inner - offset, count);
    if (axis) {
        take_one(x, run, low + scale, high + scale);
    } else {
        take_each(x, run, low + scale, high + scale);
    }
    return run;
}

static void take_ranges(const Layout *layout, uint64_t first, const float *x, size_t count, float *low, float *high)
{
    for (size_t done = 0; done < count;) {
        done += take_run(layout, first + done, x + done, count - done, low, high);
    }
}

static FbStatus nonfinite(const char *name, uint64_t index, uint64_t count, FbError *err)
{
    char shown[120];
    return fb_error_set(err, FB_ERR_NUMERIC, "tensor '%s' holds %llu values that are NaN or infinite, the first at element %llu; repair the weights",
                        fb_escape(name, shown, sizeof shown), (unsigned long long)count, (unsigned long long)index);
}

/* Extremes per scale over the whole constant. */
static FbStatus read_ranges(FbContext *context, const char *name, const FbConst *from, const Layout *layout, float *buffer, float *low,
                            float *high, FbError *err)
{
    uint64_t bad = 0, first_bad = 0;
    for (uint64_t s = 0; s < layout->scales; s++) {
        low[s] = high[s] = 0; /* every range holds 0 */
    }
    for (uint64_t first = 0; first < layout->elements; first += CHUNK) {
        size_t count = layout->elements - first < CHUNK ? (size_t)(layout->elements - first) : CHUNK;
        FB_TRY(fb_check_cancel(context, err));
        FB_TRY(fb_const_read_f32(context, from, first, count, buffer, err));
        for (size_t i = 0; i < count; i++) {
            if (!isfinite(buffer[i])) {
                first_bad = bad++ == 0 ? first + i : first_bad;
            }
        }
        take_ranges(layout, first, buffer, count, low, high);
    }
    return bad == 0 ? FB_OK : nonfinite(name, first_bad, bad, err);
}

void fb_weight_store_codes(FbDtype storage, const int32_t *codes, uint8_t *to, uint64_t first, size_t count)
{
    int8_t narrow[1024];
    for (size_t done = 0; done < count;) {
        size_t part = count - done < sizeof narrow ? count - done : sizeof narrow;
        for (size_t i = 0; i < part; i++) {
            narrow[i] = (int8_t)(uint8_t)codes[done + i];
        }
        fb_pack_codes(storage, narrow, to, first + done, part);
        done += part;
    }
}

static FbStatus new_buffer(FbGraph *graph, FbConst *constant, FbPlaneKind kind, uint64_t bytes, FbError *err)
{
    FbBuffer *buffer = bytes <= SIZE_MAX ? fb_buffer_create(graph->context, (size_t)bytes) : NULL;
    if (buffer == NULL) {
        return fb_error_memory(graph->context, err, "quantized weights", bytes);
    }
    constant->planes[kind] = (FbPlane){.bytes = bytes, .buffer = buffer};
    return FB_OK;
}

static FbStatus new_constant(FbGraph *graph, const FbShape *shape, FbDtype dtype, FbConst **made, FbError *err)
{
    FbConst *constant = fb_graph_new_const(graph);
    if (constant == NULL) {
        return fb_error_memory(graph->context, err, "a constant", sizeof *constant);
    }
    constant->dtype = dtype;
    constant->shape = *shape;
    *made = constant;
    return FB_OK;
}

static FbStatus set_encoding(FbGraph *graph, FbConst *constant, const FbEncoding *encoding, FbError *err)
{
    FbEncoding *copy = fb_arena_alloc(graph->arena, sizeof *copy);
    if (copy == NULL) {
        return fb_error_memory(graph->context, err, "an encoding", sizeof *copy);
    }
    *copy = *encoding;
    constant->encoding = copy;
    return FB_OK;
}

/* Scratch of one unit. */
typedef struct Work {
    FbContext *context;
    float *buffer, *low, *high;
} Work;

static void free_work(Work *work)
{
    fb_free(work->context, work->buffer);
    fb_free(work->context, work->low);
    fb_free(work->context, work->high);
}

static FbStatus make_work(FbContext *context, const Layout *layout, Work *work, FbError *err)
{
    *work = (Work){.context = context};
    size_t scales = layout->scales <= SIZE_MAX / 16 ? (size_t)layout->scales : SIZE_MAX / 16;
    work->buffer = fb_alloc_array(context, CHUNK, sizeof *work->buffer);
    work->low = fb_alloc_array(context, scales, sizeof *work->low);
    work->high = fb_alloc_array(context, scales, sizeof *work->high);
    if (work->buffer == NULL || work->low == NULL || work->high == NULL) {
        free_work(work);
        return fb_error_memory(context, err, "ranges of weights", layout->scales * 8 + CHUNK * sizeof(float));
    }
    return FB_OK;
}

static FbStatus choose_scales(const char *name, const FbConst *from, const FbEncoding *encoding, bool symmetric, const Layout *layout,
                              Work *work, float *scales, int32_t *zeros, uint64_t *dead, FbError *err)
{
    FB_TRY(read_ranges(work->context, name, from, layout, work->buffer, work->low, work->high, err));
    float least = 0;
    for (uint64_t s = 0; s < layout->scales; s++) {
        int32_t zero = 0;
        fb_range_to_scale(encoding->code, symmetric, (double)work->low[s], (double)work->high[s], &scales[s], &zero);
        bool is_dead = work->low[s] == 0 && work->high[s] == 0;
        *dead += is_dead;
        least = !is_dead && (least == 0 || scales[s] < least) ? scales[s] : least;
        if (zeros != NULL) {
            zeros[s] = zero;
        }
    }
    /* Zeros come back exactly whatever the scale; but the bias of the channel shares it and 1 would be far too coarse. */
    for (uint64_t s = 0; least > 0 && s < layout->scales; s++) {
        if (work->low[s] == 0 && work->high[s] == 0) {
            scales[s] = least;
        }
    }
    return FB_OK;
}

FbStatus fb_weight_scales(FbGraph *graph, const char *name, const FbConst *from, const FbEncoding *encoding, bool symmetric, float *scales,
                          int32_t *zeros, FbError *err)
{
    Layout layout;
    Work work;
    uint64_t dead = 0;
    FB_TRY(make_layout(from, encoding, &layout, err));
    FB_TRY(make_work(graph->context, &layout, &work, err));
    FbStatus status = choose_scales(name, from, encoding, symmetric, &layout, &work, scales, zeros, &dead, err);
    free_work(&work);
    return status;
}

/* Planes of the right sizes; 8-bit and narrower codes with float scales. The buffer of the codes comes with them. */
static FbStatus make_planes(FbGraph *graph, FbConst *constant, const Layout *layout, FbError *err)
{
    const FbEncoding *encoding = constant->encoding;
    uint64_t codes = 0, zeros = 0;
    if (!fb_dtype_storage(encoding->code->storage, layout->elements, &codes) ||
        !fb_dtype_storage(encoding->code->storage, layout->scales, &zeros)) {
        return fb_error_set(err, FB_ERR_FORMAT, "a weight's size overflows");
    }
    constant->planes[FB_PLANE_CODES].bytes = codes;
    FB_TRY(new_buffer(graph, constant, FB_PLANE_SCALE, layout->scales * sizeof(float), err));
    return encoding->has_zero ? new_buffer(graph, constant, FB_PLANE_ZERO, zeros, err) : FB_OK;
}

FbStatus fb_weight_prepare(FbGraph *graph, const char *name, const FbConst *from, const FbEncoding *encoding, bool symmetric,
                           const double *least, FbConst **made, FbWeightResult *result, FbError *err)
{
    FbContext *context = graph->context;
    Layout layout;
    Work work;
    FB_TRY(make_layout(from, encoding, &layout, err));
    FB_TRY(new_constant(graph, &from->shape, FB_DTYPE_F32, made, err));
    FB_TRY(set_encoding(graph, *made, encoding, err));
    FB_TRY(make_planes(graph, *made, &layout, err));
    FB_TRY(make_work(context, &layout, &work, err));
    float *scales = fb_buffer_data((*made)->planes[FB_PLANE_SCALE].buffer);
    int32_t *zeros = encoding->has_zero ? fb_alloc_array(context, (size_t)layout.scales, sizeof *zeros) : NULL;
    FbStatus status = FB_OK;
    *result = (FbWeightResult){.elements = layout.elements};
    if (encoding->has_zero && zeros == NULL) {
        status = fb_error_memory(context, err, "zero points", layout.scales * sizeof *zeros);
    }
    if (status == FB_OK) {
        status = choose_scales(name, from, encoding, symmetric, &layout, &work, scales, zeros, &result->dead, err);
    }
    for (uint64_t s = 0; status == FB_OK && least != NULL && s < layout.scales; s++) {
        while ((double)scales[s] < least[s]) { /* the rounded scale must satisfy the bound, too */
            scales[s] = (float)least[s] > scales[s] ? (float)least[s] : nextafterf(scales[s], FLT_MAX);
        }
    }
    if (status == FB_OK && zeros != NULL) {
        fb_weight_store_codes(encoding->code->storage, zeros, fb_buffer_data((*made)->planes[FB_PLANE_ZERO].buffer), 0, (size_t)layout.scales);
    }
    if (status == FB_OK && !fb_encoding_bits(encoding, &from->shape, &result->bits)) {
        status = fb_error_set(err, FB_ERR_FORMAT, "a weight's size overflows");
    }
    fb_free(context, zeros);
    free_work(&work);
    return status;
}

FbStatus fb_weight_plain(FbGraph *graph, FbDtype dtype, const FbShape *shape, const void *bytes, size_t count, FbConst **made, FbError *err)
{
    FB_TRY(new_constant(graph, shape, dtype, made, err));
    FB_TRY(new_buffer(graph, *made, FB_PLANE_CODES, count, err));
    if (count > 0) {
        memcpy(fb_buffer_data((*made)->planes[FB_PLANE_CODES].buffer), bytes, count);
    }
    return FB_OK;
}

/* Converts one chunk; counts finite values that became infinite. */
static uint64_t convert_chunk(FbDtype dtype, const float *x, size_t count, uint64_t first, uint8_t *to, uint64_t *first_bad)
{
    uint64_t bad = 0;
    for (size_t i = 0; i < count; i++) {
        float stored = dtype == FB_DTYPE_F16 ? fb_f16_to_f32(fb_f32_to_f16(x[i])) : fb_bf16_to_f32(fb_f32_to_bf16(x[i]));
        if (!isfinite(stored)) {
            *first_bad = bad++ == 0 ? first + i : *first_bad;
        }
    }
    fb_encode_f32(dtype, x, to, first, count);
    return bad;
}

FbStatus fb_weight_convert(FbGraph *graph, const char *name, const FbConst *from, const FbEncoding *encoding, FbConst **made, FbError *err)
{
    FbDtype dtype = encoding->code->storage;
    FbContext *context = graph->context;
    int64_t elements = fb_shape_elements(&from->shape);
    uint64_t bytes = 0, bad = 0, first_bad = 0;
    if (elements < 0 || !fb_dtype_storage(dtype, (uint64_t)elements, &bytes)) {
        return fb_error_set(err, FB_ERR_FORMAT, "a weight's size overflows");
    }
    FB_TRY(new_constant(graph, &from->shape, FB_DTYPE_F32, made, err));
    FB_TRY(set_encoding(graph, *made, encoding, err));
    FB_TRY(new_buffer(graph, *made, FB_PLANE_CODES, bytes, err));
    uint8_t *to = fb_buffer_data((*made)->planes[FB_PLANE_CODES].buffer);
    float *buffer = fb_alloc_array(context, CHUNK, sizeof *buffer);
    if (buffer == NULL) {
        return fb_error_memory(context, err, "weights", CHUNK * sizeof *buffer);
    }
    FbStatus status = FB_OK;
    for (uint64_t first = 0; first < (uint64_t)elements && status == FB_OK; first += CHUNK) {
        size_t count = (uint64_t)elements - first < CHUNK ? (size_t)((uint64_t)elements - first) : CHUNK;
        uint64_t found = first_bad;
        status = fb_const_read_f32(context, from, first, count, buffer, err);
        if (status == FB_OK) {
            uint64_t here = convert_chunk(dtype, buffer, count, first, to, &found);
            first_bad = bad == 0 ? found : first_bad;
            bad += here;
        }
    }
    fb_free(context, buffer);
    if (status == FB_OK && bad > 0) {
        char shown[120];
        return fb_error_set(err, FB_ERR_NUMERIC, "tensor '%s': %llu values do not fit %s, the first at element %llu; exclude it or use bfloat16",
                            fb_escape(name, shown, sizeof shown), (unsigned long long)bad, fb_dtype_name(dtype),
                            (unsigned long long)first_bad);
    }
    return status;
}

FbStatus fb_bias_encode(FbGraph *graph, const char *name, const FbConst *from, float input_scale, const float *weight_scales,
                        size_t scale_count, FbConst **made, FbError *err)
{
    int64_t count = fb_shape_elements(&from->shape);
    FbEncoding encoding = {.code = fb_code_find("s32"), .grain = scale_count > 1 ? FB_GRAIN_AXIS : FB_GRAIN_TENSOR, .scale = FB_DTYPE_F32};
    if (count < 0 || from->shape.rank != 1 || (scale_count > 1 && (uint64_t)count != scale_count)) {
        return fb_error_set(err, FB_ERR_FORMAT, "bias '%.100s' does not fit its weights", name);
    }
    FB_TRY(new_constant(graph, &from->shape, FB_DTYPE_F32, made, err));
    FB_TRY(set_encoding(graph, *made, &encoding, err));
    FB_TRY(new_buffer(graph, *made, FB_PLANE_CODES, (uint64_t)count * 4, err));
    FB_TRY(new_buffer(graph, *made, FB_PLANE_SCALE, scale_count * sizeof(float), err));
    int32_t *codes = fb_buffer_data((*made)->planes[FB_PLANE_CODES].buffer);
    float *scales = fb_buffer_data((*made)->planes[FB_PLANE_SCALE].buffer);
    float *values = fb_alloc_array(graph->context, (size_t)count, sizeof *values);
    if (values == NULL) {
        return fb_error_memory(graph->context, err, "a bias", (uint64_t)count * sizeof *values);
    }
    FbStatus status = fb_const_read_f32(graph->context, from, 0, (size_t)count, values, err);
    for (size_t c = 0; c < scale_count; c++) {
        scales[c] = input_scale * weight_scales[c];
    }
    for (int64_t c = 0; status == FB_OK && c < count; c++) {
        double q = rint((double)values[c] / (double)scales[scale_count > 1 ? c : 0]);
        if (!isfinite(values[c])) {
            status = nonfinite(name, (uint64_t)c, 1, err);
        } else if (!(fabs(q) <= 2147483647.0)) {
            status = fb_error_set(err, FB_ERR_NUMERIC, "bias '%.100s'[%lld] does not fit 32 bits at its scale", name, (long long)c);
        } else {
            codes[c] = (int32_t)q;
        }
    }
    fb_free(graph->context, values);
    return status;
}
