/* Dynamic quantization in front of an integer product. */
#include "ops/dynamic_codes.h"

#include "kernels/codes.h"
#include "ops/dynamic_range.h"

enum { GRAIN = 16384 };

typedef struct CodesWork {
    const FbCodesKernel *kernel;
    const float *x;
    uint8_t *codes;
    FbCodeGrid grid;
} CodesWork;

size_t fb_dynamic_codes_bytes(size_t elements, size_t columns)
{
    return fb_up_to_line(elements + FB_U8S8_STEP) + fb_up_to_line(columns * sizeof(int32_t)) + fb_up_to_line(columns * sizeof(float));
}

static void quantize_task(void *arg, size_t slot, size_t begin, size_t end)
{
    const CodesWork *work = arg;
    (void)slot;
    work->kernel->quantize(work->x + begin, work->codes + begin, end - begin, &work->grid);
}

void fb_dynamic_codes_run(FbContext *context, const FbIntegerStore *store, const float *x, size_t elements, void *scratch, FbDynamicCodes *codes)
{
    char *at = scratch;
    uint8_t zero;
    CodesWork work = {fb_codes_pick(fb_context_cpu(context)), x, (uint8_t *)at, {.high = 255}};
    fb_dynamic_range(context, x, elements, &work.grid.scale, &zero);
    work.grid.zero = zero;
    fb_parallel(context, quantize_task, &work, elements, GRAIN);
    int32_t *offset = (int32_t *)(void *)(at + fb_up_to_line(elements + FB_U8S8_STEP));
    float *scales = (float *)(void *)((char *)offset + fb_up_to_line(store->columns * sizeof *offset));
    fb_integer_store_dynamic(store, work.grid.scale, zero, offset, scales);
    *codes = (FbDynamicCodes){work.codes, zero, offset, scales};
}
