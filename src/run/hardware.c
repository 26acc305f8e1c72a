/* What the machine can do: features and kernel rows by name, and peaks measured with the product rows themselves. */
#include "fewbit/hardware.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/kernel_list.h"
#include "kernels/product_f32.h"
#include "kernels/product_u8s8.h"

enum {
    WINDOWS = 60,                       /* shorter than a time slice of the system */
    PANEL_BYTES = 12 * 1024,            /* of packed weights: they and A stay in a first cache of 32 KiB */
    READ_BYTES = 96 * 1024 * 1024,
    READ_PIECE = 1024 * 1024,
    READ_PASSES = 10
};
static const double window_seconds = 0.0015;

int fb_hardware_feature(const FbContext *context, size_t index, FbFeature *feature)
{
    const char *const *names = fb_cpu_names();
    for (size_t i = 0; i <= index; i++) {
        if (names[i] == NULL) {
            return 0;
        }
    }
    unsigned own = fb_cpu_own(index), present = fb_cpu_detect();
    *feature = (FbFeature){names[index], (own & ~present) == 0, (own & ~fb_context_cpu(context)) == 0};
    return 1;
}

int fb_hardware_kernel(const FbContext *context, size_t index, FbKernelInfo *info)
{
    if (index >= fb_kernel_primitive_count) {
        return 0;
    }
    const FbKernelPrimitive *primitive = &fb_kernel_primitives[index];
    *info = (FbKernelInfo){.primitive = primitive->name, .summary = primitive->summary,
                           .row = fb_kernel_primitive_row(primitive, fb_context_cpu(context))};
    for (size_t i = 0; i < *primitive->row_count && i < FB_KERNEL_ROWS_MAX; i++) {
        info->rows[i] = primitive->row_name(i);
    }
    return 1;
}

/* The tile of one product, repeated by every thread. */
typedef struct Work {
    void (*repeat)(const struct Work *work, void *c, size_t times);
    const void *kernel, *w;
    const void *const *a;   /* a pointer per row */
    size_t depth, times;
    uint8_t *c;             /* one tile per thread, c_bytes apart */
    size_t c_bytes;
    double (*seconds)[WINDOWS]; /* per thread */
} Work;

static void repeat_f32(const Work *work, void *c, size_t times)
{
    const FbProductF32Kernel *kernel = work->kernel;
    const FbProductF32 product = {.rows = kernel->row_tile, .cols = kernel->col_tile, .depth = work->depth, .taps = 1,
                                  .a = (const float *const *)work->a, .a_row_stride = kernel->row_tile, .w = work->w, .c = c,
                                  .c_stride = kernel->col_tile};
    for (size_t i = 0; i < times; i++) {
        kernel->run(&product);
    }
}

static void repeat_u8s8(const Work *work, void *c, size_t times)
{
    const FbProductU8S8Kernel *kernel = work->kernel;
    const FbProductU8S8 product = {.rows = kernel->row_tile, .cols = kernel->col_tile, .w = work->w, .a = (const uint8_t *const *)work->a,
                                   .a_row_stride = kernel->row_tile, .c = c, .c_stride = kernel->col_tile};
    for (size_t i = 0; i < times; i++) {
        kernel->run(&product);
    }
}

static int by_size(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

/* One thread's windows, while the others run theirs. */
static void work_piece(void *arg, size_t slot, size_t begin, size_t end)
{
    const Work *work = arg;
    (void)slot;
    for (size_t i = begin; i < end; i++) {
        for (int window = 0; window < WINDOWS; window++) {
            double start = fb_clock_seconds();
            work->repeat(work, work->c + i * work->c_bytes, work->times);
            work->seconds[i][window] = fb_clock_seconds() - start;
        }
        qsort(work->seconds[i], WINDOWS, sizeof(double), by_size);
    }
}

/* Multiply-accumulates per second: the sum over the threads. Each one's windows are its own, and the tenth best of a hundred counts, so
 * that neither a preempted window nor one that ran alone at the end decides. */
static FbStatus best_rate(FbContext *context, Work *work, size_t macs, double *rate, FbError *err)
{
    double spent = 0;
    for (work->times = 1; spent < window_seconds; work->times *= 2) {
        double begin = fb_clock_seconds();
        work->repeat(work, work->c, work->times);
        spent = fb_clock_seconds() - begin;
    }
    work->times /= 2;
    const size_t threads = (size_t)fb_context_threads(context);
    work->seconds = fb_alloc_zero(context, threads * sizeof *work->seconds);
    if (work->seconds == NULL) {
        return fb_error_memory(context, err, "a measurement", threads * sizeof *work->seconds);
    }
    fb_parallel(context, work_piece, work, threads, 1);
    *rate = 0;
    for (size_t i = 0; i < threads; i++) {
        *rate += (double)macs * (double)work->times / work->seconds[i][WINDOWS / 10];
    }
    fb_free(context, work->seconds);
    return fb_check_cancel(context, err);
}

static FbStatus measure_f32(FbContext *context, FbArena *arena, FbHardwarePeaks *peaks, FbError *err)
{
    const FbProductF32Kernel *kernel = fb_product_f32_pick(fb_context_cpu(context));
    const size_t rows = kernel->row_tile, cols = kernel->col_tile, depth = PANEL_BYTES / (cols * sizeof(float));
    const size_t tile_bytes = (rows * cols * sizeof(float) + 4095) / 4096 * 4096, threads = (size_t)fb_context_threads(context);
    float *a = fb_arena_array(arena, depth * rows, sizeof *a), *w = fb_arena_array(arena, depth * cols, sizeof *w);
    const void **pointers = fb_arena_array(arena, rows, sizeof *pointers);
    uint8_t *c = fb_arena_array(arena, tile_bytes * threads + 4096, sizeof *c);
    if (a == NULL || w == NULL || pointers == NULL || c == NULL) {
        return fb_error_memory(context, err, "a measurement", tile_bytes * threads);
    }
    for (size_t r = 0; r < rows; r++) {
        pointers[r] = a + r * depth;
    }
    Work work = {.repeat = repeat_f32, .kernel = kernel, .w = w, .a = pointers, .depth = depth, .c = c, .c_bytes = tile_bytes};
    peaks->f32_row = kernel->name;
    return best_rate(context, &work, rows * cols * depth, &peaks->f32_macs, err);
}

/* Weights of small size: no packing needs to widen or correct them. */
static FbStatus pack_u8s8(FbContext *context, FbArena *arena, const FbProductU8S8Kernel *kernel, size_t depth, FbPackedU8S8 *packed, FbError *err)
{
    int8_t *w = fb_arena_array(arena, depth * kernel->col_tile, sizeof *w);
    if (w == NULL) {
        return fb_error_memory(context, err, "a measurement", depth * kernel->col_tile);
    }
    for (size_t i = 0; i < depth * kernel->col_tile; i++) {
        w[i] = (int8_t)((int)(i * 37 % 15) - 7);
    }
    return kernel->pack(context, arena, w, kernel->col_tile, 1, 1, depth, kernel->col_tile, packed, err);
}

static FbStatus measure_u8s8(FbContext *context, FbArena *arena, FbHardwarePeaks *peaks, FbError *err)
{
    const FbProductU8S8Kernel *kernel = fb_product_u8s8_pick(fb_context_cpu(context));
    const size_t rows = kernel->row_tile, cols = kernel->col_tile, depth = PANEL_BYTES / cols / FB_U8S8_STEP * FB_U8S8_STEP;
    const size_t tile_bytes = (rows * cols * sizeof(int32_t) + 4095) / 4096 * 4096, threads = (size_t)fb_context_threads(context);
    FbPackedU8S8 packed;
    FB_TRY(pack_u8s8(context, arena, kernel, depth, &packed, err));
    uint8_t *a = fb_arena_array(arena, depth * rows, sizeof *a), *c = fb_arena_array(arena, tile_bytes * threads + 4096, sizeof *c);
    const void **pointers = fb_arena_array(arena, rows, sizeof *pointers);
    if (a == NULL || pointers == NULL || c == NULL) {
        return fb_error_memory(context, err, "a measurement", tile_bytes * threads);
    }
    memset(a, 3, depth * rows);
    for (size_t r = 0; r < rows; r++) {
        pointers[r] = a + r * depth;
    }
    Work work = {.repeat = repeat_u8s8, .kernel = kernel, .w = &packed, .a = pointers, .depth = depth, .c = c, .c_bytes = tile_bytes};
    peaks->u8s8_row = kernel->name;
    return best_rate(context, &work, rows * cols * depth, &peaks->u8s8_macs, err);
}

static void read_piece(void *arg, size_t slot, size_t begin, size_t end)
{
    const uint8_t *block = arg;
    (void)slot;
    for (size_t i = begin; i < end; i++) {
        /* A byte that is not there: the C library reads everything, as fast as it can on this processor, whatever our cap. */
        const void *volatile found = memchr(block + i * READ_PIECE, 0, READ_PIECE);
        (void)found;
    }
}

static FbStatus measure_memory(FbContext *context, FbHardwarePeaks *peaks, FbError *err)
{
    uint8_t *block = fb_alloc(context, READ_BYTES);
    if (block == NULL) {
        return fb_error_memory(context, err, "a block to read", READ_BYTES);
    }
    memset(block, 1, READ_BYTES);
    FbStatus status = FB_OK;
    for (int pass = 0; pass < READ_PASSES && status == FB_OK; pass++) {
        double begin = fb_clock_seconds();
        fb_parallel(context, read_piece, block, READ_BYTES / READ_PIECE, 1);
        double rate = READ_BYTES / (fb_clock_seconds() - begin);
        peaks->read_bytes = rate > peaks->read_bytes ? rate : peaks->read_bytes;
        status = fb_check_cancel(context, err);
    }
    fb_free(context, block);
    return status;
}

FbStatus fb_hardware_measure(FbContext *context, unsigned what, FbHardwarePeaks *peaks, FbError *err)
{
    *peaks = (FbHardwarePeaks){.threads = fb_context_threads(context)};
    if (what & FB_MEASURE_PRODUCTS) {
        FbArena *arena = fb_arena_create(context);
        FbStatus status = arena == NULL ? fb_error_memory(context, err, "a measurement", 0) : measure_f32(context, arena, peaks, err);
        status = status == FB_OK ? measure_u8s8(context, arena, peaks, err) : status;
        fb_arena_free(arena);
        FB_TRY(status);
    }
    return what & FB_MEASURE_MEMORY ? measure_memory(context, peaks, err) : FB_OK;
}
