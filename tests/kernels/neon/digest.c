/* Prints digests of what the kernels compute, by the best rows that the processor allows or, with the argument `scalar`, by plain C: any two
 * machines must print the same. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "kernels/binary.h"
#include "kernels/functions.h"
#include "kernels/norm_f32.h"
#include "kernels/product_f32.h"
#include "kernels/reduce.h"
#include "kernels/round_grid.h"
#include "kernels/softmax_f32.h"

enum { COUNT = 4099 };

/* FNV-1a over the bits; every NaN counts as one. */
static uint64_t mix(uint64_t hash, const float *x, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bits = isnan(x[i]) ? 0x7fc00000u : bits;
        for (int byte = 0; byte < 4; byte++) {
            hash = (hash ^ (bits >> (8 * byte) & 255)) * 0x100000001b3u;
        }
    }
    return hash;
}
static void print(const char *name, int kind, uint64_t hash) { printf("%s %d %016llx\n", name, kind, (unsigned long long)hash); }

/* All exponents, both signs, infinities, NaN and denormals among them. */
static void fill(float *x, size_t count, uint64_t stream, bool tame)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = (uint32_t)fb_random_u64(7, stream, i);
        memcpy(&x[i], &bits, sizeof bits);
        if (tame || i % 2) {
            x[i] = (float)(fb_random_unit(8, stream, i) * 20 - 10);
        }
    }
}

static void element_wise(unsigned cpu, const float *x, const float *z, float *y)
{
    for (int kind = 0; kind < FB_UNARY_COUNT; kind++) {
        fb_unary_f32_pick(cpu, (FbUnaryKind)kind)(x, y, COUNT, 0.2f, 6.0f);
        print("unary", kind, mix(1, y, COUNT));
    }
    for (int kind = 0; kind < FB_BINARY_COUNT; kind++) {
        fb_binary_f32_pick(cpu, (FbBinaryKind)kind, FB_BINARY_ROWS)(x, z, y, COUNT);
        print("binary", kind, mix(1, y, COUNT));
    }
    fb_grid_f32_pick(cpu)->round_tensor(x, y, COUNT, 0.037f, 12, 0, 255);
    print("grid", 0, mix(1, y, COUNT));
}

static void rows(unsigned cpu, const float *x, const float *z, float *y)
{
    const FbReduceF32Kernel *reduce = fb_reduce_f32_pick(cpu);
    const float sums[5] = {reduce->sum(x, COUNT), reduce->sum_abs(x, COUNT), reduce->sum_squares(x, COUNT, 0.1f), reduce->max(x, COUNT), reduce->min(x, COUNT)};
    print("reduce", 0, mix(1, sums, 5));
    fb_softmax_f32_pick(cpu)->softmax(x, y, COUNT);
    print("softmax", 0, mix(1, y, COUNT));
    fb_softmax_f32_pick(cpu)->log_softmax(x, y, COUNT);
    print("softmax", 1, mix(1, y, COUNT));
    float mean, inverse;
    fb_norm_f32_pick(cpu)->moments(x, COUNT, 1e-5f, true, &mean, &inverse);
    fb_norm_f32_pick(cpu)->apply(x, y, COUNT, mean, inverse, z, x);
    print("norm", 0, mix(1, y, COUNT));
}

/* A tile of one row and one panel, the depth that COUNT gives; the column tile differs, its first sixteen columns are compared. */
static void product(unsigned cpu, const float *x, const float *z)
{
    enum { DEPTH = COUNT / 16, COLS = 16 };
    static float packed[DEPTH * 64], c[COLS];
    const FbProductF32Kernel *kernel = fb_product_f32_pick(cpu);
    fb_product_f32_pack(kernel, z, COLS, 1, DEPTH, COLS, packed);
    const FbEpilogue epilogue = {x, 1, {{FB_EPILOGUE_GELU_ERF, 0, 0, 0, 0, NULL, NULL, 0}}};
    const FbProductF32 p = {1, COLS, DEPTH, 1, &x, 1, 0, NULL, packed, c, COLS, false, &epilogue};
    kernel->run(&p);
    print("product", 0, mix(1, c, COLS));
}

int main(int argc, char **argv)
{
    static float wild[COUNT], tame[COUNT], other[COUNT], y[COUNT];
    const unsigned cpu = argc > 1 && strcmp(argv[1], "scalar") == 0 ? 0 : fb_cpu_detect();
    fill(wild, COUNT, 1, false);
    fill(tame, COUNT, 2, true);
    fill(other, COUNT, 3, true);
    element_wise(cpu, wild, other, y);
    element_wise(cpu, tame, wild, y);
    rows(cpu, tame, other, y);
    product(cpu, tame, other);
    return 0;
}
