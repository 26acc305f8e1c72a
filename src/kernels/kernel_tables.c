/* The kernel tables of the row primitives, best first; pick takes the first row that the instruction sets allow. */
#include "kernels/attention_f32.h"
#include "kernels/binary.h"
#include "kernels/block_encode.h"
#include "kernels/codes.h"
#include "kernels/depthwise_f32.h"
#include "kernels/depthwise_u8s8.h"
#include "kernels/functions.h"
#include "kernels/kernel_table.h"
#include "kernels/lstm_f32.h"
#include "kernels/norm_f32.h"
#include "kernels/pool_f32.h"
#include "kernels/reduce.h"
#include "kernels/round_grid.h"
#include "kernels/scan.h"
#include "kernels/softmax_f32.h"

#define FB_KERNEL_TABLE(Type, name)                                                          \
    FB_KERNEL_EXTERN(Type, name);                                                            \
    const Type *const name##_kernels[] = {FB_KERNEL_ROWS(name)};                             \
    const size_t name##_kernel_count = sizeof name##_kernels / sizeof *name##_kernels;       \
    static const Type *name##_first(unsigned cpu)                                            \
    {                                                                                        \
        size_t i = 0;                                                                        \
        while (i + 1 < name##_kernel_count && (name##_kernels[i]->needs & ~cpu) != 0) {      \
            i++;                                                                             \
        }                                                                                    \
        return name##_kernels[i];                                                            \
    }

FB_KERNEL_TABLE(FbUnaryF32Kernel, fb_unary_f32)
FB_KERNEL_TABLE(FbBinaryF32Kernel, fb_binary_f32)
FB_KERNEL_TABLE(FbReduceF32Kernel, fb_reduce_f32)
FB_KERNEL_TABLE(FbDepthwiseF32Kernel, fb_depthwise_f32)
FB_KERNEL_TABLE(FbPoolF32Kernel, fb_pool_f32)
FB_KERNEL_TABLE(FbSoftmaxF32Kernel, fb_softmax_f32)
FB_KERNEL_TABLE(FbNormF32Kernel, fb_norm_f32)
FB_KERNEL_TABLE(FbScanF32Kernel, fb_scan_f32)
FB_KERNEL_TABLE(FbGridF32Kernel, fb_grid_f32)
const FbBlockEncodeKernel fb_block_encode_scalar = {"scalar", FB_CPU_SCALAR, {NULL}}; /* the types' own */

FB_KERNEL_TABLE(FbBlockEncodeKernel, fb_block_encode)
FB_KERNEL_TABLE(FbCodesKernel, fb_codes)
FB_KERNEL_TABLE(FbLstmKernel, fb_lstm)
FB_KERNEL_TABLE(FbAttentionKernel, fb_attention_f32)
FB_KERNEL_TABLE(FbDepthwiseU8S8Kernel, fb_depthwise_u8s8)

FbUnaryF32 fb_unary_f32_pick(unsigned cpu, FbUnaryKind kind) { return fb_unary_f32_first(cpu)->run[kind]; }
FbBinaryF32 fb_binary_f32_pick(unsigned cpu, FbBinaryKind kind, FbBinaryForm form) { return fb_binary_f32_first(cpu)->run[kind][form]; }
const FbReduceF32Kernel *fb_reduce_f32_pick(unsigned cpu) { return fb_reduce_f32_first(cpu); }
const FbScanF32Kernel *fb_scan_f32_pick(unsigned cpu) { return fb_scan_f32_first(cpu); }
const FbGridF32Kernel *fb_grid_f32_pick(unsigned cpu) { return fb_grid_f32_first(cpu); }
const FbDepthwiseF32Kernel *fb_depthwise_f32_pick(unsigned cpu) { return fb_depthwise_f32_first(cpu); }
const FbPoolF32Kernel *fb_pool_f32_pick(unsigned cpu) { return fb_pool_f32_first(cpu); }
const FbSoftmaxF32Kernel *fb_softmax_f32_pick(unsigned cpu) { return fb_softmax_f32_first(cpu); }
const FbNormF32Kernel *fb_norm_f32_pick(unsigned cpu) { return fb_norm_f32_first(cpu); }
const FbCodesKernel *fb_codes_pick(unsigned cpu) { return fb_codes_first(cpu); }
const FbAttentionKernel *fb_attention_f32_pick(unsigned cpu) { return fb_attention_f32_first(cpu); }
const FbLstmKernel *fb_lstm_pick(unsigned cpu) { return fb_lstm_first(cpu); }
const FbDepthwiseU8S8Kernel *fb_depthwise_u8s8_pick(unsigned cpu) { return fb_depthwise_u8s8_first(cpu); }

FbBlockEncode fb_block_encode_pick(unsigned cpu, const FbBlockType *type)
{
    FbBlockEncode run = fb_block_encode_first(cpu)->run[type->number];
    return run != NULL ? run : type->encode;
}
