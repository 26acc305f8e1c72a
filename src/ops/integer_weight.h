/* Constant weights of integer products: codes less their zero points, split into summands of 8 bits, packed for a kernel. */
#ifndef FB_OPS_INTEGER_WEIGHT_H
#define FB_OPS_INTEGER_WEIGHT_H

#include "kernels/product_u8s8.h"
#include "ops/lowering.h"

/* A weight of 8 bits less any zero point of its type lies in [-255, 255]: up to three summands of s8. */
enum { FB_INTEGER_SUMMANDS_MAX = 3 };

typedef struct FbIntegerWeight {
    size_t columns;          /* of the product: output channels */
    int16_t *codes;          /* [elements of the constant], in its order, less the zero point; fb_alloc'ed */
    const double *scale;     /* [columns]; in the plan's arena, as the rest */
    const int32_t *sum;      /* [columns] of the weights */
    const int64_t *absolute; /* [columns] of their magnitudes */
    size_t summands;         /* 1 for symmetric weights */
} FbIntegerWeight;

/* True for integer codes of at most 8 bits with float scales, one or one per index of `axis`, when sums of `depth` products with u8 codes
 * stay below 2^30. */
bool fb_integer_weight_accepts(const FbConst *weight, int axis, int64_t depth);
/* Reads constants[1]. */
FbStatus fb_integer_weight_read(const FbPrepare *prepare, int axis, FbIntegerWeight *weight, FbError *err);
void fb_integer_weight_free(FbContext *context, FbIntegerWeight *weight);

/* One matrix inside the codes: element (tap, channel, column) at tap * tap_stride + channel * channel_stride + column * column_stride. */
typedef struct FbIntegerMatrix {
    const int16_t *codes;
    size_t taps, channels, columns;
    size_t tap_stride, channel_stride, column_stride;
} FbIntegerMatrix;

/* Packs `matrix` as pack_taps * summands taps: all taps of the first summand, then those of the next, against the same rows of A. The
 * channels of taps / pack_taps neighbouring taps become the depth of one. */
FbStatus fb_integer_weight_pack(const FbPrepare *prepare, const FbProductU8S8Kernel *kernel, const FbIntegerMatrix *matrix, size_t pack_taps,
                                size_t summands, FbPackedU8S8 *packed, FbError *err);

#endif
