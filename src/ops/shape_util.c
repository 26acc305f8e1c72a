/* Helpers of the operators that compute shapes. */
#include "ops/shape_util.h"

#include <string.h>

FbStatus fb_list_from_attribute(const FbNode *node, const char *name, FbIntList *list, FbError *err)
{
    const int64_t *ints;
    size_t count;
    FB_TRY(fb_attr_ints(node, name, &ints, &count, err));
    if (count > FB_INT_LIST_MAX) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "attribute '%s' has %zu numbers, more than tensors of rank %d need", name, count, FB_RANK_MAX);
    }
    list->known = fb_node_attribute(node, name) != NULL;
    list->count = (int)count;
    for (size_t i = 0; i < count; i++) {
        list->items[i] = ints[i];
    }
    return FB_OK;
}

FbStatus fb_list_from_tensor(const FbTensor *tensor, const char *what, FbIntList *list, FbError *err)
{
    list->known = false;
    list->count = 0;
    int64_t count = fb_tensor_elements(tensor);
    if (tensor->rank > 1) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s is a tensor of rank %d, expected a list", what, tensor->rank);
    }
    if (!(FB_MASK(tensor->dtype) & FB_MASK_INTS)) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s has element type %s, expected an integer type", what, fb_dtype_name(tensor->dtype));
    }
    if (count < 0 || count > FB_INT_LIST_MAX) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "%s has %lld numbers, more than tensors of rank %d need", what, (long long)count, FB_RANK_MAX);
    }
    for (int64_t i = 0; i < count; i++) {
        list->items[i] = fb_tensor_int(tensor, i);
    }
    list->count = (int)count;
    list->known = true;
    return FB_OK;
}

FbStatus fb_list_from_infer(FbInfer *infer, int i, const char *what, FbIntList *list, FbError *err)
{
    list->known = false;
    list->count = 0;
    if (!fb_infer_has(infer, i)) {
        return FB_OK;
    }
    FB_TRY(fb_check_input_dtype(infer, i, FB_MASK_INDEX, err));
    FB_TRY(fb_check_rank(infer, i, 0, 1, err));
    const FbTensor *value = fb_infer_value(infer, i);
    return value ? fb_list_from_tensor(value, what, list, err) : FB_OK;
}

FbStatus fb_ints_copy(const FbNode *node, const char *name, FbArena *arena, int64_t **ints, size_t *count, FbError *err)
{
    const int64_t *from;
    *ints = NULL;
    FB_TRY(fb_attr_ints(node, name, &from, count, err));
    if (*count == 0) {
        return FB_OK;
    }
    *ints = fb_arena_array(arena, *count, sizeof **ints);
    if (!*ints) {
        return fb_error_memory(fb_arena_context(arena), err, name, *count * sizeof **ints);
    }
    memcpy(*ints, from, *count * sizeof **ints);
    return FB_OK;
}

FbStatus fb_axes_normalize(FbIntList *axes, int rank, FbError *err)
{
    unsigned seen = 0;
    for (int i = 0; i < axes->count; i++) {
        int axis;
        FB_TRY(fb_axis_normalize(axes->items[i], rank, &axis, err));
        if (seen & (1U << axis)) {
            return fb_error_set(err, FB_ERR_FORMAT, "axis %d is given twice", axis);
        }
        seen |= 1U << axis;
        axes->items[i] = axis;
    }
    return FB_OK;
}

FbStatus fb_axes_mask(const FbIntList *axes, int rank, unsigned *mask, FbError *err)
{
    FbIntList list = *axes;
    FB_TRY(fb_axes_normalize(&list, rank, err));
    *mask = 0;
    for (int i = 0; i < list.count; i++) {
        *mask |= 1U << list.items[i];
    }
    return FB_OK;
}

FbShape fb_shape_unknown(int rank)
{
    FbShape shape = {.rank = rank};
    for (int i = 0; i < rank; i++) {
        shape.dims[i] = FB_DIM_UNKNOWN;
    }
    return shape;
}

FbStatus fb_check_size(const FbInfer *infer, const FbShape *shape, FbDtype dtype, FbError *err)
{
    if (!fb_shape_is_known(shape)) {
        return FB_OK;
    }
    int64_t elements = fb_shape_elements(shape);
    uint64_t bytes = 0;
    if (elements < 0 || (dtype != FB_DTYPE_NONE && fb_dtype_bits(dtype) && !fb_dtype_storage(dtype, (uint64_t)elements, &bytes)) ||
        bytes > INT64_MAX / 2) {
        char text[96];
        fb_shape_text(shape, text, sizeof text);
        return fb_error_set(err, FB_ERR_FORMAT, "%s makes a tensor of shape %s, which is too large", infer->node->op_type, text);
    }
    return FB_OK;
}
