/* Storing a double into a tensor of any numeric type. */
#include "ops/number.h"

/* 2^63 and 2^64 are not integers of the type: compare with what is. */
static int64_t to_signed(double value) { return value >= 0x1p63 ? INT64_MAX : value <= -0x1p63 ? INT64_MIN : value == value ? (int64_t)value : 0; }
static uint64_t to_unsigned(double value) { return value >= 0x1p64 ? UINT64_MAX : value > 0 ? (uint64_t)value : 0; }

void fb_number_set(FbTensor *tensor, int64_t i, double value)
{
    const float single = (float)value;
    switch (tensor->dtype) {
    case FB_DTYPE_F32: ((float *)tensor->data)[i] = single; break;
    case FB_DTYPE_F64: ((double *)tensor->data)[i] = value; break;
    case FB_DTYPE_S64: ((int64_t *)tensor->data)[i] = to_signed(value); break;
    case FB_DTYPE_U64: ((uint64_t *)tensor->data)[i] = to_unsigned(value); break;
    case FB_DTYPE_S32: {
        const int64_t wide = to_signed(value);
        ((int32_t *)tensor->data)[i] = (int32_t)(wide > INT32_MAX ? INT32_MAX : wide < INT32_MIN ? INT32_MIN : wide);
        break;
    }
    case FB_DTYPE_U32: {
        const uint64_t wide = to_unsigned(value);
        ((uint32_t *)tensor->data)[i] = (uint32_t)(wide > UINT32_MAX ? UINT32_MAX : wide);
        break;
    }
    default: fb_encode_f32(tensor->dtype, &single, tensor->data, (uint64_t)i, 1); break;
    }
}
