/* How reals become codes: the encoding of weights and of Quants, and its arithmetic.
 *
 *   q = clamp(round_half_even(x / scale) + zero, code.low, code.high)      real = scale * (q - zero)
 *
 * Source: ONNX QuantizeLinear/DequantizeLinear (opset 25); Jacob et al. 2018 (arXiv:1712.05877), eq. 1. Float codes (fp8, fp4) round to
 * the nearest code value instead and have no zero. Table codes (nf4) pick the nearest level. */
#ifndef FB_TENSOR_ENCODING_H
#define FB_TENSOR_ENCODING_H

#include "tensor/tensor.h"

/* A row of the code table. Open set: s2..s8, u2..u8, s16, u16, s32, f16, bf16, the fp8 types, f4e2m1, nf4. */
typedef struct FbCode {
    const char *name;      /* "s8" */
    const char *summary;
    FbDtype storage;       /* how one code is stored in an ONNX tensor; odd widths in the next wider integer */
    int bits;
    int32_t low, high;     /* of integer codes */
    int32_t symmetric_low; /* -127 for s8: the symmetric grid leaves the lowest code out; equals low for s4 and narrower */
    int32_t canonical_zero;/* zero point of symmetric use (128 for u8); of table codes the level that is 0 */
    const float *levels;   /* table codes: 2^bits values, ascending; NULL otherwise */
} FbCode;

extern const FbCode fb_codes[];
extern const size_t fb_code_count;
const FbCode *fb_code_find(const char *name);        /* NULL: unknown */
const FbCode *fb_code_of_dtype(FbDtype dtype);       /* the row whose storage is this dtype and bits agree; NULL */

typedef enum FbGrain { FB_GRAIN_TENSOR = 0, FB_GRAIN_AXIS, FB_GRAIN_BLOCK } FbGrain;

typedef struct FbEncoding {
    const FbCode *code;
    FbGrain grain;
    int axis;          /* of the logical shape, >= 0; AXIS: one scale per index; BLOCK: scales run along it */
    int64_t block;     /* BLOCK: elements per scale along axis, the last may be short */
    FbDtype scale;     /* F32, F16, BF16, F8E8M0 ... */
    bool has_zero;     /* a zero point per scale, stored as the code type; false: 0, as in ONNX */
    const struct FbBlockType *blocks; /* codes and scales lie together in blocks of this type along the last axis, all in the plane of the
                                         codes (tensor/block_type.h); NULL: planes of their own. The functions below are for NULL only,
                                         but for fb_encoding_bits */
} FbEncoding;

/* Shape of the scale (and zero) tensor as ONNX has it: scalar, [dim(axis)], or the shape with dims[axis] = ceil(dim/block). */
FbShape fb_encoding_scale_shape(const FbEncoding *encoding, const FbShape *shape);
/* Exact stored bits, scales and zero points included; false on overflow. */
bool fb_encoding_bits(const FbEncoding *encoding, const FbShape *shape, uint64_t *bits);

/* Elements [first, first + count) of the row-major logical tensor, one int32 per code. scale NULL: 1; zero NULL: 0. A NaN gives the zero
 * point. Float codes are their bit patterns. */
void fb_encoding_quantize(const FbEncoding *encoding, const FbShape *shape, const float *scale, const int32_t *zero, const float *from,
                          uint64_t first, size_t count, int32_t *codes);
void fb_encoding_dequantize(const FbEncoding *encoding, const FbShape *shape, const float *scale, const int32_t *zero,
                            const int32_t *codes, uint64_t first, size_t count, float *to);

/* Scale and zero point for a range, ONNX Runtime's rule: widen to hold 0; asymmetric: scale = (high-low)/(qmax-qmin), zero =
 * round_half_even(qmin - low/scale) clamped; symmetric: scale = 2*max|.|/(qmax-qmin) over the symmetric grid, canonical zero.
 * A range that is 0 or whose scale underflows gives scale 1, zero canonical. */
void fb_range_to_scale(const FbCode *code, bool symmetric, double low, double high, float *scale, int32_t *zero);

#endif
