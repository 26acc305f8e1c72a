/* Encoders of the block types (tensor/block_type.h) by vectors: one group of elements per lane, so that sums are added in the order of the
 * definition, tensor/block_encode*.c, whose bytes every row gives. */
#ifndef FB_KERNELS_BLOCK_ENCODE_H
#define FB_KERNELS_BLOCK_ENCODE_H

#include "base/context.h"
#include "tensor/block_type.h"

enum { FB_BLOCK_NUMBERS = 48 };

typedef struct FbBlockEncodeKernel {
    const char *name;
    unsigned needs;                      /* FbCpu bits */
    FbBlockEncode run[FB_BLOCK_NUMBERS]; /* by ggml's number of the type; NULL: the type's own is used */
} FbBlockEncodeKernel;

extern const FbBlockEncodeKernel *const fb_block_encode_kernels[]; /* best first, ends with scalar */
extern const size_t fb_block_encode_kernel_count;
FbBlockEncode fb_block_encode_pick(unsigned cpu, const FbBlockType *type); /* NULL: a type that is read only */

#endif
