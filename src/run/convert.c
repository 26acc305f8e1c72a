/* Between logical order (N, C, spatial) and channels last (N, spatial, C): a transposition of a C x S matrix per image. Between reals and
 * codes. */
#include "kernels/codes.h"
#include "run/instance.h"

enum { FB_CONVERT_TILE = 16, FB_CONVERT_UNIT = 4096 };

typedef struct Job {
    const uint8_t *from;
    uint8_t *to;
    size_t rows, cols, element, row_tiles; /* from is [images][rows][cols], to is [images][cols][rows] */
} Job;

#define TILE(type)                                                                         \
    for (size_t c = 0; c < job->cols; c += FB_CONVERT_TILE) {                              \
        size_t c_end = c + FB_CONVERT_TILE < job->cols ? c + FB_CONVERT_TILE : job->cols; \
        for (size_t j = c; j < c_end; j++) {                                               \
            for (size_t i = r; i < r_end; i++) {                                           \
                ((type *)to)[j * job->rows + i] = ((const type *)from)[i * job->cols + j]; \
            }                                                                              \
        }                                                                                  \
    }

static void convert_rows(void *arg, size_t slot, size_t begin, size_t end)
{
    const Job *job = arg;
    (void)slot;
    for (size_t t = begin; t < end; t++) {
        size_t image = t / job->row_tiles, r = t % job->row_tiles * FB_CONVERT_TILE;
        size_t r_end = r + FB_CONVERT_TILE < job->rows ? r + FB_CONVERT_TILE : job->rows;
        const uint8_t *from = job->from + image * job->rows * job->cols * job->element;
        uint8_t *to = job->to + image * job->rows * job->cols * job->element;
        switch (job->element) {
        case 1: TILE(uint8_t) break;
        case 2: TILE(uint16_t) break;
        case 4: TILE(uint32_t) break;
        default: TILE(uint64_t) break;
        }
    }
}

bool fb_convert_is_view(const FbShape *logical)
{
    int64_t spatial = 1;
    for (int i = 2; i < logical->rank; i++) {
        spatial *= logical->dims[i];
    }
    return logical->rank < 3 || logical->dims[1] <= 1 || spatial <= 1;
}

void fb_convert_form(FbContext *context, const FbTensor *from, FbTensor *to, bool to_channels_last)
{
    size_t channels = (size_t)(to_channels_last ? to->dims[to->rank - 1] : to->dims[1]), spatial = 1;
    for (int i = 1; i + 1 < to->rank; i++) {
        spatial *= (size_t)to->dims[to_channels_last ? i : i + 1];
    }
    size_t images = (size_t)to->dims[0];
    Job job = {.from = from->data, .to = to->data, .rows = to_channels_last ? channels : spatial, .cols = to_channels_last ? spatial : channels,
               .element = (size_t)fb_dtype_bits(to->dtype) / 8};
    job.row_tiles = (job.rows + FB_CONVERT_TILE - 1) / FB_CONVERT_TILE;
    size_t grain = 65536 / (job.cols * FB_CONVERT_TILE * job.element + 1) + 1;
    fb_parallel(context, convert_rows, &job, images * job.row_tiles, grain);
}

/* Elements [0, count) through one of the row kernels of codes. */
typedef struct Codes {
    const FbTensor *from;
    FbTensor *to;
    const FbCodeGrid *grid; /* NULL: a table */
    const void *table;
    const FbCodesKernel *kernel;
    size_t count;
} Codes;

static void codes_units(void *arg, size_t slot, size_t begin, size_t end)
{
    const Codes *c = arg;
    const bool to_codes = c->to->dtype == FB_DTYPE_U8;
    (void)slot;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t first = unit * FB_CONVERT_UNIT, left = c->count - first, count = left < FB_CONVERT_UNIT ? left : FB_CONVERT_UNIT;
        const uint8_t *codes = (const uint8_t *)c->from->data + first; /* unless the input is reals */
        if (c->grid == NULL && to_codes) {
            c->kernel->map_u8(codes, (uint8_t *)c->to->data + first, count, c->table);
        } else if (c->grid == NULL) {
            c->kernel->map_f32(codes, (float *)c->to->data + first, count, c->table);
        } else if (to_codes) {
            c->kernel->quantize((const float *)c->from->data + first, (uint8_t *)c->to->data + first, count, c->grid);
        } else {
            c->kernel->dequantize(codes, (float *)c->to->data + first, count, c->grid);
        }
    }
}

static void run_codes(FbContext *context, Codes *codes)
{
    codes->kernel = fb_codes_pick(fb_context_cpu(context));
    codes->count = (size_t)fb_tensor_elements(codes->to);
    fb_parallel(context, codes_units, codes, (codes->count + FB_CONVERT_UNIT - 1) / FB_CONVERT_UNIT, 8);
}

void fb_convert_codes(FbContext *context, const FbTensor *from, FbTensor *to, const FbCodeGrid *grid)
{
    run_codes(context, &(Codes){.from = from, .to = to, .grid = grid});
}

void fb_convert_table(FbContext *context, const FbTensor *from, FbTensor *to, const void *table)
{
    run_codes(context, &(Codes){.from = from, .to = to, .table = table});
}
