/* The operator families, one file each in this folder. A new family is one file, one declaration and one line here. */
#include "ops/table.h"

extern const FbOpFamily fb_ops_attention;
extern const FbOpFamily fb_ops_bias_gelu;
extern const FbOpFamily fb_ops_binary;
extern const FbOpFamily fb_ops_boxes;
extern const FbOpFamily fb_ops_cached_attention;
extern const FbOpFamily fb_ops_cast;
extern const FbOpFamily fb_ops_control_flow;
extern const FbOpFamily fb_ops_conv;
extern const FbOpFamily fb_ops_cumulative;
extern const FbOpFamily fb_ops_determinant;
extern const FbOpFamily fb_ops_einsum;
extern const FbOpFamily fb_ops_experts;
extern const FbOpFamily fb_ops_fourier;
extern const FbOpFamily fb_ops_fused_product;
extern const FbOpFamily fb_ops_gather;
extern const FbOpFamily fb_ops_generator;
extern const FbOpFamily fb_ops_integer_conv;
extern const FbOpFamily fb_ops_integer_matmul;
extern const FbOpFamily fb_ops_join;
extern const FbOpFamily fb_ops_linear_attention;
extern const FbOpFamily fb_ops_loss;
extern const FbOpFamily fb_ops_matmul;
extern const FbOpFamily fb_ops_matmul_nbits;
extern const FbOpFamily fb_ops_norm_batch;
extern const FbOpFamily fb_ops_norm_layer;
extern const FbOpFamily fb_ops_norm_other;
extern const FbOpFamily fb_ops_packed_attention;
extern const FbOpFamily fb_ops_pad;
extern const FbOpFamily fb_ops_pool;
extern const FbOpFamily fb_ops_pool_global;
extern const FbOpFamily fb_ops_qlinear;
extern const FbOpFamily fb_ops_qlinear_pool;
extern const FbOpFamily fb_ops_quant;
extern const FbOpFamily fb_ops_quantized_matmul;
extern const FbOpFamily fb_ops_random;
extern const FbOpFamily fb_ops_recurrent;
extern const FbOpFamily fb_ops_recurrent_dynamic;
extern const FbOpFamily fb_ops_reduce;
extern const FbOpFamily fb_ops_repeat;
extern const FbOpFamily fb_ops_reshape;
extern const FbOpFamily fb_ops_resize;
extern const FbOpFamily fb_ops_sample;
extern const FbOpFamily fb_ops_scatter;
extern const FbOpFamily fb_ops_search;
extern const FbOpFamily fb_ops_signal_window;
extern const FbOpFamily fb_ops_skip_norm;
extern const FbOpFamily fb_ops_slice;
extern const FbOpFamily fb_ops_softmax;
extern const FbOpFamily fb_ops_transpose;
extern const FbOpFamily fb_ops_unary;
extern const FbOpFamily fb_ops_unique;
extern const FbOpFamily fb_ops_unpool;

const FbOpFamily *const fb_op_families[] = {
    &fb_ops_attention,
    &fb_ops_bias_gelu,
    &fb_ops_binary,
    &fb_ops_boxes,
    &fb_ops_cached_attention,
    &fb_ops_cast,
    &fb_ops_control_flow,
    &fb_ops_conv,
    &fb_ops_cumulative,
    &fb_ops_determinant,
    &fb_ops_einsum,
    &fb_ops_experts,
    &fb_ops_fourier,
    &fb_ops_fused_product,
    &fb_ops_gather,
    &fb_ops_generator,
    &fb_ops_integer_conv,
    &fb_ops_integer_matmul,
    &fb_ops_join,
    &fb_ops_linear_attention,
    &fb_ops_loss,
    &fb_ops_matmul,
    &fb_ops_matmul_nbits,
    &fb_ops_norm_batch,
    &fb_ops_norm_layer,
    &fb_ops_norm_other,
    &fb_ops_packed_attention,
    &fb_ops_pad,
    &fb_ops_pool,
    &fb_ops_pool_global,
    &fb_ops_qlinear,
    &fb_ops_qlinear_pool,
    &fb_ops_quant,
    &fb_ops_quantized_matmul,
    &fb_ops_random,
    &fb_ops_recurrent,
    &fb_ops_recurrent_dynamic,
    &fb_ops_reduce,
    &fb_ops_repeat,
    &fb_ops_reshape,
    &fb_ops_resize,
    &fb_ops_sample,
    &fb_ops_scatter,
    &fb_ops_search,
    &fb_ops_signal_window,
    &fb_ops_skip_norm,
    &fb_ops_slice,
    &fb_ops_softmax,
    &fb_ops_transpose,
    &fb_ops_unary,
    &fb_ops_unique,
    &fb_ops_unpool,
};
const size_t fb_op_family_count = sizeof fb_op_families / sizeof fb_op_families[0];
