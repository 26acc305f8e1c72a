/* Shapes, and single elements of tensors. */
#include "tensor/tensor.h"

#include <stdio.h>
#include <string.h>

#include "base/checked.h"

bool fb_shape_is_known(const FbShape *shape)
{
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dims[i] < 0) {
            return false;
        }
    }
    return shape->rank >= 0;
}

bool fb_shape_equal(const FbShape *a, const FbShape *b)
{
    if (a->rank < 0 || a->rank != b->rank) {
        return false;
    }
    for (int i = 0; i < a->rank; i++) {
        if (a->dims[i] != b->dims[i] || a->dims[i] == FB_DIM_UNKNOWN) {
            return false;
        }
    }
    return true;
}

int64_t fb_shape_elements(const FbShape *shape)
{
    int64_t elements;
    return shape->rank >= 0 && fb_product_dims(shape->dims, shape->rank, &elements) ? elements : -1;
}

FbShape fb_shape_make(int rank, const int64_t *dims)
{
    FbShape shape = {.rank = rank};
    for (int i = 0; i < rank && i < FB_RANK_MAX; i++) {
        shape.dims[i] = dims[i];
    }
    return shape;
}

void fb_shape_text(const FbShape *shape, char *out, size_t bytes)
{
    if (shape->rank <= 0) {
        snprintf(out, bytes, "%s", shape->rank == 0 ? "scalar" : "unknown");
        return;
    }
    size_t used = 0;
    for (int i = 0; i < shape->rank && used < bytes; i++) {
        const char *cross = i ? "x" : "";
        int written = shape->dims[i] < 0 ? snprintf(out + used, bytes - used, "%s?", cross)
                                         : snprintf(out + used, bytes - used, "%s%lld", cross, (long long)shape->dims[i]);
        used += written > 0 ? (size_t)written : 0;
    }
}

int64_t fb_tensor_elements(const FbTensor *tensor)
{
    int64_t elements;
    return tensor->rank >= 0 && fb_product_dims(tensor->dims, tensor->rank, &elements) ? elements : -1;
}

FbTensor *fb_tensor_create(FbArena *arena, FbDtype dtype, const FbShape *shape)
{
    int64_t elements = fb_shape_elements(shape);
    uint64_t bytes;
    if (elements < 0 || shape->rank > FB_RANK_MAX || !fb_dtype_storage(dtype, (uint64_t)elements, &bytes) || bytes > SIZE_MAX) {
        return NULL;
    }
    FbTensor *tensor = fb_arena_alloc(arena, sizeof *tensor);
    void *data = tensor && bytes ? fb_arena_alloc(arena, (size_t)bytes) : NULL;
    if (!tensor || (bytes && !data)) {
        return NULL;
    }
    tensor->dtype = dtype;
    tensor->rank = shape->rank;
    memcpy(tensor->dims, shape->dims, sizeof tensor->dims);
    tensor->data = data;
    tensor->bytes = (size_t)bytes;
    return tensor;
}

static int64_t element_int(FbDtype dtype, const void *data, int64_t i)
{
    const unsigned char *at = (const unsigned char *)data + (fb_dtype_bits(dtype) >= 8 ? i * (fb_dtype_bits(dtype) / 8) : 0);
    union {
        uint16_t u16;
        int16_t s16;
        uint32_t u32;
        int32_t s32;
        uint64_t u64;
        int64_t s64;
    } value = {.u64 = 0};
    int8_t code;
    if (fb_dtype_bits(dtype) >= 8) {
        memcpy(&value, at, (size_t)fb_dtype_bits(dtype) / 8);
    } else {
        fb_unpack_codes(dtype, data, (uint64_t)i, &code, 1);
        return code;
    }
    switch (fb_dtype_bits(dtype) * (fb_dtype_info(dtype)->kind == FB_KIND_SIGNED ? -1 : 1)) {
    case 8:
        return at[0];
    case -8:
        return (int8_t)at[0];
    case 16:
        return value.u16;
    case -16:
        return value.s16;
    case 32:
        return value.u32;
    case -32:
        return value.s32;
    default: /* a u64 above INT64_MAX wraps; no operator takes such a number as an index */
        return value.s64;
    }
}

int64_t fb_tensor_int(const FbTensor *tensor, int64_t i)
{
    return element_int(tensor->dtype, tensor->data, i);
}

double fb_tensor_number(const FbTensor *tensor, int64_t i)
{
    const FbDtypeInfo *info = fb_dtype_info(tensor->dtype);
    if (info->kind == FB_KIND_SIGNED || info->kind == FB_KIND_UNSIGNED || info->kind == FB_KIND_BOOL) {
        int64_t integer = element_int(tensor->dtype, tensor->data, i);
        return tensor->dtype == FB_DTYPE_U64 ? (double)(uint64_t)integer : (double)integer;
    }
    if (tensor->dtype == FB_DTYPE_F64) {
        double value;
        memcpy(&value, (const char *)tensor->data + i * (int64_t)sizeof value, sizeof value);
        return value;
    }
    float value;
    fb_decode_f32(tensor->dtype, tensor->data, (uint64_t)i, &value, 1);
    return (double)value;
}
