/* The elementary functions against long double libm: largest error in ulp over a walk through all exponents, and the special values. */
#include "kernels/check.h"
#include "kernels/functions.h"

/* Distance in units in the last place of the float nearest to the exact value. */
static double error_ulp(float got, long double exact)
{
    if (isnan(got) || isinf(got)) {
        return fabsl(exact) > 0x1.fffffep+127L ? 0 : INFINITY;
    }
    int exponent;
    (void)frexpl(exact, &exponent);
    int lowest = exponent - 24 < -149 ? -149 : exponent - 24;
    return (double)(fabsl((long double)got - exact) / ldexpl(1, lowest));
}

static long double exact_sigmoid(long double x) { return 1 / (1 + expl(-x)); }
static long double exact_gelu(long double x) { return x * erfcl(-x / sqrtl(2)) / 2; }
static long double exact_silu(long double x) { return x / (1 + expl(-x)); }
static long double exact_softplus(long double x) { return log1pl(expl(x)); }
static long double exact_mish(long double x) { return x * tanhl(log1pl(expl(x))); }

typedef struct Bound {
    FbUnaryKind kind;
    const char *name;
    long double (*exact)(long double x);
    float low, high; /* where the bound holds */
    double ulp;
} Bound;

static const Bound bounds[] = {
    {FB_UNARY_EXP, "exp", expl, -104.0f, 88.8f, 2.0},
    {FB_UNARY_LOG, "log", logl, 0x1p-149f, 0x1.fffffep+127f, 2.0},
    {FB_UNARY_TANH, "tanh", tanhl, -20.0f, 20.0f, 3.0},
    {FB_UNARY_ERF, "erf", erfl, -6.0f, 6.0f, 3.0},
    {FB_UNARY_SIGMOID, "sigmoid", exact_sigmoid, -103.0f, 40.0f, 3.0},
    {FB_UNARY_SILU, "silu", exact_silu, -80.0f, 80.0f, 4.0},
    {FB_UNARY_SOFTPLUS, "softplus", exact_softplus, -80.0f, 80.0f, 3.0},
    {FB_UNARY_MISH, "mish", exact_mish, -60.0f, 80.0f, 6.0},
};

static void accuracy(void **state)
{
    (void)state;
    enum { BLOCK = 4096 };
    static float x[BLOCK], y[BLOCK];
    for (size_t b = 0; b < sizeof bounds / sizeof *bounds; b++) {
        FbUnaryF32 run = fb_unary_f32_pick(fb_cpu_detect(), bounds[b].kind);
        double worst = 0;
        float where = 0;
        for (uint32_t bits = 1; bits < 0x7f800000u;) { /* both signs, a step that meets every mantissa residue */
            size_t count = 0;
            for (; count + 2 <= BLOCK && bits < 0x7f800000u; bits += 2477) {
                float value;
                memcpy(&value, &bits, sizeof value);
                x[count++] = value;
                x[count++] = -value;
            }
            run(x, y, count, 0, 0);
            for (size_t i = 0; i < count; i++) {
                if (x[i] >= bounds[b].low && x[i] <= bounds[b].high) {
                    double error = error_ulp(y[i], bounds[b].exact(x[i]));
                    where = error > worst ? x[i] : where;
                    worst = error > worst ? error : worst;
                }
            }
        }
        print_message("%-8s %.2f ulp at %a\n", bounds[b].name, worst, (double)where);
        assert_true(worst <= bounds[b].ulp);
    }
}

/* The GELU cancels for negative x as the graph that it replaces does: an absolute bound is what holds. */
static void gelu(void **state)
{
    (void)state;
    float x[4001], y[4001], z[4001];
    for (int i = 0; i <= 4000; i++) {
        x[i] = (float)(i - 2000) * 0.005f;
    }
    fb_unary_f32_pick(fb_cpu_detect(), FB_UNARY_GELU_ERF)(x, y, 4001, 0, 0);
    fb_unary_f32_pick(fb_cpu_detect(), FB_UNARY_GELU_TANH)(x, z, 4001, 0, 0);
    for (int i = 0; i <= 4000; i++) {
        assert_true(fabsl(y[i] - exact_gelu(x[i])) <= 4e-7L * (1 + fabsf(x[i])));
        long double inner = sqrtl(2 / acosl(-1)) * (x[i] + 0.044715L * x[i] * x[i] * x[i]);
        assert_true(fabsl(z[i] - 0.5L * x[i] * (1 + tanhl(inner))) <= 4e-7L * (1 + fabsf(x[i])));
    }
}

static void special_values(void **state)
{
    (void)state;
    static const struct { FbUnaryKind kind; float x, y; } cases[] = {
        {FB_UNARY_EXP, -INFINITY, 0}, {FB_UNARY_EXP, INFINITY, INFINITY}, {FB_UNARY_EXP, 0, 1}, {FB_UNARY_EXP, 89, INFINITY},
        {FB_UNARY_EXP, -105, 0}, {FB_UNARY_LOG, 0, -INFINITY}, {FB_UNARY_LOG, -0.0f, -INFINITY}, {FB_UNARY_LOG, 1, 0},
        {FB_UNARY_LOG, INFINITY, INFINITY}, {FB_UNARY_LOG, -1, NAN}, {FB_UNARY_LOG, -INFINITY, NAN}, {FB_UNARY_TANH, INFINITY, 1},
        {FB_UNARY_TANH, -INFINITY, -1}, {FB_UNARY_TANH, -0.0f, -0.0f}, {FB_UNARY_ERF, INFINITY, 1}, {FB_UNARY_ERF, -INFINITY, -1},
        {FB_UNARY_ERF, -0.0f, -0.0f}, {FB_UNARY_SIGMOID, INFINITY, 1}, {FB_UNARY_SIGMOID, -INFINITY, 0}, {FB_UNARY_SIGMOID, 0, 0.5f},
        {FB_UNARY_SQRT, -1, NAN}, {FB_UNARY_RELU, -3, 0}, {FB_UNARY_RELU, 3, 3}, {FB_UNARY_SOFTPLUS, INFINITY, INFINITY},
        {FB_UNARY_SOFTPLUS, -INFINITY, 0}, {FB_UNARY_MISH, INFINITY, INFINITY}, {FB_UNARY_RECIPROCAL, -0.0f, -INFINITY},
        {FB_UNARY_NEG, 0, -0.0f}, {FB_UNARY_ABS, -0.0f, 0}, {FB_UNARY_HARD_SWISH, 3, 3}, {FB_UNARY_HARD_SWISH, -3, -0.0f},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float y;
        fb_unary_f32_pick(0, cases[i].kind)(&cases[i].x, &y, 1, 0, 0);
        check_same("special", "scalar", &cases[i].y, &y, 1);
    }
    for (int kind = 0; kind < FB_UNARY_COUNT; kind++) {
        float x = NAN, y = 0;
        fb_unary_f32_pick(fb_cpu_detect(), (FbUnaryKind)kind)(&x, &y, 1, 0, 6);
        assert_true(isnan(y));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(accuracy), cmocka_unit_test(gelu), cmocka_unit_test(special_values)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
