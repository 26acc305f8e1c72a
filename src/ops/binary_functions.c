/* The table of binary element loops. */
#include "ops/binary_functions.h"

#include <math.h>

/* A loop of one work type; `a` and `b` are the elements, `ok` may be cleared. */
#define LOOP(name, T, expression)                                                    \
    static bool name(const T *pa, const T *pb, T *y, size_t count)                   \
    {                                                                                \
        bool ok = true;                                                              \
        for (size_t i = 0; i < count; i++) {                                         \
            T a = pa[i], b = pb[i];                                                  \
            (void)b;                                                                 \
            y[i] = (T)(expression);                                                  \
        }                                                                            \
        return ok;                                                                   \
    }
#define FLOATS(name, expression) LOOP(name##_f32, float, expression) LOOP(name##_f64, double, expression)
#define WHOLES(name, signed_expression, unsigned_expression)                         \
    LOOP(name##_s64, int64_t, signed_expression) LOOP(name##_u64, uint64_t, unsigned_expression)

/* Truncating division as C's, the quotient of the most negative number by -1 wraps, by 0 is an error that the caller reports. */
static int64_t divide(int64_t a, int64_t b, bool *ok)
{
    if (b == 0) {
        *ok = false;
        return 0;
    }
    return b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
}
static int64_t remainder_c(int64_t a, int64_t b, bool *ok)
{
    if (b == 0) {
        *ok = false;
        return 0;
    }
    return b == -1 ? 0 : a % b;
}
/* The remainder with the divisor's sign, as Python's % has it. */
static int64_t remainder_floor(int64_t a, int64_t b, bool *ok)
{
    int64_t rest = remainder_c(a, b, ok);
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}
static uint64_t divide_u(uint64_t a, uint64_t b, bool *ok)
{
    *ok = *ok && b != 0;
    return b ? a / b : 0;
}
static uint64_t remainder_u(uint64_t a, uint64_t b, bool *ok)
{
    *ok = *ok && b != 0;
    return b ? a % b : 0;
}

FLOATS(add, a + b)
WHOLES(add, (uint64_t)a + (uint64_t)b, a + b)
FLOATS(sub, a - b)
WHOLES(sub, (uint64_t)a - (uint64_t)b, a - b)
FLOATS(mul, a *b)
WHOLES(mul, (uint64_t)a *(uint64_t)b, a *b)
FLOATS(div, a / b)
WHOLES(div, divide(a, b, &ok), divide_u(a, b, &ok))
WHOLES(mod, remainder_floor(a, b, &ok), remainder_u(a, b, &ok))
FLOATS(fmod, fmod((double)a, (double)b))
WHOLES(fmod, remainder_c(a, b, &ok), remainder_u(a, b, &ok))
FLOATS(min, a < b || a != a ? a : b)
WHOLES(min, a < b ? a : b, a < b ? a : b)
FLOATS(max, a > b || a != a ? a : b)
WHOLES(max, a > b ? a : b, a > b ? a : b)
FLOATS(equal, a == b)
WHOLES(equal, a == b, a == b)
FLOATS(greater, a > b)
WHOLES(greater, a > b, a > b)
FLOATS(greater_or_equal, a >= b)
WHOLES(greater_or_equal, a >= b, a >= b)
FLOATS(less, a < b)
WHOLES(less, a < b, a < b)
FLOATS(less_or_equal, a <= b)
WHOLES(less_or_equal, a <= b, a <= b)
FLOATS(prelu, a < 0 ? a * b : a)
WHOLES(prelu, a < 0 ? (uint64_t)a *(uint64_t)b : (uint64_t)a, a)
LOOP(and_s64, int64_t, a &b)
LOOP(or_s64, int64_t, a | b)
LOOP(xor_s64, int64_t, a ^ b)
LOOP(and_u64, uint64_t, a &b)
LOOP(or_u64, uint64_t, a | b)
LOOP(xor_u64, uint64_t, a ^ b)
/* Shifting by the width or more leaves nothing. */
LOOP(shift_left_s64, int64_t, (uint64_t)b < 64 ? (uint64_t)a << b : 0)
LOOP(shift_left_u64, uint64_t, b < 64 ? a << b : 0)
LOOP(shift_right_s64, int64_t, (uint64_t)b < 64 ? (uint64_t)a >> b : 0)
LOOP(shift_right_u64, uint64_t, b < 64 ? a >> b : 0)

#define BOOLS FB_MASK(FB_DTYPE_BOOL)

static const FbBinaryFunction functions[] = {
    {"Add", FB_MASK_NUMBERS, false, add_f32, add_f64, add_s64, add_u64},
    {"And", BOOLS, true, NULL, NULL, and_s64, and_u64},
    {"BitShift LEFT", FB_MASK_UNSIGNED, false, NULL, NULL, shift_left_s64, shift_left_u64},
    {"BitShift RIGHT", FB_MASK_UNSIGNED, false, NULL, NULL, shift_right_s64, shift_right_u64},
    {"BitwiseAnd", FB_MASK_INTS, false, NULL, NULL, and_s64, and_u64},
    {"BitwiseOr", FB_MASK_INTS, false, NULL, NULL, or_s64, or_u64},
    {"BitwiseXor", FB_MASK_INTS, false, NULL, NULL, xor_s64, xor_u64},
    {"Div", FB_MASK_NUMBERS, false, div_f32, div_f64, div_s64, div_u64},
    {"Equal", FB_MASK_NUMBERS | BOOLS, true, equal_f32, equal_f64, equal_s64, equal_u64},
    {"Greater", FB_MASK_NUMBERS, true, greater_f32, greater_f64, greater_s64, greater_u64},
    {"GreaterOrEqual", FB_MASK_NUMBERS, true, greater_or_equal_f32, greater_or_equal_f64, greater_or_equal_s64, greater_or_equal_u64},
    {"Less", FB_MASK_NUMBERS, true, less_f32, less_f64, less_s64, less_u64},
    {"LessOrEqual", FB_MASK_NUMBERS, true, less_or_equal_f32, less_or_equal_f64, less_or_equal_s64, less_or_equal_u64},
    {"Max", FB_MASK_NUMBERS, false, max_f32, max_f64, max_s64, max_u64},
    {"Mean", FB_MASK_FLOATS, false, add_f32, add_f64, NULL, NULL},
    {"Min", FB_MASK_NUMBERS, false, min_f32, min_f64, min_s64, min_u64},
    {"Mod", FB_MASK_INTS, false, NULL, NULL, mod_s64, mod_u64},
    {"Mod fmod", FB_MASK_NUMBERS, false, fmod_f32, fmod_f64, fmod_s64, fmod_u64},
    {"Mul", FB_MASK_NUMBERS, false, mul_f32, mul_f64, mul_s64, mul_u64},
    {"Or", BOOLS, true, NULL, NULL, or_s64, or_u64},
    {"PRelu", FB_MASK_NUMBERS, false, prelu_f32, prelu_f64, prelu_s64, prelu_u64},
    {"Sub", FB_MASK_NUMBERS, false, sub_f32, sub_f64, sub_s64, sub_u64},
    {"Sum", FB_MASK_FLOATS, false, add_f32, add_f64, NULL, NULL},
    {"Xor", BOOLS, true, NULL, NULL, xor_s64, xor_u64},
};

const FbBinaryFunction *fb_binary_function(const char *name)
{
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        if (strcmp(functions[i].name, name) == 0) {
            return &functions[i];
        }
    }
    return NULL;
}

double fb_power(double base, double exponent)
{
    if (exponent == 2.0) {
        return base * base;
    }
    if (exponent == 3.0) {
        return base * base * base;
    }
    if (exponent == 0.5) { /* sqrt, but pow(-0, 0.5) is +0 and pow(-inf, 0.5) is +inf */
        return isinf(base) ? INFINITY : sqrt(base + 0.0);
    }
    return pow(base, exponent);
}

int64_t fb_power_whole(int64_t base, int64_t exponent)
{
    if (exponent < 0) {
        return base == 1 ? 1 : base == -1 ? (exponent % 2 ? -1 : 1) : 0;
    }
    uint64_t result = 1, factor = (uint64_t)base;
    for (; exponent; exponent >>= 1) {
        result = exponent & 1 ? result * factor : result;
        factor *= factor;
    }
    return (int64_t)result;
}
