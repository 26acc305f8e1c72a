/* Packings: how the codes of a matrix lie in memory. A row unpacks and packs ROW RANGES to and from a plane of one code per byte; equal
 * planes mean that a conversion between packings is exact. */
#ifndef FB_TENSOR_PACKING_H
#define FB_TENSOR_PACKING_H

#include "tensor/dtype.h"

/* A row of the packing table. */
typedef struct FbPacking {
    const char *name;    /* "onnx4" */
    const char *summary;
    int bits;            /* 2 to 8 */
    bool rows_on_bytes;  /* every matrix row starts on a byte; otherwise the rows follow each other without a gap */
} FbPacking;

extern const FbPacking fb_packings[];
extern const size_t fb_packing_count;
const FbPacking *fb_packing_find(const char *name); /* NULL: unknown */

/* Bytes of a matrix; false on overflow. */
bool fb_packing_bytes(const FbPacking *packing, uint64_t rows, uint64_t cols, uint64_t *bytes);
/* Rows [first_row, first_row + rows) to codes[rows * cols]; signed codes are sign-extended. */
void fb_packing_unpack(const FbPacking *packing, bool is_signed, const void *from, uint64_t cols, uint64_t first_row, size_t rows,
                       int8_t *codes);
/* The way back. Bits of neighbouring rows in a shared byte are kept, so unused bits are zero if the memory was zeroed. Two threads must
 * not pack ranges that share a byte. */
void fb_packing_pack(const FbPacking *packing, const int8_t *codes, void *to, uint64_t cols, uint64_t first_row, size_t rows);

/* A stream of `bits`-wide codes, the lowest bits of a byte first, from element `first` on. bits 1 to 8. */
void fb_unpack_bits(int bits, bool is_signed, const void *from, uint64_t first, int8_t *to, size_t count);
void fb_pack_bits(int bits, const int8_t *from, void *to, uint64_t first, size_t count);

#endif
