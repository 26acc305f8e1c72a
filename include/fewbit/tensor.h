/* Element types and tensors as they cross the interface. */
#ifndef FEWBIT_TENSOR_H
#define FEWBIT_TENSOR_H

#include <stddef.h>
#include <stdint.h>

#include "fewbit/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { FB_RANK_MAX = 8 };

/* The numbers are ONNX TensorProto.DataType. */
typedef enum FbDtype {
    FB_DTYPE_NONE = 0,
    FB_DTYPE_F32 = 1,
    FB_DTYPE_U8 = 2,
    FB_DTYPE_S8 = 3,
    FB_DTYPE_U16 = 4,
    FB_DTYPE_S16 = 5,
    FB_DTYPE_S32 = 6,
    FB_DTYPE_S64 = 7,
    FB_DTYPE_STRING = 8, /* carried by load and save, not computed with */
    FB_DTYPE_BOOL = 9,   /* one byte, 0 or 1 */
    FB_DTYPE_F16 = 10,
    FB_DTYPE_F64 = 11,
    FB_DTYPE_U32 = 12,
    FB_DTYPE_U64 = 13,
    FB_DTYPE_C64 = 14,
    FB_DTYPE_C128 = 15,
    FB_DTYPE_BF16 = 16,
    FB_DTYPE_F8E4M3FN = 17,
    FB_DTYPE_F8E4M3FNUZ = 18,
    FB_DTYPE_F8E5M2 = 19,
    FB_DTYPE_F8E5M2FNUZ = 20,
    FB_DTYPE_U4 = 21, /* two per byte, the first element in the low nibble; an odd count leaves the last high nibble zero */
    FB_DTYPE_S4 = 22,
    FB_DTYPE_F4E2M1 = 23,
    FB_DTYPE_F8E8M0 = 24,
    FB_DTYPE_U2 = 25, /* four per byte, lowest bits first */
    FB_DTYPE_S2 = 26,
    FB_DTYPE_COUNT
} FbDtype;

FB_API const char *fb_dtype_name(FbDtype dtype); /* "f32", "u8", ...; "?" when out of range */
FB_API int fb_dtype_bits(FbDtype dtype);         /* bits of one element; 0 for strings and NONE */

/* A dense, row-major tensor; `data` is borrowed or owned as the function that hands it over says. rank 0 is a scalar. */
typedef struct FbTensor {
    FbDtype dtype;
    int rank;
    int64_t dims[FB_RANK_MAX]; /* >= 0 */
    void *data;                /* NULL only when bytes is 0 */
    size_t bytes;              /* ceil(elements * bits / 8) */
} FbTensor;

#ifdef __cplusplus
}
#endif
#endif
