/* Packing of s8 weights into panels of quads: four weights of one column stand together, one quad for each column. */
#include "kernels/product_u8s8_pack.h"

#include "base/checked.h"

static void pack_panel(const int8_t *w, size_t depth_stride, size_t col_stride, size_t taps, size_t depth, size_t cols, size_t col_tile,
                       int8_t *panel, int32_t *column_sum)
{
    const size_t quads = (depth + FB_U8S8_STEP - 1) / FB_U8S8_STEP;
    for (size_t tap = 0; tap < taps; tap++) {
        for (size_t d = 0; d < depth; d++) {
            const int8_t *from = w + (tap * depth + d) * depth_stride;
            int8_t *to = panel + (tap * quads + d / FB_U8S8_STEP) * col_tile * FB_U8S8_STEP + d % FB_U8S8_STEP;
            for (size_t n = 0; n < cols; n++) {
                const int8_t weight = from[n * col_stride];
                to[n * FB_U8S8_STEP] = weight;
                column_sum[n] = (int32_t)((uint32_t)column_sum[n] + (uint32_t)weight);
            }
        }
    }
}

FbStatus fb_product_u8s8_pack(FbContext *context, FbArena *arena, const int8_t *w, size_t depth_stride, size_t col_stride, size_t taps,
                              size_t depth, size_t cols, size_t col_tile, FbPackedU8S8 *packed, FbError *err)
{
    *packed = (FbPackedU8S8){.depth = depth, .taps = taps, .cols = cols, .panel_count = cols / col_tile + (cols % col_tile != 0)};
    const size_t quads = depth / FB_U8S8_STEP + (depth % FB_U8S8_STEP != 0);
    size_t bytes;
    if (!fb_mul_size(quads, taps, &bytes) || !fb_mul_size(bytes, col_tile * FB_U8S8_STEP, &packed->panel_bytes) ||
        !fb_mul_size(packed->panel_bytes, packed->panel_count, &bytes)) {
        return fb_error_set(err, FB_ERR_BUDGET, "packed weights of %zu x %zu x %zu do not fit the address space", taps, depth, cols);
    }
    int8_t *panels = fb_arena_alloc(arena, bytes ? bytes : 1);
    int32_t *column_sum = fb_arena_array(arena, cols ? cols : 1, sizeof *column_sum);
    if (!panels || !column_sum) {
        return fb_error_memory(context, err, "packed weights", bytes);
    }
    for (size_t panel = 0; panel < packed->panel_count; panel++) {
        const size_t first = panel * col_tile;
        pack_panel(w + first * col_stride, depth_stride, col_stride, taps, depth, cols - first < col_tile ? cols - first : col_tile, col_tile,
                   panels + panel * packed->panel_bytes, column_sum + first);
    }
    packed->panels = panels;
    packed->column_sum = column_sum;
    return FB_OK;
}
