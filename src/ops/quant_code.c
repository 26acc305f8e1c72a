/* Rounding to grids of codes. Source: ONNX QuantizeLinear and DequantizeLinear, operator set 25.
 *
 *   code = clamp(round_half_even(x / scale) + zero, low, high)      real = (code - zero) * scale
 *
 * The common types go through the kernels of kernels/round_grid.h, which give the same bits. */
#include "ops/quant_code.h"

#include <math.h>

#include "ops/check.h"
#include "tensor/encoding.h"

FbGrid fb_grid_of_dtype(FbDtype dtype)
{
    const FbDtypeInfo *info = fb_dtype_info(dtype);
    FbGrid grid = {.dtype = dtype, .saturate = true, .precision = FB_DTYPE_F32};
    grid.whole = info->kind == FB_KIND_SIGNED || info->kind == FB_KIND_UNSIGNED;
    if (grid.whole && info->bits <= 32) {
        grid.low = (int32_t)info->low;
        grid.high = info->high > 2147483647.0 ? INT32_MAX : (int32_t)info->high;
    }
    return grid;
}

bool fb_grid_of_code(const char *name, FbGrid *grid)
{
    const FbCode *code = fb_code_find(name);
    if (!code) {
        return false;
    }
    *grid = fb_grid_of_dtype(code->storage);
    if (grid->whole) {
        grid->low = code->low;
        grid->high = code->high;
    }
    grid->levels = code->levels;
    grid->level_count = code->levels ? 1 << code->bits : 0;
    grid->whole = grid->whole && !code->levels;
    return true;
}

/* The nearest level; halfway goes to the lower one. */
static double nearest_level(const FbGrid *grid, double value)
{
    int best = 0;
    for (int i = 1; i < grid->level_count; i++) {
        if (fabs(value - (double)grid->levels[i]) < fabs(value - (double)grid->levels[best])) {
            best = i;
        }
    }
    return (double)grid->levels[best];
}

static double divide(const FbGrid *grid, double x, float scale)
{
    float quotient = (float)x / scale;
    switch (grid->precision) {
    case FB_DTYPE_F64: return x / (double)scale;
    case FB_DTYPE_F16: return (double)fb_f16_to_f32(fb_f32_to_f16(quotient));
    case FB_DTYPE_BF16: return (double)fb_bf16_to_f32(fb_f32_to_bf16(quotient));
    default: return (double)quotient;
    }
}

/* The code (integers), or the value of the code (float and table grids), of a quotient. */
static double to_grid(const FbGrid *grid, double quotient, double zero)
{
    if (grid->whole) {
        double code = rint(quotient) + zero;
        return code > grid->low ? (code < grid->high ? code : grid->high) : grid->low; /* NaN: low */
    }
    if (grid->levels) {
        return nearest_level(grid, quotient);
    }
    float value = (float)(quotient + zero);
    if (grid->dtype == FB_DTYPE_F16 || grid->dtype == FB_DTYPE_BF16) {
        return grid->dtype == FB_DTYPE_F16 ? fb_f16_to_f32(fb_f32_to_f16(value)) : fb_bf16_to_f32(fb_f32_to_bf16(value));
    }
    return (double)fb_f8_to_f32(fb_f32_to_f8(value, grid->dtype, grid->saturate), grid->dtype);
}

static void store_codes(const FbQuantTensors *t, int64_t first, const double *codes, size_t count)
{
    if (FB_MASK(t->grid.dtype) & FB_MASK_F8) {
        uint8_t *to = (uint8_t *)t->to->data + first;
        for (size_t i = 0; i < count; i++) {
            to[i] = fb_f32_to_f8((float)codes[i], t->grid.dtype, t->grid.saturate);
        }
        return;
    }
    fb_work_store(t->grid.dtype, t->to->data, first, FB_WORK_F64, codes, count);
}

/* Any types: a block of a run through double. */
static void block_any(const FbQuantTensors *t, FbQuantStep step, const FbQuantRun *run, int64_t at, size_t count)
{
    FbWorkBlock x, scale, zero;
    size_t parameters = run->step ? count : 1;
    int64_t parameter = run->scale + (run->step ? at : 0);
    fb_work_load(t->from->dtype, t->from->data, run->first + at, 1, FB_WORK_F64, &x, count);
    fb_work_load(t->scale->dtype, t->scale->data, parameter, 1, FB_WORK_F32, &scale, parameters);
    if (t->zero) {
        fb_work_load(t->zero->dtype, t->zero->data, parameter, 1, FB_WORK_F64, &zero, parameters);
    }
    for (size_t i = 0; i < count; i++) {
        size_t p = run->step ? i : 0;
        float s = scale.f32[p];
        double add = t->zero ? zero.f64[p] : -0.0, subtract = t->zero ? add : 0.0; /* without a zero point, -0 stays -0 */
        double code = step == FB_QUANT_FROM_CODES ? x.f64[i] : to_grid(&t->grid, divide(&t->grid, x.f64[i], s), add);
        x.f64[i] = step == FB_QUANT_TO_CODES ? code : (double)((float)(code - subtract) * s);
    }
    if (step == FB_QUANT_TO_CODES) {
        store_codes(t, run->first + at, x.f64, count);
    } else {
        fb_work_store(t->to->dtype, t->to->data, run->first + at, FB_WORK_F64, &x, count);
    }
}

/* One scale for the whole run and common types: true when a kernel served it. */
static bool run_kernel(const FbQuantTensors *t, FbQuantStep step, const FbQuantRun *run)
{
    const float *x = (const float *)t->from->data + run->first;
    float scale = ((const float *)t->scale->data)[run->scale];
    int32_t zero = t->zero ? (int32_t)fb_tensor_int(t->zero, run->scale) : 0;
    size_t n = (size_t)run->count;
    if (step == FB_QUANT_ROUND) {
        t->kernel->round_tensor(x, (float *)t->to->data + run->first, n, scale, zero, t->grid.low, t->grid.high);
        return true;
    }
    if (step == FB_QUANT_FROM_CODES) {
        float *to = (float *)t->to->data + run->first;
        switch (t->from->dtype) {
        case FB_DTYPE_U8: t->kernel->dequantize_u8((const uint8_t *)t->from->data + run->first, to, n, scale, zero); return true;
        case FB_DTYPE_S8: t->kernel->dequantize_s8((const int8_t *)t->from->data + run->first, to, n, scale, zero); return true;
        default: return false;
        }
    }
    switch (t->grid.dtype) {
    case FB_DTYPE_U8: t->kernel->quantize_u8(x, (uint8_t *)t->to->data + run->first, n, scale, zero); return true;
    case FB_DTYPE_S8: t->kernel->quantize_s8(x, (int8_t *)t->to->data + run->first, n, scale, zero); return true;
    case FB_DTYPE_U16: t->kernel->quantize_u16(x, (uint16_t *)t->to->data + run->first, n, scale, zero); return true;
    case FB_DTYPE_S16: t->kernel->quantize_s16(x, (int16_t *)t->to->data + run->first, n, scale, zero); return true;
    default: return false;
    }
}

/* A scale per element of the run, float32 in and out. */
static void block_channels(const FbQuantTensors *t, const FbQuantRun *run, int64_t at, size_t count)
{
    int32_t zeros[FB_WORK_BLOCK];
    int64_t parameter = run->scale + at, first = run->first + at;
    for (size_t i = 0; t->zero && i < count; i++) {
        zeros[i] = (int32_t)fb_tensor_int(t->zero, parameter + (int64_t)i);
    }
    t->kernel->round_channels((const float *)t->from->data + first, (float *)t->to->data + first, count,
                              (const float *)t->scale->data + parameter, t->zero ? zeros : NULL, t->grid.low, t->grid.high);
}

typedef struct QuantWork {
    const FbQuantTensors *tensors;
    FbQuantStep step;
    bool common; /* types that kernels serve */
} QuantWork;

static void quant_task(void *arg, size_t slot, size_t begin, size_t end)
{
    const QuantWork *work = arg;
    const FbQuantTensors *t = work->tensors;
    (void)slot;
    for (size_t r = begin; r < end; r++) {
        FbQuantRun run = fb_quant_run(&t->layout, (int64_t)r);
        if (work->common && !run.step && run_kernel(t, work->step, &run)) {
            continue;
        }
        for (int64_t at = 0; at < run.count; at += FB_WORK_BLOCK) {
            size_t count = (size_t)(run.count - at < FB_WORK_BLOCK ? run.count - at : FB_WORK_BLOCK);
            if (work->common && work->step == FB_QUANT_ROUND) {
                block_channels(t, &run, at, count);
            } else {
                block_any(t, work->step, &run, at, count);
            }
        }
    }
}

static bool common_types(const FbQuantTensors *t, FbQuantStep step)
{
    bool floats = t->scale->dtype == FB_DTYPE_F32 && (step == FB_QUANT_FROM_CODES || t->from->dtype == FB_DTYPE_F32) &&
                  (step == FB_QUANT_TO_CODES || t->to->dtype == FB_DTYPE_F32);
    /* The kernels clamp to the whole of a storage type when they make codes, and hold codes exactly in float. */
    return floats && t->grid.whole && fb_dtype_bits(t->grid.dtype) <= 16 && t->grid.precision == FB_DTYPE_F32;
}

void fb_quant_all(FbContext *context, const FbQuantTensors *tensors, FbQuantStep step)
{
    QuantWork work = {tensors, step, common_types(tensors, step)};
    if (tensors->layout.elements == 0) {
        return;
    }
    int64_t each = tensors->layout.elements / tensors->layout.runs + 1;
    size_t grain = (size_t)(each < 16384 ? 16384 / each : 1);
    if (fb_dtype_bits(tensors->to->dtype) < 8) { /* neighbours share bytes */
        ((uint8_t *)tensors->to->data)[tensors->to->bytes - 1] = 0;
        quant_task(&work, 0, 0, (size_t)tensors->layout.runs);
        return;
    }
    fb_parallel(context, quant_task, &work, (size_t)tensors->layout.runs, grain);
}
