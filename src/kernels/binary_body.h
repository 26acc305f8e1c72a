/* Rows of the element-wise binary operations; included once per instruction set. */
#include "kernels/binary.h"

static inline FbV binary_v_min(FbV a, FbV b) { return fb_v_select(fb_v_le(a, a), fb_v_min(a, b), a); }
static inline FbV binary_v_max(FbV a, FbV b) { return fb_v_select(fb_v_le(a, a), fb_v_max(a, b), a); }

#define FB_BINARY_ROW(name, function, a_full, a_tail, b_full, b_tail)                       \
    static void name(const float *a, const float *b, float *y, size_t count)                \
    {                                                                                       \
        if (count == 0) {                                                                   \
            return;                                                                         \
        }                                                                                   \
        const FbV a0 = fb_v_set(a[0]), b0 = fb_v_set(b[0]);                                 \
        (void)a0;                                                                           \
        (void)b0;                                                                           \
        size_t i = 0;                                                                       \
        for (; i + FB_LANES <= count; i += FB_LANES) {                                      \
            fb_v_store(y + i, function(a_full, b_full));                                    \
        }                                                                                   \
        if (i < count) {                                                                    \
            fb_v_store_n(y + i, function(a_tail, b_tail), count - i);                       \
        }                                                                                   \
    }
#define FB_BINARY_FORMS_OF(name, function)                                                                                       \
    FB_BINARY_ROW(binary_##name##_rows, function, fb_v_load(a + i), fb_v_load_n(a + i, count - i), fb_v_load(b + i),             \
                  fb_v_load_n(b + i, count - i))                                                                                 \
    FB_BINARY_ROW(binary_##name##_a, function, a0, a0, fb_v_load(b + i), fb_v_load_n(b + i, count - i))                          \
    FB_BINARY_ROW(binary_##name##_b, function, fb_v_load(a + i), fb_v_load_n(a + i, count - i), b0, b0)

FB_BINARY_FORMS_OF(add, fb_v_add)
FB_BINARY_FORMS_OF(sub, fb_v_sub)
FB_BINARY_FORMS_OF(mul, fb_v_mul)
FB_BINARY_FORMS_OF(div, fb_v_div)
FB_BINARY_FORMS_OF(min, binary_v_min)
FB_BINARY_FORMS_OF(max, binary_v_max)

const FbBinaryF32Kernel FB_ISA(fb_binary_f32) = {
    FB_ISA_NAME,
    FB_ISA_NEEDS,
    {
        [FB_BINARY_ADD] = {binary_add_rows, binary_add_a, binary_add_b},
        [FB_BINARY_SUB] = {binary_sub_rows, binary_sub_a, binary_sub_b},
        [FB_BINARY_MUL] = {binary_mul_rows, binary_mul_a, binary_mul_b},
        [FB_BINARY_DIV] = {binary_div_rows, binary_div_a, binary_div_b},
        [FB_BINARY_MIN] = {binary_min_rows, binary_min_a, binary_min_b},
        [FB_BINARY_MAX] = {binary_max_rows, binary_max_a, binary_max_b},
    },
};
#undef FB_BINARY_FORMS_OF
#undef FB_BINARY_ROW
