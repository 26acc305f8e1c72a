/* Between logical order (N, C, spatial) and channels last (N, spatial, C): a transposition of a C x S matrix per image. Between reals and
 * codes. */
#include "kernels/round_grid.h"
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

typedef struct Codes {
    const FbTensor *from;
    FbTensor *to;
    const FbCodeGrid *grid;
    const FbGridF32Kernel *kernel;
    size_t count;
} Codes;

static void quantize_run(const Codes *codes, size_t first, size_t count)
{
    const FbCodeGrid *grid = codes->grid;
    uint8_t *to = (uint8_t *)codes->to->data + first;
    codes->kernel->quantize_u8((const float *)codes->from->data + first, to, count, grid->scale, grid->zero);
    for (size_t i = 0; (grid->low > 0 || grid->high < 255) && i < count; i++) {
        to[i] = (uint8_t)(to[i] < grid->low ? grid->low : to[i] > grid->high ? grid->high : to[i]);
    }
}

static void codes_units(void *arg, size_t slot, size_t begin, size_t end)
{
    const Codes *codes = arg;
    (void)slot;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t first = unit * FB_CONVERT_UNIT, left = codes->count - first;
        const size_t count = left < FB_CONVERT_UNIT ? left : FB_CONVERT_UNIT;
        if (codes->to->dtype == FB_DTYPE_U8) {
            quantize_run(codes, first, count);
        } else {
            codes->kernel->dequantize_u8((const uint8_t *)codes->from->data + first, (float *)codes->to->data + first, count,
                                         codes->grid->scale, codes->grid->zero);
        }
    }
}

void fb_convert_codes(FbContext *context, const FbTensor *from, FbTensor *to, const FbCodeGrid *grid)
{
    Codes codes = {from, to, grid, fb_grid_f32_pick(fb_context_cpu(context)), (size_t)fb_tensor_elements(to)};
    fb_parallel(context, codes_units, &codes, (codes.count + FB_CONVERT_UNIT - 1) / FB_CONVERT_UNIT, 8);
}

typedef struct Table {
    const FbTensor *from;
    FbTensor *to;
    const void *table;
    size_t count;
} Table;

static void table_units(void *arg, size_t slot, size_t begin, size_t end)
{
    const Table *t = arg;
    (void)slot;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t first = unit * FB_CONVERT_UNIT, left = t->count - first, count = left < FB_CONVERT_UNIT ? left : FB_CONVERT_UNIT;
        const uint8_t *x = (const uint8_t *)t->from->data + first;
        for (size_t i = 0; t->to->dtype == FB_DTYPE_U8 && i < count; i++) {
            ((uint8_t *)t->to->data)[first + i] = ((const uint8_t *)t->table)[x[i]];
        }
        for (size_t i = 0; t->to->dtype != FB_DTYPE_U8 && i < count; i++) {
            ((float *)t->to->data)[first + i] = ((const float *)t->table)[x[i]];
        }
    }
}

void fb_convert_table(FbContext *context, const FbTensor *from, FbTensor *to, const void *table)
{
    Table t = {from, to, table, (size_t)fb_tensor_elements(to)};
    fb_parallel(context, table_units, &t, (t.count + FB_CONVERT_UNIT - 1) / FB_CONVERT_UNIT, 8);
}
