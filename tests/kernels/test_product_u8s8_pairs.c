/* Packing for vpmaddubsw: what is packed adds up to the weights, no lane can saturate, and each kind of weights gets the lanes that suit it. */
#include "kernels/check.h"
#include "kernels/product_u8s8_pairs.h"

enum { COLUMNS = FB_PAIRS_COLUMNS, STEP = FB_U8S8_STEP };

typedef enum Weights { NARROW = 0, NORMAL, UNIFORM, ALL_127, ALL_M128, EXTREMES, WEIGHTS } Weights;

static int8_t weight_of(Weights weights, uint64_t i)
{
    const double normal = rint((double)fb_random_normal(3, 1, i) * 36);
    switch (weights) {
    case NARROW: return (int8_t)((int)fb_random_below(3, 2, i, 65) - 32);
    case NORMAL: return (int8_t)(normal > 127 ? 127 : normal < -128 ? -128 : normal);
    case UNIFORM: return (int8_t)((int)fb_random_below(3, 3, i, 255) - 127);
    case ALL_127: return 127;
    case ALL_M128: return -128;
    case EXTREMES:
    case WEIGHTS: return (int8_t)(fb_random_below(3, 4, i, 2) ? 127 : -128);
    }
    return 0;
}

/* The rule of the header: products of codes in [0, 255] with any of these weights stay in int16. */
static void check_lane(const int8_t *const *weights, int count)
{
    int above = 0, below = 0;
    for (int i = 0; i < count; i++) {
        above += *weights[i] > 0 ? *weights[i] : 0;
        below += *weights[i] < 0 ? *weights[i] : 0;
    }
    assert_true(255 * above <= INT16_MAX && 255 * below >= INT16_MIN);
}

static void check_lanes(const int8_t *quads, size_t steps) /* of sixteen columns, added in 16 bits */
{
    for (size_t lane = 0; lane < COLUMNS * 2; lane++) {
        const int8_t *weights[4];
        for (size_t i = 0; i < 2 * steps; i++) {
            weights[i] = quads + i / 2 * COLUMNS * STEP + 2 * lane + i % 2;
        }
        check_lane(weights, (int)(2 * steps));
    }
}

/* The weights of one tap that a panel stands for: total[k][column]. */
static void add_up(const FbPackedU8S8 *packed, size_t panel, size_t tap, int *total)
{
    const size_t steps = (packed->depth + STEP - 1) / STEP;
    const FbPairsPanel *fixup = (const FbPairsPanel *)packed->fixup + panel;
    const int8_t *quads = packed->panels + panel * packed->panel_bytes + tap * steps * COLUMNS * STEP;
    for (size_t i = 0; i < steps * COLUMNS * STEP; i++) {
        total[(i / (COLUMNS * STEP) * STEP + i % STEP) * COLUMNS + i / STEP % COLUMNS] = quads[i];
    }
    for (size_t step = 0; step < steps; step += fixup->quads ? 2 : 1) {
        check_lanes(quads + step * COLUMNS * STEP, fixup->quads && step + 1 < steps ? 2 : 1);
    }
    for (size_t i = fixup->end && tap ? fixup->end[tap - 1] : 0; fixup->end && i < fixup->end[tap]; i++) {
        assert_true(fixup->window[i] + FB_PAIRS_WINDOW <= steps * STEP || fixup->window[i] == 0);
        check_lanes(fixup->fix[i].excess, 1);
        for (size_t j = 0; j < COLUMNS * STEP; j++) {
            const size_t k = fixup->window[i] + fixup->fix[i].index[j];
            assert_true(fixup->fix[i].index[j] < FB_PAIRS_WINDOW && k < steps * STEP);
            total[k * COLUMNS + j / STEP] += fixup->fix[i].excess[j];
        }
    }
}

static void check_packed(const FbPackedU8S8 *packed, const int8_t *w, size_t depth_stride, size_t col_stride)
{
    const size_t padded = (packed->depth + STEP - 1) / STEP * STEP;
    int *total = malloc(padded * COLUMNS * sizeof *total);
    assert_non_null(total);
    for (size_t panel = 0; panel < packed->panel_count; panel++) {
        for (size_t tap = 0; tap < packed->taps; tap++) {
            add_up(packed, panel, tap, total);
            for (size_t i = 0; i < padded * COLUMNS; i++) {
                const size_t k = i / COLUMNS, col = panel * COLUMNS + i % COLUMNS;
                const bool there = k < packed->depth && col < packed->cols;
                assert_int_equal(total[i], there ? w[(tap * packed->depth + k) * depth_stride + col * col_stride] : 0);
            }
        }
    }
    free(total);
}

static void adds_up(void **state)
{
    (void)state;
    static const size_t shapes[][3] = {{1, 1, 1}, {3, 3, 5}, {2, 12, 16}, {1, 13, 17}, {1, 16, 16}, {2, 20, 33}, {9, 37, 20}, {1, 300, 40}};
    FbContext *context;
    assert_int_equal(fb_context_create(NULL, &context, NULL), FB_OK);
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const size_t taps = shapes[s][0], depth = shapes[s][1], cols = shapes[s][2], k = taps * depth;
        int8_t *w = malloc(k * cols);
        assert_non_null(w);
        for (int weights = 0; weights < WEIGHTS; weights++) {
            for (size_t i = 0; i < k * cols; i++) {
                w[i] = weight_of((Weights)weights, i);
            }
            FbArena *arena = fb_arena_create(context);
            FbPackedU8S8 packed;
            assert_non_null(arena);
            assert_int_equal(fb_product_u8s8_pack_pairs(context, arena, w, s % 2 ? 1 : cols, s % 2 ? k : 1, taps, depth, cols, &packed, NULL), FB_OK);
            check_packed(&packed, w, s % 2 ? 1 : cols, s % 2 ? k : 1);
            fb_arena_free(arena);
        }
        free(w);
    }
    fb_context_free(context);
}

/* Lanes and fix steps for a window of codes, of 16 columns 512 deep. */
static void choice(Weights weights, bool *quads, double *steps)
{
    enum { DEPTH = 512 };
    static int8_t w[DEPTH * COLUMNS];
    FbContext *context;
    FbPackedU8S8 packed;
    for (size_t i = 0; i < sizeof w; i++) {
        w[i] = weight_of(weights, i);
    }
    assert_int_equal(fb_context_create(NULL, &context, NULL), FB_OK);
    FbArena *arena = fb_arena_create(context);
    assert_non_null(arena);
    assert_int_equal(fb_product_u8s8_pack_pairs(context, arena, w, COLUMNS, 1, 1, DEPTH, COLUMNS, &packed, NULL), FB_OK);
    const FbPairsPanel *fixup = packed.fixup;
    *quads = fixup->quads;
    *steps = fixup->end ? (double)fixup->end[0] * FB_PAIRS_WINDOW / DEPTH : 0;
    fb_arena_free(arena);
    fb_context_free(context);
}

static void suits(void **state)
{
    (void)state;
    bool quads;
    double steps;
    choice(NARROW, &quads, &steps);
    assert_true(quads && steps == 0);
    choice(NORMAL, &quads, &steps);
    assert_true(quads && steps > 0.5 && steps < 1.3);
    choice(UNIFORM, &quads, &steps);
    assert_true(!quads && steps > 1 && steps < 2.5);
    choice(ALL_127, &quads, &steps);
    assert_true(!quads && steps == 4); /* eight pairs of a column with an excess of 126; one fits a lane */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(adds_up), cmocka_unit_test(suits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
