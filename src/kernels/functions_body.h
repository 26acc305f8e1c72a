/* Rows of the unary functions; included once per instruction set. */
#include <math.h>

#include "kernels/functions.h"
#include "kernels/functions_math.h"

#define FB_UNARY(name, expression)                                                        \
    static void unary_##name(const float *from, float *to, size_t count, float a, float b) \
    {                                                                                     \
        const FbV va = fb_v_set(a), vb = fb_v_set(b);                                     \
        (void)va;                                                                         \
        (void)vb;                                                                         \
        size_t i = 0;                                                                     \
        for (; i + FB_LANES <= count; i += FB_LANES) {                                    \
            FbV x = fb_v_load(from + i);                                                  \
            fb_v_store(to + i, expression);                                               \
        }                                                                                 \
        if (i < count) {                                                                  \
            FbV x = fb_v_load_n(from + i, count - i);                                     \
            fb_v_store_n(to + i, expression, count - i);                                  \
        }                                                                                 \
    }

FB_UNARY(exp, fb_m_exp(x))
FB_UNARY(log, fb_m_log(x))
FB_UNARY(tanh, fb_m_tanh(x))
FB_UNARY(erf, fb_m_erf(x))
FB_UNARY(sigmoid, fb_m_sigmoid(x))
FB_UNARY(silu, fb_m_silu(x))
FB_UNARY(gelu_erf, fb_m_gelu_erf(x))
FB_UNARY(gelu_tanh, fb_m_gelu_tanh(x))
FB_UNARY(sqrt, fb_v_sqrt(x))
FB_UNARY(relu, fb_v_max(fb_v_set(0.0f), x))
FB_UNARY(clamp, fb_m_clamp(x, va, vb))
FB_UNARY(leaky, fb_m_leaky(x, va))
FB_UNARY(hard_sigmoid, fb_m_hard_sigmoid(x, va, vb))
FB_UNARY(hard_swish, fb_m_hard_swish(x))
FB_UNARY(abs, fb_m_abs(x))
FB_UNARY(neg, fb_m_neg(x))
FB_UNARY(reciprocal, fb_v_div(fb_v_set(1.0f), x))
FB_UNARY(softplus, fb_m_softplus(x))
FB_UNARY(mish, fb_m_mish(x))

const FbUnaryF32Kernel FB_ISA(fb_unary_f32) = {
    FB_ISA_NAME,
    FB_ISA_NEEDS,
    {
        [FB_UNARY_EXP] = unary_exp,
        [FB_UNARY_LOG] = unary_log,
        [FB_UNARY_TANH] = unary_tanh,
        [FB_UNARY_ERF] = unary_erf,
        [FB_UNARY_SIGMOID] = unary_sigmoid,
        [FB_UNARY_SILU] = unary_silu,
        [FB_UNARY_GELU_ERF] = unary_gelu_erf,
        [FB_UNARY_GELU_TANH] = unary_gelu_tanh,
        [FB_UNARY_SQRT] = unary_sqrt,
        [FB_UNARY_RELU] = unary_relu,
        [FB_UNARY_CLAMP] = unary_clamp,
        [FB_UNARY_LEAKY] = unary_leaky,
        [FB_UNARY_HARD_SIGMOID] = unary_hard_sigmoid,
        [FB_UNARY_HARD_SWISH] = unary_hard_swish,
        [FB_UNARY_ABS] = unary_abs,
        [FB_UNARY_NEG] = unary_neg,
        [FB_UNARY_RECIPROCAL] = unary_reciprocal,
        [FB_UNARY_SOFTPLUS] = unary_softplus,
        [FB_UNARY_MISH] = unary_mish,
    },
};
#undef FB_UNARY
