/* Packing of s8 weights, shared by the rows of product_u8s8.h. */
#ifndef FB_KERNELS_PRODUCT_U8S8_PACK_H
#define FB_KERNELS_PRODUCT_U8S8_PACK_H

#include "kernels/product_u8s8.h"

/* The layout of product_u8s8.h for panels of col_tile columns, column sums included; fixup is NULL. */
FbStatus fb_product_u8s8_pack(FbContext *context, FbArena *arena, const int8_t *w, size_t depth_stride, size_t col_stride, size_t taps,
                              size_t depth, size_t cols, size_t col_tile, FbPackedU8S8 *packed, FbError *err);

#endif
