/* Checks that infer functions share: element types by mask, ranks, shapes that follow an input. */
#ifndef FB_OPS_CHECK_H
#define FB_OPS_CHECK_H

#include "ops/op.h"

typedef uint32_t FbDtypeMask;
#define FB_MASK(dtype) ((FbDtypeMask)1 << (dtype))
#define FB_MASK_FLOATS (FB_MASK(FB_DTYPE_F32) | FB_MASK(FB_DTYPE_F64) | FB_MASK(FB_DTYPE_F16) | FB_MASK(FB_DTYPE_BF16))
#define FB_MASK_SIGNED (FB_MASK(FB_DTYPE_S8) | FB_MASK(FB_DTYPE_S16) | FB_MASK(FB_DTYPE_S32) | FB_MASK(FB_DTYPE_S64))
#define FB_MASK_UNSIGNED (FB_MASK(FB_DTYPE_U8) | FB_MASK(FB_DTYPE_U16) | FB_MASK(FB_DTYPE_U32) | FB_MASK(FB_DTYPE_U64))
#define FB_MASK_INTS (FB_MASK_SIGNED | FB_MASK_UNSIGNED)
#define FB_MASK_NUMBERS (FB_MASK_FLOATS | FB_MASK_INTS)
#define FB_MASK_F8                                                                                                    \
    (FB_MASK(FB_DTYPE_F8E4M3FN) | FB_MASK(FB_DTYPE_F8E4M3FNUZ) | FB_MASK(FB_DTYPE_F8E5M2) | FB_MASK(FB_DTYPE_F8E5M2FNUZ))
#define FB_MASK_SUB_BYTE                                                                                              \
    (FB_MASK(FB_DTYPE_U4) | FB_MASK(FB_DTYPE_S4) | FB_MASK(FB_DTYPE_U2) | FB_MASK(FB_DTYPE_S2) | FB_MASK(FB_DTYPE_F4E2M1))
/* Everything with whole bytes per element: what code that only moves elements can serve. */
#define FB_MASK_BYTES                                                                                                 \
    (FB_MASK_NUMBERS | FB_MASK(FB_DTYPE_BOOL) | FB_MASK_F8 | FB_MASK(FB_DTYPE_F8E8M0) | FB_MASK(FB_DTYPE_C64) | FB_MASK(FB_DTYPE_C128))
#define FB_MASK_ALL (FB_MASK_BYTES | FB_MASK_SUB_BYTE)

/* FB_ERR_UNSUPPORTED when input i is present with a known type outside the mask. */
FbStatus fb_check_input_dtype(const FbInfer *infer, int i, FbDtypeMask mask, FbError *err);
/* FB_ERR_FORMAT when inputs i and j are present with known, different types. */
FbStatus fb_check_same_dtype(const FbInfer *infer, int i, int j, FbError *err);
/* FB_ERR_FORMAT when input i's rank is known and outside [low, high]. */
FbStatus fb_check_rank(const FbInfer *infer, int i, int low, int high, FbError *err);
/* Output 0 gets input i's type and shape. */
void fb_infer_same_as(FbInfer *infer, int i);
/* True when input i exists. */
static inline bool fb_infer_has(const FbInfer *infer, int i) { return i < infer->input_count && infer->inputs[i].present; }
/* Input i of a call, NULL when absent. */
static inline const FbTensor *fb_call_input(const FbCall *call, int i) { return i < call->input_count ? call->inputs[i] : NULL; }
static inline FbTensor *fb_call_output(const FbCall *call, int i) { return i < call->output_count ? call->outputs[i] : NULL; }

#endif
