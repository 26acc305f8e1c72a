/* Layouts of scales over tensors. */
#include "ops/quant_layout.h"

#include "ops/attribute.h"

static bool one_scale(const FbShape *scale) { return scale->rank == 0 || (scale->rank == 1 && scale->dims[0] == 1); }

FbStatus fb_quant_check(const FbShape *shape, const FbShape *scale, int64_t axis, int64_t block, const char *what, FbError *err)
{
    int at;
    if (block < 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'block_size' is negative");
    }
    if (shape->rank < 0 || scale->rank < 0 || (one_scale(scale) && block == 0)) {
        return FB_OK;
    }
    FB_TRY(fb_axis_normalize(axis, shape->rank, &at, err));
    if (block == 0) {
        if (scale->rank != 1) {
            return fb_error_set(err, FB_ERR_FORMAT, "the %s has rank %d, expected one number or one per index of axis %d", what, scale->rank, at);
        }
        if (scale->dims[0] >= 0 && shape->dims[at] >= 0 && scale->dims[0] != shape->dims[at]) {
            return fb_error_set(err, FB_ERR_FORMAT, "the %s holds %lld numbers for %lld indices of axis %d", what, (long long)scale->dims[0],
                                (long long)shape->dims[at], at);
        }
        return FB_OK;
    }
    if (scale->rank != shape->rank) {
        return fb_error_set(err, FB_ERR_FORMAT, "the %s has rank %d, expected %d for blocks", what, scale->rank, shape->rank);
    }
    for (int d = 0; d < shape->rank; d++) {
        if (shape->dims[d] < 0 || scale->dims[d] < 0) {
            continue;
        }
        int64_t want = d == at ? shape->dims[d] / block + (shape->dims[d] % block != 0) : shape->dims[d];
        if (scale->dims[d] != want) {
            return fb_error_set(err, FB_ERR_FORMAT, "dimension %d of the %s is %lld, expected %lld for blocks of %lld", d, what,
                                (long long)scale->dims[d], (long long)want, (long long)block);
        }
    }
    return FB_OK;
}

FbQuantLayout fb_quant_layout(const FbTensor *tensor, const FbTensor *scale, int64_t axis, int64_t block)
{
    FbQuantLayout layout = {.elements = fb_tensor_elements(tensor), .inner = 1, .block = block};
    FbShape scale_shape = fb_tensor_shape(scale);
    if (one_scale(&scale_shape) && block == 0) {
        layout.runs = (layout.elements + FB_QUANT_PIECE - 1) / FB_QUANT_PIECE;
        return layout;
    }
    int at = (int)(axis < 0 ? axis + tensor->rank : axis);
    layout.length = tensor->dims[at];
    for (int d = at + 1; d < tensor->rank; d++) {
        layout.inner *= tensor->dims[d];
    }
    if (layout.elements == 0) {
        return layout;
    }
    int64_t lines = layout.elements / (layout.length * layout.inner);
    layout.blocks = block ? (layout.length + block - 1) / block : layout.length;
    if (layout.inner == 1) {
        layout.runs = block ? lines * layout.blocks : lines;
    } else {
        layout.runs = lines * layout.length;
    }
    return layout;
}

FbQuantRun fb_quant_run(const FbQuantLayout *layout, int64_t index)
{
    if (layout->length == 0) { /* per tensor */
        int64_t first = index * FB_QUANT_PIECE, rest = layout->elements - first;
        return (FbQuantRun){first, rest < FB_QUANT_PIECE ? rest : FB_QUANT_PIECE, 0, 0};
    }
    if (layout->inner == 1 && layout->block == 0) {
        return (FbQuantRun){index * layout->length, layout->length, 0, 1};
    }
    if (layout->inner == 1) {
        int64_t line = index / layout->blocks, part = index % layout->blocks, rest = layout->length - part * layout->block;
        return (FbQuantRun){line * layout->length + part * layout->block, rest < layout->block ? rest : layout->block, index, 0};
    }
    int64_t line = index / layout->length, i = index % layout->length;
    if (layout->block == 0) {
        return (FbQuantRun){index * layout->inner, layout->inner, i, 0};
    }
    return (FbQuantRun){index * layout->inner, layout->inner, (line * layout->blocks + i / layout->block) * layout->inner, 1};
}
