/* Element loops of the unary operators. Float operators without a kernel of their own are computed in double and rounded once: the
 * result then does not depend on the instruction set or on how good a library's float functions are. */
#include "ops/unary_functions.h"

#include <math.h>

#define WIDE(name, expression)                                                                     \
    static void wide_##name(const double *x, double *y, size_t count, double a, double b)          \
    {                                                                                              \
        (void)a;                                                                                   \
        (void)b;                                                                                   \
        for (size_t i = 0; i < count; i++) {                                                       \
            double v = x[i];                                                                       \
            y[i] = (expression);                                                                   \
        }                                                                                          \
    }
#define WHOLE(name, expression)                                                                    \
    static void whole_##name(const int64_t *x, int64_t *y, size_t count)                           \
    {                                                                                              \
        for (size_t i = 0; i < count; i++) {                                                       \
            int64_t v = x[i];                                                                      \
            y[i] = (int64_t)(expression);                                                          \
        }                                                                                          \
    }

static double sigmoid(double v) { return v >= 0 ? 1 / (1 + exp(-v)) : exp(v) / (1 + exp(v)); }
static double softplus(double v) { return v > 0 ? v + log1p(exp(-v)) : log1p(exp(v)); }
static double clamp01(double v) { return v < 0 ? 0 : v > 1 ? 1 : v; }
static double gelu_tanh(double v) { return 0.5 * v * (1 + tanh(0.79788456080286535588 * (v + 0.044715 * v * v * v))); }
static double sign(double v) { return v > 0 ? 1 : v < 0 ? -1 : v == 0 ? 0 : v; }
/* x * sigmoid(a x) tends to 0 for very negative x although sigmoid underflows first. */
static double swish(double v, double a) { return isinf(v) && v * a < 0 ? -0.0 : v * sigmoid(a * v); }
static double round_half_even(double v)
{
    double f = floor(v), rest = v - f;
    if (!(fabs(v) < 4503599627370496.0)) {
        return v; /* whole, infinite or NaN already */
    }
    double r = rest < 0.5 ? f : rest > 0.5 ? f + 1 : fmod(f, 2) == 0 ? f : f + 1;
    return copysign(r, v);
}

WIDE(abs, fabs(v))
WIDE(neg, -v)
WIDE(exp, exp(v))
WIDE(log, log(v))
WIDE(sqrt, sqrt(v))
WIDE(reciprocal, 1 / v)
WIDE(floor, floor(v))
WIDE(ceil, ceil(v))
WIDE(round, round_half_even(v))
WIDE(sign, sign(v))
WIDE(sin, sin(v))
WIDE(cos, cos(v))
WIDE(tan, tan(v))
WIDE(asin, asin(v))
WIDE(acos, acos(v))
WIDE(atan, atan(v))
WIDE(sinh, sinh(v))
WIDE(cosh, cosh(v))
WIDE(tanh, tanh(v))
WIDE(asinh, asinh(v))
WIDE(acosh, acosh(v))
WIDE(atanh, atanh(v))
WIDE(erf, erf(v))
WIDE(sigmoid, sigmoid(v))
WIDE(relu, v < 0 ? 0 : v)
WIDE(leaky, v < 0 ? a * v : v)
WIDE(elu, v < 0 ? a * expm1(v) : v)
WIDE(selu, v <= 0 ? b * (a * expm1(v)) : b * v)
WIDE(celu, v < 0 ? a * expm1(v / a) : v)
WIDE(thresholded, v > a || isnan(v) ? v : 0)
WIDE(hard_sigmoid, clamp01(a * v + b))
WIDE(hard_swish, v * clamp01(v / 6 + 0.5))
WIDE(softplus, softplus(v))
WIDE(softsign, isinf(v) ? copysign(1, v) : v / (1 + fabs(v)))
WIDE(gelu, 0.5 * v * (1 + erf(v * 0.70710678118654752440)))
WIDE(gelu_tanh, gelu_tanh(v))
WIDE(mish, v * tanh(softplus(v)))
WIDE(swish, swish(v, a))
WIDE(shrink, v < -a ? v + b : v > a ? v - b : isnan(v) ? v : 0)
WIDE(clip, v < a ? a : v > b ? b : v)

WHOLE(abs, v < 0 ? 0 - (uint64_t)v : (uint64_t)v)
WHOLE(neg, 0 - (uint64_t)v)
WHOLE(sign, v > 0 ? 1 : v < 0 ? -1 : 0)
WHOLE(relu, v < 0 ? 0 : v)

static void whole_not(const int64_t *x, int64_t *y, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        y[i] = ~x[i];
    }
}

#define SIGNED_NUMBERS (FB_MASK_FLOATS | FB_MASK_SIGNED)
#define NO_KERNEL ((FbUnaryKind)FB_UNARY_NO_KERNEL)

static const FbUnaryFunction functions[] = {
    {"Abs", FB_MASK_NUMBERS, FB_UNARY_ABS, wide_abs, whole_abs},
    {"Acos", FB_MASK_FLOATS, NO_KERNEL, wide_acos, NULL},
    {"Acosh", FB_MASK_FLOATS, NO_KERNEL, wide_acosh, NULL},
    {"Asin", FB_MASK_FLOATS, NO_KERNEL, wide_asin, NULL},
    {"Asinh", FB_MASK_FLOATS, NO_KERNEL, wide_asinh, NULL},
    {"Atan", FB_MASK_FLOATS, NO_KERNEL, wide_atan, NULL},
    {"Atanh", FB_MASK_FLOATS, NO_KERNEL, wide_atanh, NULL},
    {"BitwiseNot", FB_MASK_INTS, NO_KERNEL, NULL, whole_not},
    {"Ceil", FB_MASK_FLOATS, NO_KERNEL, wide_ceil, NULL},
    {"Celu", FB_MASK_FLOATS, NO_KERNEL, wide_celu, NULL},
    {"Clip", FB_MASK_FLOATS, FB_UNARY_CLAMP, wide_clip, NULL},
    {"Cos", FB_MASK_FLOATS, NO_KERNEL, wide_cos, NULL},
    {"Cosh", FB_MASK_FLOATS, NO_KERNEL, wide_cosh, NULL},
    {"Elu", FB_MASK_FLOATS, NO_KERNEL, wide_elu, NULL},
    {"Erf", FB_MASK_FLOATS, FB_UNARY_ERF, wide_erf, NULL},
    {"Exp", FB_MASK_FLOATS, FB_UNARY_EXP, wide_exp, NULL},
    {"Floor", FB_MASK_FLOATS, NO_KERNEL, wide_floor, NULL},
    {"Gelu", FB_MASK_FLOATS, FB_UNARY_GELU_ERF, wide_gelu, NULL},
    {"Gelu tanh", FB_MASK_FLOATS, FB_UNARY_GELU_TANH, wide_gelu_tanh, NULL},
    {"HardSigmoid", FB_MASK_FLOATS, FB_UNARY_HARD_SIGMOID, wide_hard_sigmoid, NULL},
    {"HardSwish", FB_MASK_FLOATS, FB_UNARY_HARD_SWISH, wide_hard_swish, NULL},
    {"LeakyRelu", FB_MASK_FLOATS, FB_UNARY_LEAKY, wide_leaky, NULL},
    {"Log", FB_MASK_FLOATS, FB_UNARY_LOG, wide_log, NULL},
    {"Mish", FB_MASK_FLOATS, FB_UNARY_MISH, wide_mish, NULL},
    {"Neg", SIGNED_NUMBERS, FB_UNARY_NEG, wide_neg, whole_neg},
    {"Reciprocal", FB_MASK_FLOATS, FB_UNARY_RECIPROCAL, wide_reciprocal, NULL},
    {"Relu", SIGNED_NUMBERS, FB_UNARY_RELU, wide_relu, whole_relu},
    {"Round", FB_MASK_FLOATS, NO_KERNEL, wide_round, NULL},
    {"Selu", FB_MASK_FLOATS, NO_KERNEL, wide_selu, NULL},
    {"Shrink", FB_MASK_NUMBERS, NO_KERNEL, wide_shrink, NULL},
    {"Sigmoid", FB_MASK_FLOATS, FB_UNARY_SIGMOID, wide_sigmoid, NULL},
    {"Sign", FB_MASK_NUMBERS, NO_KERNEL, wide_sign, whole_sign},
    {"Sin", FB_MASK_FLOATS, NO_KERNEL, wide_sin, NULL},
    {"Sinh", FB_MASK_FLOATS, NO_KERNEL, wide_sinh, NULL},
    {"Softplus", FB_MASK_FLOATS, FB_UNARY_SOFTPLUS, wide_softplus, NULL},
    {"Softsign", FB_MASK_FLOATS, NO_KERNEL, wide_softsign, NULL},
    {"Sqrt", FB_MASK_FLOATS, FB_UNARY_SQRT, wide_sqrt, NULL},
    {"Swish", FB_MASK_FLOATS, NO_KERNEL, wide_swish, NULL},
    {"Tan", FB_MASK_FLOATS, NO_KERNEL, wide_tan, NULL},
    {"Tanh", FB_MASK_FLOATS, FB_UNARY_TANH, wide_tanh, NULL},
    {"ThresholdedRelu", FB_MASK_FLOATS, NO_KERNEL, wide_thresholded, NULL},
};

const FbUnaryFunction *fb_unary_function(const char *op_type)
{
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        if (strcmp(functions[i].op_type, op_type) == 0) {
            return &functions[i];
        }
    }
    return NULL;
}
