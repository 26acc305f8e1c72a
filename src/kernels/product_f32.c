/* The table of float product kernels, and packing. */
#include "kernels/product_f32.h"

#include <string.h>

#include "kernels/kernel_table.h"

FB_KERNEL_EXTERN(FbProductF32Kernel, fb_product_f32);
const FbProductF32Kernel *const fb_product_f32_kernels[] = {FB_KERNEL_ROWS(fb_product_f32)};
const size_t fb_product_f32_kernel_count = sizeof fb_product_f32_kernels / sizeof *fb_product_f32_kernels;

const FbProductF32Kernel *fb_product_f32_pick(unsigned cpu)
{
    size_t i = 0;
    while (i + 1 < fb_product_f32_kernel_count && (fb_product_f32_kernels[i]->needs & ~cpu) != 0) {
        i++;
    }
    return fb_product_f32_kernels[i];
}

size_t fb_product_f32_packed_count(const FbProductF32Kernel *kernel, size_t depth, size_t cols)
{
    return (cols + kernel->col_tile - 1) / kernel->col_tile * kernel->col_tile * depth;
}

void fb_product_f32_pack(const FbProductF32Kernel *kernel, const float *w, size_t depth_stride, size_t col_stride, size_t depth, size_t cols,
                         float *packed)
{
    const size_t tile = kernel->col_tile;
    for (size_t first = 0; first < cols; first += tile) {
        const size_t width = cols - first < tile ? cols - first : tile;
        const float *from = w + first * col_stride;
        if (width < tile) {
            memset(packed, 0, depth * tile * sizeof *packed);
        }
        if (col_stride == 1) {
            for (size_t k = 0; k < depth; k++) {
                memcpy(packed + k * tile, from + k * depth_stride, width * sizeof *packed);
            }
        } else {
            for (size_t n = 0; n < width; n++) {
                for (size_t k = 0; k < depth; k++) {
                    packed[k * tile + n] = from[n * col_stride + k * depth_stride];
                }
            }
        }
        packed += depth * tile;
    }
}
