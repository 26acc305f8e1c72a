/* The primitives and their kernel tables. */
#include "kernels/kernel_list.h"

#include <string.h>

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

#define FB_ROWS_OF(table)                                                            \
    static const char *table##_row_name(size_t row) { return table##_kernels[row]->name; } \
    static unsigned table##_row_needs(size_t row) { return table##_kernels[row]->needs; }
#define FB_PRIMITIVE(table, name, summary) {name, summary, &table##_kernel_count, table##_row_name, table##_row_needs}

FB_ROWS_OF(fb_product_f32)
FB_ROWS_OF(fb_product_u8s8)
FB_ROWS_OF(fb_product_lowbit)
FB_ROWS_OF(fb_depthwise_f32)
FB_ROWS_OF(fb_depthwise_u8s8)
FB_ROWS_OF(fb_pool_f32)
FB_ROWS_OF(fb_unary_f32)
FB_ROWS_OF(fb_binary_f32)
FB_ROWS_OF(fb_reduce_f32)
FB_ROWS_OF(fb_norm_f32)
FB_ROWS_OF(fb_softmax_f32)
FB_ROWS_OF(fb_scan_f32)
FB_ROWS_OF(fb_grid_f32)
FB_ROWS_OF(fb_block_encode)
FB_ROWS_OF(fb_codes)
FB_ROWS_OF(fb_lstm)
FB_ROWS_OF(fb_attention_f32)

const FbKernelPrimitive fb_kernel_primitives[] = {
    FB_PRIMITIVE(fb_product_f32, "product_f32", "matrix products and convolutions of floats"),
    FB_PRIMITIVE(fb_product_u8s8, "product_u8s8", "matrix products and convolutions of codes"),
    FB_PRIMITIVE(fb_product_lowbit, "product_lowbit", "matrix products with weights of few bits"),
    FB_PRIMITIVE(fb_depthwise_f32, "depthwise_f32", "depthwise convolutions of floats"),
    FB_PRIMITIVE(fb_depthwise_u8s8, "depthwise_u8s8", "depthwise convolutions of codes"),
    FB_PRIMITIVE(fb_pool_f32, "pool_f32", "pooling of floats"),
    FB_PRIMITIVE(fb_unary_f32, "unary_f32", "functions of one value: exp, tanh, erf, ..."),
    FB_PRIMITIVE(fb_binary_f32, "binary_f32", "arithmetic on two values"),
    FB_PRIMITIVE(fb_reduce_f32, "reduce_f32", "sums, minima, maxima of a row"),
    FB_PRIMITIVE(fb_norm_f32, "norm_f32", "normalization of a row"),
    FB_PRIMITIVE(fb_softmax_f32, "softmax_f32", "softmax of a row"),
    FB_PRIMITIVE(fb_scan_f32, "scan_f32", "statistics of a row while calibrating"),
    FB_PRIMITIVE(fb_grid_f32, "grid_f32", "rounding to a grid, and to codes"),
    FB_PRIMITIVE(fb_block_encode, "block_encode", "rounding to block types of GGUF files"),
    FB_PRIMITIVE(fb_codes, "codes", "tables, arithmetic and pooling on codes"),
    FB_PRIMITIVE(fb_lstm, "lstm_f32", "steps of an LSTM, and its sums of codes"),
    FB_PRIMITIVE(fb_attention_f32, "attention_f32", "attention to cached keys and values, block by block"),
};
const size_t fb_kernel_primitive_count = sizeof fb_kernel_primitives / sizeof fb_kernel_primitives[0];

const char *fb_kernel_primitive_row(const FbKernelPrimitive *primitive, unsigned cpu)
{
    size_t row = 0;
    while (row + 1 < *primitive->row_count && (primitive->row_needs(row) & ~cpu) != 0) {
        row++;
    }
    return primitive->row_name(row);
}

const FbKernelPrimitive *fb_kernel_primitive_find(const char *name)
{
    for (size_t i = 0; i < fb_kernel_primitive_count; i++) {
        if (strcmp(fb_kernel_primitives[i].name, name) == 0) {
            return &fb_kernel_primitives[i];
        }
    }
    return NULL;
}
