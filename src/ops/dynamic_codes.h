/* Input 0 of an integer product, quantized in the run as DynamicQuantizeLinear does. */
#ifndef FB_OPS_DYNAMIC_CODES_H
#define FB_OPS_DYNAMIC_CODES_H

#include "ops/integer_store.h"

typedef struct FbDynamicCodes {
    const uint8_t *codes;    /* readable up to a multiple of FB_U8S8_STEP past the end */
    int32_t zero;
    const int32_t *offset;   /* [columns]; NULL: those of the store */
    const float *scales;
} FbDynamicCodes;

/* Scratch for `elements` codes and the offsets and scales of `columns`; a multiple of 64. */
size_t fb_dynamic_codes_bytes(size_t elements, size_t columns);
void fb_dynamic_codes_run(FbContext *context, const FbIntegerStore *store, const float *x, size_t elements, void *scratch,
                          FbDynamicCodes *codes);

#endif
