/* Times the encoders of block types: bench_block_encode [SECONDS]. Every row of the table that this machine can run, against the definition
 * first; without importance and with. Million elements and bytes of float per second of one thread, the best of several repetitions. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/random.h"
#include "kernels/block_encode.h"

enum { COLS = 4096, ROWS = 8 };

static float rows[ROWS * COLS], importance[COLS];
static uint8_t want[ROWS * COLS * 4], got[ROWS * COLS * 4];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void encode_all(FbBlockEncode encode, const FbBlockType *type, const float *weights, uint8_t *to)
{
    const size_t blocks = (size_t)(COLS / type->elements);
    for (size_t r = 0; r < ROWS; r++) {
        encode(rows + r * COLS, weights, to + r * blocks * (size_t)type->bytes, blocks);
    }
}

static bool time_one(const FbBlockType *type, FbBlockEncode encode, const char *row, const float *weights, double seconds)
{
    const size_t bytes = (size_t)(COLS / type->elements * type->bytes) * ROWS;
    double best = INFINITY, begin = now();
    encode_all(type->encode, type, weights, want);
    memset(got, 0, bytes);
    do {
        const double t = now();
        encode_all(encode, type, weights, got);
        const double took = now() - t;
        best = took < best ? took : best;
    } while (now() - begin < seconds);
    const bool right = memcmp(want, got, bytes) == 0;
    printf("| %s | %s | %s | %.1f | %.0f | %s |\n", type->code.name, weights != NULL ? "yes" : "no", row, ROWS * COLS / best * 1e-6,
           ROWS * COLS * sizeof(float) / best * 1e-6, right ? "yes" : "NO");
    return right;
}

int main(int argc, char **argv)
{
    const double seconds = argc > 1 ? atof(argv[1]) : 0.1;
    const unsigned cpu = fb_cpu_detect();
    bool all = true;
    for (size_t i = 0; i < ROWS * COLS; i++) {
        rows[i] = fb_random_normal(11, 1, i) * 0.02f;
        importance[i % COLS] = (float)fb_random_unit(11, 2, i % COLS) + 1e-3f;
    }
    printf("| type | importance | row | million elements/s | MB/s of floats | equal |\n|---|---|---|---|---|---|\n");
    for (size_t t = 0; t < fb_block_type_count; t++) {
        const FbBlockType *type = &fb_block_types[t];
        for (size_t k = 0; type->encode != NULL && k < fb_block_encode_kernel_count; k++) {
            const FbBlockEncodeKernel *kernel = fb_block_encode_kernels[k];
            FbBlockEncode run = k + 1 == fb_block_encode_kernel_count ? type->encode : kernel->run[type->number];
            if (run != NULL && (kernel->needs & ~cpu) == 0) {
                all = time_one(type, run, kernel->name, NULL, seconds) && all;
                all = time_one(type, run, kernel->name, importance, seconds) && all;
            }
        }
    }
    return all ? 0 : 1;
}
