/* The table of element types and conversions of single values and rows. */
#ifndef FB_TENSOR_DTYPE_H
#define FB_TENSOR_DTYPE_H

#include <stdbool.h>

#include "base/context.h"
#include "fewbit/tensor.h"

typedef enum FbDtypeKind { FB_KIND_NONE, FB_KIND_FLOAT, FB_KIND_SIGNED, FB_KIND_UNSIGNED, FB_KIND_BOOL, FB_KIND_STRING, FB_KIND_COMPLEX } FbDtypeKind;

typedef struct FbDtypeInfo {
    const char *name;    /* "f32" */
    const char *onnx;    /* "float", as ONNX type strings have it: "tensor(float)" */
    FbDtypeKind kind;
    int bits;            /* 0: no fixed size */
    double low, high;    /* finite range, as numbers */
    bool has_infinity, has_nan;
} FbDtypeInfo;

const FbDtypeInfo *fb_dtype_info(FbDtype dtype);                    /* row of NONE when out of range */
bool fb_dtype_storage(FbDtype dtype, uint64_t elements, uint64_t *bytes); /* false: overflow or no fixed size */

/* Single values. Rounding is half to even. f8: `saturate` clamps out-of-range values to the largest finite, else NaN/inf (ONNX Cast). */
float fb_f16_to_f32(uint16_t half);
uint16_t fb_f32_to_f16(float value);
float fb_bf16_to_f32(uint16_t half);
uint16_t fb_f32_to_bf16(float value);
float fb_f8_to_f32(uint8_t code, FbDtype dtype);                     /* the four fp8 types, F8E8M0, and F4E2M1 in the low nibble */
uint8_t fb_f32_to_f8(float value, FbDtype dtype, bool saturate);     /* likewise; E8M0 rounds up, as ONNX Cast's default round_mode; a NaN has no F4E2M1 code and gives 0 */

/* E8M0 holds powers of two 2^-127 .. 2^127; the sign is dropped, NaN and infinity give 0xff (NaN). Beyond 2^127: `saturate` stays there,
 * otherwise NaN. Rounding as ONNX Cast's round_mode: up to the next power, down, or to the nearest in ratio 1.5 with ties up. */
typedef enum FbE8m0Round { FB_E8M0_UP = 0, FB_E8M0_DOWN, FB_E8M0_NEAREST } FbE8m0Round;
uint8_t fb_f32_to_e8m0(float value, FbE8m0Round mode, bool saturate);

/* Rows of `count` elements; first_element addresses within packed sub-byte types. Numeric types except strings and complex. */
void fb_decode_f32(FbDtype dtype, const void *from, uint64_t first_element, float *to, size_t count);
/* Integers: round half to even and saturate; NaN gives 0. Floats: nearest even (f8 saturates). */
void fb_encode_f32(FbDtype dtype, const float *from, void *to, uint64_t first_element, size_t count);
/* Sub-byte integers to one int8/uint8 per element and back (values must be in range). Other 8-bit types are copied. */
void fb_unpack_codes(FbDtype dtype, const void *from, uint64_t first_element, int8_t *to, size_t count);
void fb_pack_codes(FbDtype dtype, const int8_t *from, void *to, uint64_t first_element, size_t count);

#endif
