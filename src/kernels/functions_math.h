/* Elementary functions on sixteen lanes; included after one of the simd_*.h. Polynomials are Taylor series where those converge fast
 * enough and weighted Chebyshev fits elsewhere; tests/kernels measures the stated bounds against long double.
 *
 *   exp, log, sigmoid, tanh, erf: at most 3 ulp; exact at +-0 and +-infinity; NaN in, NaN out. */
#ifndef FB_KERNELS_FUNCTIONS_MATH_H
#define FB_KERNELS_FUNCTIONS_MATH_H

static inline FbV fb_m_horner(const float *coefficients, int count, FbV t) /* highest power first */
{
    FbV sum = fb_v_set(coefficients[0]);
    for (int i = 1; i < count; i++) {
        sum = fb_v_fma(sum, t, fb_v_set(coefficients[i]));
    }
    return sum;
}

static inline FbV fb_m_abs(FbV x) { return fb_v_from_bits(fb_vi_and(fb_v_bits(x), fb_vi_set(0x7fffffff))); }
static inline FbV fb_m_neg(FbV x) { return fb_v_sub(fb_v_set(-0.0f), x); }
/* |magnitude| must have its sign bit clear. */
static inline FbV fb_m_with_sign(FbV magnitude, FbV sign)
{
    return fb_v_from_bits(fb_vi_or(fb_v_bits(magnitude), fb_vi_and(fb_v_bits(sign), fb_vi_set(INT32_MIN))));
}
static inline FbV fb_m_clamp(FbV x, FbV low, FbV high) { return fb_v_min(high, fb_v_max(low, x)); } /* NaN stays NaN */

/* exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln(2)/2: r^8/8! is below a tenth of an ulp. The power is applied in two halves, so that
 * subnormal results are rounded once. */
static inline FbV fb_m_exp(FbV x)
{
    static const float taylor[] = {1.0f / 5040, 1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
    x = fb_m_clamp(x, fb_v_set(-104.0f), fb_v_set(89.0f));
    FbV n = fb_v_round(fb_v_mul(x, fb_v_set(0x1.715476p+0f)));
    FbV r = fb_v_fma(n, fb_v_set(-0x1.62e4p-1f), x);
    r = fb_v_fma(n, fb_v_set(-0x1.7f7d1cp-20f), r);
    FbV p = fb_m_horner(taylor, 8, r);
    FbVi power = fb_v_to_int(n);
    FbVi half = fb_vi_sra1(power);
    FbVi bias = fb_vi_set(127);
    FbV first = fb_v_from_bits(fb_vi_shl23(fb_vi_add(half, bias)));
    FbV second = fb_v_from_bits(fb_vi_shl23(fb_vi_add(fb_vi_sub(power, half), bias)));
    return fb_v_mul(fb_v_mul(p, first), second);
}

/* log(x) = e ln 2 + log(1 + f), 1 + f in [sqrt(1/2), sqrt 2); with s = f/(2 + f): log(1 + f) = f - f^2/2 + s (f^2/2 + R(s^2)), from the
 * series of 2 atanh(s). */
static inline FbV fb_m_log(FbV x)
{
    static const float series[] = {2.0f / 11, 2.0f / 9, 2.0f / 7, 2.0f / 5, 2.0f / 3};
    FbVm subnormal = fb_v_lt(x, fb_v_set(0x1p-126f));
    FbV scaled = fb_v_select(subnormal, fb_v_mul(x, fb_v_set(0x1p23f)), x);
    FbVi bits = fb_v_bits(scaled);
    FbV e = fb_v_from_int(fb_vi_sub(fb_vi_shr23(bits), fb_vi_set(127)));
    e = fb_v_select(subnormal, fb_v_sub(e, fb_v_set(23.0f)), e);
    FbV m = fb_v_from_bits(fb_vi_or(fb_vi_and(bits, fb_vi_set(0x007fffff)), fb_vi_set(0x3f800000)));
    FbVm upper = fb_v_lt(fb_v_set(0x1.6a09e6p+0f), m);
    m = fb_v_select(upper, fb_v_mul(m, fb_v_set(0.5f)), m);
    e = fb_v_select(upper, fb_v_add(e, fb_v_set(1.0f)), e);
    FbV f = fb_v_sub(m, fb_v_set(1.0f));
    FbV s = fb_v_div(f, fb_v_add(f, fb_v_set(2.0f)));
    FbV z = fb_v_mul(s, s);
    FbV rest = fb_v_mul(z, fb_m_horner(series, 5, z));
    FbV half = fb_v_mul(fb_v_mul(f, f), fb_v_set(0.5f));
    FbV low = fb_v_fma(s, fb_v_add(half, rest), fb_v_mul(e, fb_v_set(0x1.7f7d1cp-20f)));
    FbV result = fb_v_fma(e, fb_v_set(0x1.62e4p-1f), fb_v_sub(f, fb_v_sub(half, low)));
    result = fb_v_select(fb_v_lt(x, fb_v_set(INFINITY)), result, x);
    result = fb_v_select(fb_v_le(x, fb_v_set(0.0f)), fb_v_set(-INFINITY), result);
    return fb_v_select(fb_v_lt(x, fb_v_set(0.0f)), fb_v_set(NAN), result);
}

/* log(1 + x) for x in [0, 1]: what 1 + x lost is put back. */
static inline FbV fb_m_log1p_unit(FbV x)
{
    FbV u = fb_v_add(x, fb_v_set(1.0f));
    return fb_v_add(fb_m_log(u), fb_v_div(fb_v_sub(x, fb_v_sub(u, fb_v_set(1.0f))), u));
}

static inline FbV fb_m_sigmoid(FbV x)
{
    FbV z = fb_m_exp(fb_m_neg(fb_m_abs(x)));
    FbV numerator = fb_v_select(fb_v_lt(x, fb_v_set(0.0f)), z, fb_v_set(1.0f));
    return fb_v_div(numerator, fb_v_add(z, fb_v_set(1.0f)));
}

/* |x| < 0.625: x + x t P(t), t = x^2, error of the fit 1.5e-10; else 1 - 2 / (exp(2 |x|) + 1). */
static inline FbV fb_m_tanh(FbV x)
{
    static const float fit[] = {0x1.197ae4p-9f, -0x1.0c211ap-7f, 0x1.6394dp-6f, -0x1.b9ef7cp-5f, 0x1.11106cp-3f, -0x1.555554p-2f};
    FbV size = fb_m_abs(x);
    FbV t = fb_v_mul(x, x);
    FbV small = fb_v_fma(fb_v_mul(size, t), fb_m_horner(fit, 6, t), size);
    FbV e = fb_m_exp(fb_v_add(size, size));
    FbV large = fb_v_sub(fb_v_set(1.0f), fb_v_div(fb_v_set(2.0f), fb_v_add(e, fb_v_set(1.0f))));
    return fb_m_with_sign(fb_v_select(fb_v_lt(size, fb_v_set(0.625f)), small, large), x);
}

/* |x| < 1: x P(x^2), error of the fit 1.2e-9; else 1 - exp(Q(|x|)), Q a fit of log(erfc) on [0.98, 4], its error weighted by erfc. */
static inline FbV fb_m_erf(FbV x)
{
    static const float inner[] = {0x1.4ae498p-14f, -0x1.a485d8p-11f, 0x1.5419f2p-8f, -0x1.b7fbb4p-6f,
                                  0x1.ce2d2p-4f,   -0x1.81273ep-2f,  0x1.20dd74p+0f};
    static const float outer[] = {-0x1.6bea1ep-16f, 0x1.ced428p-12f, -0x1.139158p-8f,  0x1.9d0648p-6f,
                                  -0x1.bc1672p-4f,  -0x1.44353cp-1f, -0x1.212c18p+0f, 0x1.8aa964p-13f};
    FbV size = fb_m_abs(x);
    FbV small = fb_v_mul(x, fb_m_horner(inner, 7, fb_v_mul(x, x)));
    FbV capped = fb_v_min(fb_v_set(4.0f), size); /* erf(4) rounds to 1; NaN stays */
    FbV large = fb_v_sub(fb_v_set(1.0f), fb_m_exp(fb_m_horner(outer, 8, capped)));
    return fb_v_select(fb_v_lt(size, fb_v_set(1.0f)), small, fb_m_with_sign(large, x));
}

/* Step by step what a graph of Div, Erf, Add, Mul, Mul does, so that recognising Gelu changes no bit. */
static inline FbV fb_m_gelu_erf(FbV x)
{
    FbV e = fb_m_erf(fb_v_div(x, fb_v_set(0x1.6a09e6p+0f)));
    return fb_v_mul(fb_v_mul(x, fb_v_add(e, fb_v_set(1.0f))), fb_v_set(0.5f));
}

static inline FbV fb_m_gelu_tanh(FbV x)
{
    FbV cube = fb_v_mul(fb_v_mul(x, x), x);
    FbV inner = fb_v_mul(fb_v_set(0.797884583f), fb_v_fma(cube, fb_v_set(0.044715f), x));
    return fb_v_mul(fb_v_mul(x, fb_v_add(fb_m_tanh(inner), fb_v_set(1.0f))), fb_v_set(0.5f));
}

static inline FbV fb_m_silu(FbV x) { return fb_v_mul(x, fb_m_sigmoid(x)); }

static inline FbV fb_m_leaky(FbV x, FbV slope) { return fb_v_select(fb_v_lt(x, fb_v_set(0.0f)), fb_v_mul(x, slope), x); }

static inline FbV fb_m_hard_sigmoid(FbV x, FbV a, FbV b) { return fb_m_clamp(fb_v_fma(x, a, b), fb_v_set(0.0f), fb_v_set(1.0f)); }

static inline FbV fb_m_hard_swish(FbV x)
{
    return fb_v_mul(x, fb_m_hard_sigmoid(x, fb_v_set(1.0f / 6), fb_v_set(0.5f)));
}

static inline FbV fb_m_softplus(FbV x)
{
    FbV tail = fb_m_log1p_unit(fb_m_exp(fb_m_neg(fb_m_abs(x))));
    return fb_v_add(fb_v_max(fb_v_set(0.0f), x), tail);
}

/* x tanh(log(1 + e)) = x w / (w + 2), w = e (e + 2), e = exp(x); beyond 20 it is x. */
static inline FbV fb_m_mish(FbV x)
{
    FbV e = fb_m_exp(fb_v_min(fb_v_set(20.0f), x));
    FbV w = fb_v_mul(e, fb_v_add(e, fb_v_set(2.0f)));
    return fb_v_mul(x, fb_v_div(w, fb_v_add(w, fb_v_set(2.0f))));
}

/* To the grid of an 8- or 16-bit code, as a number on the code axis: clamp(round_half_even(x / scale) + zero); NaN gives low. */
static inline FbV fb_m_grid_of(FbV x, FbV zero, FbV low, FbV high) /* x in units of the scale */
{
    FbV code = fb_v_add(fb_v_round(x), zero);
    return fb_v_min(fb_v_max(code, low), high);
}
static inline FbV fb_m_grid(FbV x, FbV scale, FbV zero, FbV low, FbV high) { return fb_m_grid_of(fb_v_div(x, scale), zero, low, high); }

#endif
