/* Reading and packing the weights of integer products. */
#include "ops/integer_weight.h"

enum { CHUNK = 4096 };

bool fb_integer_weight_accepts(const FbConst *weight, int axis, int64_t depth)
{
    if (weight == NULL || weight->encoding == NULL || weight->encoding->blocks != NULL || weight->dtype != FB_DTYPE_F32 || fb_shape_elements(&weight->shape) <= 0) {
        return false;
    }
    const FbEncoding *e = weight->encoding;
    const FbDtypeInfo *storage = fb_dtype_info(e->code->storage);
    const bool whole = storage->kind == FB_KIND_SIGNED || storage->kind == FB_KIND_UNSIGNED;
    const bool grain = e->grain == FB_GRAIN_TENSOR || (e->grain == FB_GRAIN_AXIS && e->axis == axis);
    if (!whole || e->code->levels || e->code->bits > 8 || !grain || e->scale != FB_DTYPE_F32) {
        return false;
    }
    const int64_t most = e->has_zero || storage->kind == FB_KIND_UNSIGNED ? 255 : 128;
    return depth < ((int64_t)1 << 30) / (255 * most);
}

/* Zero points and scales, one per column whatever the grain. */
static FbStatus read_parameters(const FbPrepare *prepare, size_t columns, int32_t *zero, double *scale, FbError *err)
{
    const FbConst *constant = prepare->constants[1];
    const bool per_column = constant->encoding->grain == FB_GRAIN_AXIS;
    for (size_t c = 0; c < columns; c++) {
        if (c == 0 || per_column) {
            float value;
            FB_TRY(fb_plane_read(&constant->planes[FB_PLANE_SCALE], c * sizeof value, &value, sizeof value, err));
            scale[c] = (double)value;
        } else {
            scale[c] = scale[0];
        }
    }
    if (constant->encoding->has_zero) {
        FB_TRY(fb_const_read_codes(constant, FB_PLANE_ZERO, 0, per_column ? columns : 1, zero, err));
        for (size_t c = 1; c < columns && !per_column; c++) {
            zero[c] = zero[0];
        }
    }
    return FB_OK;
}

typedef struct Reading {
    const int32_t *zero;
    int32_t *sum;
    int64_t *absolute;
    int32_t low, high;
} Reading;

/* One weight of each of the columns [column, column + count). */
static void take_columns(Reading *r, size_t column, const int32_t *from, size_t count, int16_t *to)
{
    const int32_t *zero = r->zero + column;
    int32_t *sum = r->sum + column, low = 0, high = 0;
    int64_t *absolute = r->absolute + column;
    for (size_t i = 0; i < count; i++) {
        const int32_t value = from[i] - zero[i];
        to[i] = (int16_t)value;
        sum[i] += value;
        absolute[i] += value < 0 ? -value : value;
        low = value < low ? value : low;
        high = value > high ? value : high;
    }
    r->low = low < r->low ? low : r->low;
    r->high = high > r->high ? high : r->high;
}

/* `count` weights of one column. */
static void take_run(Reading *r, size_t column, const int32_t *from, size_t count, int16_t *to)
{
    const int32_t zero = r->zero[column];
    int32_t sum = 0, absolute = 0, low = 0, high = 0;
    for (size_t i = 0; i < count; i++) {
        const int32_t value = from[i] - zero;
        to[i] = (int16_t)value;
        sum += value;
        absolute += value < 0 ? -value : value;
        low = value < low ? value : low;
        high = value > high ? value : high;
    }
    r->sum[column] += sum;
    r->absolute[column] += absolute;
    r->low = low < r->low ? low : r->low;
    r->high = high > r->high ? high : r->high;
}

static FbStatus read_codes(const FbPrepare *prepare, size_t inner, FbIntegerWeight *w, Reading *r, FbError *err)
{
    const FbConst *constant = prepare->constants[1];
    const size_t count = (size_t)fb_shape_elements(&constant->shape);
    int32_t chunk[CHUNK];
    size_t column = 0, left = inner; /* of the column's run */
    for (size_t first = 0; first < count; first += CHUNK) {
        const size_t part = count - first < CHUNK ? count - first : CHUNK;
        FB_TRY(fb_const_read_codes(constant, FB_PLANE_CODES, first, part, chunk, err));
        for (size_t i = 0, run; i < part; i += run) {
            const size_t room = inner == 1 ? w->columns - column : left;
            run = room < part - i ? room : part - i;
            if (inner == 1) {
                take_columns(r, column, chunk + i, run, w->codes + first + i);
                column = column + run == w->columns ? 0 : column + run;
                continue;
            }
            take_run(r, column, chunk + i, run, w->codes + first + i);
            left -= run;
            if (left == 0) {
                left = inner;
                column = column + 1 == w->columns ? 0 : column + 1;
            }
        }
    }
    w->summands = r->low >= -128 && r->high <= 127 ? 1 : r->low >= -256 && r->high <= 254 ? 2 : FB_INTEGER_SUMMANDS_MAX;
    return FB_OK;
}

FbStatus fb_integer_weight_read(const FbPrepare *prepare, int axis, FbIntegerWeight *weight, FbError *err)
{
    const FbShape *shape = &prepare->constants[1]->shape;
    const size_t columns = (size_t)shape->dims[axis], count = (size_t)fb_shape_elements(shape);
    size_t inner = 1;
    for (int i = axis + 1; i < shape->rank; i++) {
        inner *= (size_t)shape->dims[i];
    }
    double *scale = fb_arena_array(prepare->arena, columns, sizeof *scale);
    int32_t *sum = fb_arena_array(prepare->arena, columns, sizeof *sum);
    int64_t *absolute = fb_arena_array(prepare->arena, columns, sizeof *absolute);
    int32_t *zero = fb_alloc_zero(prepare->context, columns * sizeof *zero);
    *weight = (FbIntegerWeight){columns, fb_alloc_array(prepare->context, count, sizeof(int16_t)), scale, sum, absolute, 1};
    FbStatus status = FB_OK;
    if (!scale || !sum || !absolute || !zero || !weight->codes) {
        status = fb_error_memory(prepare->context, err, "integer weights", (uint64_t)count * sizeof(int16_t));
    }
    if (status == FB_OK) {
        status = read_parameters(prepare, columns, zero, scale, err);
    }
    if (status == FB_OK) {
        Reading reading = {.zero = zero, .sum = sum, .absolute = absolute};
        status = read_codes(prepare, inner, weight, &reading, err);
    }
    fb_free(prepare->context, zero);
    if (status != FB_OK) {
        fb_integer_weight_free(prepare->context, weight);
    }
    return status;
}

void fb_integer_weight_free(FbContext *context, FbIntegerWeight *weight)
{
    fb_free(context, weight->codes);
    weight->codes = NULL;
}

/* The part of a weight that summand number `summand` takes: as much as 8 bits hold of what the ones before it left. */
static int8_t summand_of(int16_t value, size_t summand)
{
    int rest = value;
    for (;; summand--) {
        const int part = rest < -128 ? -128 : rest > 127 ? 127 : rest;
        if (summand == 0) {
            return (int8_t)part;
        }
        rest -= part;
    }
}

static void summand_run(const int16_t *from, size_t step, size_t count, size_t summand, size_t summands, int8_t *to)
{
    for (size_t i = 0; i < count; i++) {
        to[i] = summands == 1 ? (int8_t)from[i * step] : summand_of(from[i * step], summand);
    }
}

FbStatus fb_integer_weight_pack(const FbPrepare *prepare, const FbProductU8S8Kernel *kernel, const FbIntegerMatrix *m, size_t pack_taps,
                                size_t summands, FbPackedU8S8 *packed, FbError *err)
{
    const size_t depth = m->taps * m->channels;
    const bool rows = m->column_stride == 1; /* the copy in the order of the source, so that both are read in order */
    int8_t *copy = fb_alloc_array(prepare->context, depth * summands, m->columns);
    if (!copy) {
        return fb_error_memory(prepare->context, err, "integer weights", (uint64_t)depth * summands * m->columns);
    }
    for (size_t s = 0; s < summands; s++) {
        for (size_t k = 0; rows && k < depth; k++) {
            const int16_t *from = m->codes + k / m->channels * m->tap_stride + k % m->channels * m->channel_stride;
            summand_run(from, 1, m->columns, s, summands, copy + (s * depth + k) * m->columns);
        }
        for (size_t n = 0; !rows && n < m->columns; n++) {
            for (size_t t = 0; t < m->taps; t++) {
                const int16_t *from = m->codes + n * m->column_stride + t * m->tap_stride;
                summand_run(from, m->channel_stride, m->channels, s, summands, copy + (n * summands + s) * depth + t * m->channels);
            }
        }
    }
    const FbStatus status = kernel->pack(prepare->context, prepare->arena, copy, rows ? m->columns : 1, rows ? 1 : depth * summands,
                                         pack_taps * summands, depth / pack_taps, m->columns, packed, err);
    fb_free(prepare->context, copy);
    return status;
}
