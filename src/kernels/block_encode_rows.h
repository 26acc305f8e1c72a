/* The row of the table of encoders; included once per instruction set after its simd_*.h. The numbers are ggml's. */
#include "kernels/block_encode_body.h"
#include "kernels/block_encode_small_body.h"

const FbBlockEncodeKernel FB_ISA(fb_block_encode) = {
    FB_ISA_NAME, FB_ISA_NEEDS,
    {[2] = encode_q4_0, [3] = encode_q4_1, [6] = encode_q5_0, [7] = encode_q5_1, [8] = encode_q8_0, [10] = encode_q2_k, [11] = encode_q3_k,
     [12] = encode_q4_k, [13] = encode_q5_k, [14] = encode_q6_k, [20] = encode_iq4_nl, [23] = encode_iq4_xs, [39] = encode_mxfp4}};
