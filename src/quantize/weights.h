/* Constants into scales and zero points, halves, and biases into codes. */
#ifndef FB_QUANTIZE_WEIGHTS_H
#define FB_QUANTIZE_WEIGHTS_H

#include "graph/graph.h"

typedef struct FbWeightResult {
    uint64_t elements, bits; /* stored bits, scales and zero points included */
    uint64_t dead;           /* scales whose weights are all zero */
} FbWeightResult;

/* A constant for the codes of `from` (float elements) under `encoding`, round to nearest, with its scales and zero points; the codes are a
 * unit of work (units.h). The constant is read by ranges and belongs to the graph. `least` (or NULL) raises single scales:
 * scale[i] >= least[i]. NaN and infinity are an error naming tensor, first index and count. */
FbStatus fb_weight_prepare(FbGraph *graph, const char *name, const FbConst *from, const FbEncoding *encoding, bool symmetric,
                           const double *least, FbConst **made, FbWeightResult *result, FbError *err);
/* Packs codes as elements [first, first + count) of `to`. */
void fb_weight_store_codes(FbDtype storage, const int32_t *codes, uint8_t *to, uint64_t first, size_t count);
/* The scales that fb_weight_prepare would choose; `scales` holds as many floats as fb_encoding_scale_shape says. */
FbStatus fb_weight_scales(FbGraph *graph, const char *name, const FbConst *from, const FbEncoding *encoding, bool symmetric, float *scales,
                          int32_t *zeros, FbError *err);
/* Half-precision codes, f16 or bf16, without a scale; NaN, infinity and finite weights that would become infinite are an error. */
FbStatus fb_weight_convert(FbGraph *graph, const char *name, const FbConst *from, const FbEncoding *encoding, FbConst **made, FbError *err);
/* INT32 codes of a bias over scale[c] = input_scale * weight_scale[c or 0]. */
FbStatus fb_bias_encode(FbGraph *graph, const char *name, const FbConst *from, float input_scale, const float *weight_scales,
                        size_t scale_count, FbConst **made, FbError *err);
/* A new plain constant of the graph around bytes that are copied. */
FbStatus fb_weight_plain(FbGraph *graph, FbDtype dtype, const FbShape *shape, const void *bytes, size_t count, FbConst **made, FbError *err);

#endif
