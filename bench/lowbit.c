/* Times products with weights in block types, of one row (bytes of weights per second) and of many (multiply-accumulates per second):
 * bench_lowbit [TYPE] [THREADS] [ROWS] [SECONDS]. The layers are those of a 7B model; their weights together do not fit a cache. Best of many runs
 * of each layer. First the machine: reading memory. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/random.h"
#include "ops/blocks_product.h"

enum { LAYERS = 7, READ_BYTES = 256 << 20 };
static const struct { size_t rows, depth; } shapes[LAYERS] = {{4096, 4096},  {4096, 4096},  {4096, 4096}, {4096, 4096},
                                                              {11008, 4096}, {11008, 4096}, {4096, 11008}};

static double seconds_per_case = 1.0;

/* Processor time of one thread, so that a busy machine disturbs less; elapsed time of several. */
static double now(const FbContext *context)
{
    struct timespec t;
    clock_gettime(fb_context_threads(context) == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct ReadJob { const uint64_t *words; uint64_t sums[64]; } ReadJob;

static void read_words(void *arg, size_t slot, size_t begin, size_t end)
{
    ReadJob *job = arg;
    uint64_t a = 0, b = 0, c = 0, d = 0;
    for (size_t i = begin; i < end; i += 4) {
        a ^= job->words[i];
        b ^= job->words[i + 1];
        c ^= job->words[i + 2];
        d ^= job->words[i + 3];
    }
    job->sums[slot % 64] ^= a ^ b ^ c ^ d;
}

static void bench_read(FbContext *context)
{
    static ReadJob job;
    uint64_t *words = malloc(READ_BYTES);
    if (words == NULL) {
        return;
    }
    memset(words, 1, READ_BYTES);
    job.words = words;
    double best = 1e9;
    for (int i = 0; i < 10; i++) {
        const double start = now(context);
        fb_parallel(context, read_words, &job, READ_BYTES / 8, 1 << 17);
        const double seconds = now(context) - start;
        best = seconds < best ? seconds : best;
    }
    printf("memory read, %d threads: %.1f GB/s (%llu)\n", fb_context_threads(context), READ_BYTES / best / 1e9, (unsigned long long)(job.sums[0] & 1));
    free(words);
}

typedef struct Layers {
    FbPackedBlocks w[LAYERS];
    float *x, *y;
    void *scratch;
} Layers;

static void *take(size_t bytes)
{
    void *block = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (block == NULL) {
        fprintf(stderr, "out of memory\n");
        exit(70);
    }
    memset(block, 0, bytes);
    return block;
}

static void run_layer(FbContext *context, const Layers *layers, size_t i, size_t rows)
{
    const FbBlocksProduct product = {.w = &layers->w[i], .rows = rows, .a = layers->x, .c = layers->y, .c_stride = layers->w[i].rows,
                                     .codes = fb_blocks_product_has_codes(&layers->w[i]), .scratch = layers->scratch};
    fb_blocks_product(context, &product);
}

static void bench_type(FbContext *context, const FbBlockType *type, size_t rows)
{
    Layers layers;
    size_t bytes = 0, scratch = 0;
    double macs = 0;
    for (size_t i = 0; i < LAYERS; i++) {
        FbPackedBlocks *w = &layers.w[i];
        *w = (FbPackedBlocks){.type = type, .matrices = 1, .rows = shapes[i].rows, .depth = shapes[i].depth,
                              .row_blocks = shapes[i].depth / (size_t)type->elements, .panels = shapes[i].rows / FB_PANEL_ROWS};
        w->panel_bytes = w->row_blocks * (size_t)type->bytes * FB_PANEL_ROWS;
        w->data = take(w->panels * w->panel_bytes);
        for (size_t k = 0; k < w->panels * w->panel_bytes; k++) {
            w->data[k] = (uint8_t)(k * 2654435761u >> 13 & 0x3f);
        }
        bytes += w->panels * w->panel_bytes;
        macs += (double)shapes[i].rows * (double)shapes[i].depth * (double)rows;
        const size_t needs = fb_blocks_product_scratch(context, w, rows, fb_blocks_product_has_codes(w));
        scratch = needs > scratch ? needs : scratch;
    }
    layers.x = take(rows * 11008 * sizeof(float));
    layers.y = take(rows * 11008 * sizeof(float));
    layers.scratch = take(scratch);
    for (size_t i = 0; i < rows * 11008; i++) {
        layers.x[i] = fb_random_normal(1, 1, i);
    }
    double shortest[LAYERS], best = 0;
    for (size_t i = 0; i < LAYERS; i++) {
        shortest[i] = 1e9;
    }
    for (const double end = fb_clock_seconds() + seconds_per_case; fb_clock_seconds() < end;) {
        for (size_t i = 0; i < LAYERS; i++) { /* one after the other, so that each finds its weights in memory, not in a cache */
            const double start = now(context);
            run_layer(context, &layers, i, rows);
            const double seconds = now(context) - start;
            shortest[i] = seconds < shortest[i] ? seconds : shortest[i];
        }
    }
    for (size_t i = 0; i < LAYERS; i++) {
        best += shortest[i];
    }
    printf("%-8s %4zu rows, %d threads: %8.2f ms  %7.2f GB/s  %8.2f GMAC/s\n", type->code.name, rows, fb_context_threads(context), best * 1e3,
           (double)bytes / best / 1e9, macs / best / 1e9);
    fflush(stdout);
    for (size_t i = 0; i < LAYERS; i++) {
        free(layers.w[i].data);
    }
    free(layers.x);
    free(layers.y);
    free(layers.scratch);
}

int main(int argc, char **argv)
{
    const char *only = argc > 1 ? argv[1] : "all";
    const int threads = argc > 2 ? atoi(argv[2]) : 1;
    const size_t rows = argc > 3 ? (size_t)atoi(argv[3]) : 0;
    seconds_per_case = argc > 4 ? atof(argv[4]) : seconds_per_case;
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = threads};
    FbContext *context = NULL;
    FbError err;
    if (fb_context_create(&options, &context, &err) != FB_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 70;
    }
    bench_read(context);
    for (size_t i = 0; i < fb_block_type_count; i++) {
        const FbBlockType *type = &fb_block_types[i];
        if (type->decode == NULL || (strcmp(only, "all") != 0 && strcmp(only, type->code.name) != 0)) {
            continue;
        }
        bench_type(context, type, rows > 0 ? rows : 1);
        if (rows == 0) {
            bench_type(context, type, 128);
        }
    }
    fb_context_free(context);
    return 0;
}
