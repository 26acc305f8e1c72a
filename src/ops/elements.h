/* Work types: every numeric element type is computed with in one of four, so that an operator has four loops at most.
 *
 *   f16, bf16, f32, fp8 ...  -> float    f64 -> double    s8..s64, u8..u32, bool, 4- and 2-bit -> int64    u64 -> uint64
 *
 * Storing keeps the low bits of integers (two's complement wrap) and rounds floats half to even. Floats stored as integers are truncated;
 * ONNX leaves those out of range open: types of 32 and 64 bits saturate, narrower ones keep the low bits of the whole number as NumPy and
 * the ONNX test cases have it; NaN gives 0. */
#ifndef FB_OPS_ELEMENTS_H
#define FB_OPS_ELEMENTS_H

#include "ops/op.h"

typedef enum FbWork { FB_WORK_F32 = 0, FB_WORK_F64, FB_WORK_S64, FB_WORK_U64 } FbWork;

enum { FB_WORK_BLOCK = 512 }; /* elements that callers handle at a time, in buffers of FbWorkBlock */
typedef union FbWorkBlock {
    float f32[FB_WORK_BLOCK];
    double f64[FB_WORK_BLOCK];
    int64_t s64[FB_WORK_BLOCK];
    uint64_t u64[FB_WORK_BLOCK];
    uint8_t u8[FB_WORK_BLOCK];
} FbWorkBlock;

FbWork fb_work_of(FbDtype dtype);
size_t fb_work_bytes(FbWork work); /* 4 or 8 */

/* Elements first, first + stride, ... of a numeric tensor's data as work type `work`. Conversions between classes are C's. */
void fb_work_load(FbDtype dtype, const void *data, int64_t first, int64_t stride, FbWork work, void *to, size_t count);
/* The reverse, to consecutive elements. */
void fb_work_store(FbDtype dtype, void *data, int64_t first, FbWork work, const void *from, size_t count);
/* The stored elements themselves when no conversion is needed, else NULL. */
static inline const void *fb_work_direct(FbDtype dtype, const void *data, int64_t first, FbWork work)
{
    if (work == FB_WORK_F32 && dtype == FB_DTYPE_F32) {
        return (const float *)data + first;
    }
    if ((work == FB_WORK_F64 && dtype == FB_DTYPE_F64) || (work == FB_WORK_S64 && dtype == FB_DTYPE_S64) ||
        (work == FB_WORK_U64 && dtype == FB_DTYPE_U64)) {
        return (const char *)data + 8 * first;
    }
    return NULL;
}

int64_t fb_double_to_s64(double value); /* truncated, saturated, NaN gives 0 */
uint64_t fb_double_to_u64(double value);

#endif
