/* The AVX-512 and AVX-VNNI rows compiled over emulated intrinsics (they need AVX2 and FMA). */
#ifndef FB_TESTS_EMULATED_H
#define FB_TESTS_EMULATED_H

#include "kernels/attention_f32.h"
#include "kernels/binary.h"
#include "kernels/block_encode.h"
#include "kernels/codes.h"
#include "kernels/depthwise_f32.h"
#include "kernels/depthwise_u8s8.h"
#include "kernels/functions.h"
#include "kernels/lstm_f32.h"
#include "kernels/norm_f32.h"
#include "kernels/pool_f32.h"
#include "kernels/product_f32.h"
#include "kernels/product_lowbit.h"
#include "kernels/product_u8s8.h"
#include "kernels/reduce.h"
#include "kernels/round_grid.h"
#include "kernels/scan.h"
#include "kernels/softmax_f32.h"

extern const FbUnaryF32Kernel fb_unary_f32_emulated;
extern const FbBinaryF32Kernel fb_binary_f32_emulated;
extern const FbBlockEncodeKernel fb_block_encode_emulated;
extern const FbReduceF32Kernel fb_reduce_f32_emulated;
extern const FbProductF32Kernel fb_product_f32_emulated;
extern const FbProductLowbitKernel fb_product_lowbit_avx512vnni_emulated;
extern const FbProductLowbitKernel fb_product_lowbit_avxvnni_emulated;
extern const FbProductU8S8Kernel fb_product_u8s8_avx512vnni_emulated;
extern const FbProductU8S8Kernel fb_product_u8s8_avxvnni_emulated;
extern const FbDepthwiseF32Kernel fb_depthwise_f32_emulated;
extern const FbNormF32Kernel fb_norm_f32_emulated;
extern const FbPoolF32Kernel fb_pool_f32_emulated;
extern const FbSoftmaxF32Kernel fb_softmax_f32_emulated;
extern const FbScanF32Kernel fb_scan_f32_emulated;
extern const FbGridF32Kernel fb_grid_f32_emulated;
extern const FbCodesKernel fb_codes_emulated;
extern const FbLstmKernel fb_lstm_emulated;
extern const FbAttentionKernel fb_attention_f32_emulated;
extern const FbDepthwiseU8S8Kernel fb_depthwise_u8s8_emulated;

#endif
