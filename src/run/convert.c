/* Between logical order (N, C, spatial) and channels last (N, spatial, C): a transposition of a C x S matrix per image. Between reals and
 * codes. */
#include "kernels/codes.h"
#include "run/instance.h"

enum {
    FB_CONVERT_TILE = 16,    /* elements of more than a byte: rows and columns at a time */
    FB_CONVERT_ROWS = 64,    /* of a unit: bytes that fill a line of the cache */
    FB_CONVERT_COLS = 1024,
    FB_CONVERT_UNIT = 4096
};

typedef struct Job {
    const uint8_t *from;
    uint8_t *to;
    size_t rows, cols, element; /* from is [images][rows][cols], to is [images][cols][rows] */
    size_t row_units, col_units;
    const FbCodesKernel *kernel;
} Job;

/* Rows [r, r_end), columns [c, c_end) of an image. */
typedef struct Part {
    const uint8_t *from; /* of the image */
    uint8_t *to;
    size_t r, r_end, c, c_end;
} Part;

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

#define TURN(name, type)                                                                                 \
    static void name(const Job *job, const Part *p)                                                      \
    {                                                                                                    \
        const type *from = (const void *)p->from;                                                        \
        type *to = (void *)p->to;                                                                        \
        for (size_t r = p->r; r < p->r_end; r += FB_CONVERT_TILE) {                                      \
            const size_t r_end = least(r + FB_CONVERT_TILE, p->r_end);                                   \
            for (size_t j = p->c; j < p->c_end; j++) {                                                   \
                for (size_t i = r; i < r_end; i++) {                                                     \
                    to[j * job->rows + i] = from[i * job->cols + j];                                     \
                }                                                                                        \
            }                                                                                            \
        }                                                                                                \
    }
TURN(turn_2, uint16_t)
TURN(turn_4, uint32_t)
TURN(turn_8, uint64_t)
#undef TURN

static void turn_units(void *arg, size_t slot, size_t begin, size_t end)
{
    const Job *job = arg;
    (void)slot;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t image = unit / (job->row_units * job->col_units), place = unit % (job->row_units * job->col_units);
        const size_t bytes = job->rows * job->cols * job->element;
        Part p = {job->from + image * bytes, job->to + image * bytes, place / job->col_units * FB_CONVERT_ROWS, 0,
                  place % job->col_units * FB_CONVERT_COLS, 0};
        p.r_end = least(p.r + FB_CONVERT_ROWS, job->rows);
        p.c_end = least(p.c + FB_CONVERT_COLS, job->cols);
        switch (job->element) {
        case 1:
            job->kernel->transpose(p.from + p.r * job->cols + p.c, job->cols, p.r_end - p.r, p.c_end - p.c, p.to + p.c * job->rows + p.r, job->rows);
            break;
        case 2: turn_2(job, &p); break;
        case 4: turn_4(job, &p); break;
        default: turn_8(job, &p); break;
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
               .element = (size_t)fb_dtype_bits(to->dtype) / 8, .kernel = fb_codes_pick(fb_context_cpu(context))};
    job.row_units = (job.rows + FB_CONVERT_ROWS - 1) / FB_CONVERT_ROWS;
    job.col_units = (job.cols + FB_CONVERT_COLS - 1) / FB_CONVERT_COLS;
    const size_t bytes = least(job.rows, FB_CONVERT_ROWS) * least(job.cols, FB_CONVERT_COLS) * job.element;
    fb_parallel(context, turn_units, &job, images * job.row_units * job.col_units, 65536 / (bytes + 1) + 1);
}

/* Elements through one of the row kernels of codes: all of them as one row, or the rows of windows. */
typedef struct Codes {
    const FbCall *call;
    const FbCodeGrid *grid; /* NULL: a table */
    const void *table;
    const FbCodesKernel *kernel;
    size_t count, pieces;   /* elements of a row; units of it */
    size_t from_stride, to_stride;
} Codes;

static void codes_units(void *arg, size_t slot, size_t begin, size_t end)
{
    const Codes *c = arg;
    const void *from = c->call->inputs[0]->data;
    void *to = c->call->outputs[0]->data;
    const bool to_codes = c->call->outputs[0]->dtype == FB_DTYPE_U8;
    (void)slot;
    if (c->grid == NULL && to_codes && c->pieces == 1) {
        c->kernel->map_rows((const uint8_t *)from + begin * c->from_stride, c->from_stride, (uint8_t *)to + begin * c->to_stride, c->to_stride,
                            end - begin, c->count, c->table);
        return;
    }
    for (size_t unit = begin; unit < end; unit++) {
        const size_t row = unit / c->pieces, first = unit % c->pieces * FB_CONVERT_UNIT, left = c->count - first;
        const size_t count = left < FB_CONVERT_UNIT ? left : FB_CONVERT_UNIT, x = row * c->from_stride + first, y = row * c->to_stride + first;
        const uint8_t *codes = (const uint8_t *)from + x; /* unless the input is reals */
        if (c->grid == NULL && to_codes) {
            c->kernel->map_u8(codes, (uint8_t *)to + y, count, c->table);
        } else if (c->grid == NULL) {
            c->kernel->map_f32(codes, (float *)to + y, count, c->table);
        } else if (to_codes) {
            c->kernel->quantize((const float *)from + x, (uint8_t *)to + y, count, c->grid);
        } else {
            c->kernel->dequantize(codes, (float *)to + y, count, c->grid);
        }
    }
}

static void run_codes(Codes *codes)
{
    const FbCall *call = codes->call;
    const FbTensor *to = call->outputs[0];
    const bool windows = call->output_stride != 0 || call->input_strides != NULL;
    const size_t elements = (size_t)fb_tensor_elements(to);
    codes->kernel = fb_codes_pick(fb_context_cpu(call->context));
    codes->count = windows ? (size_t)to->dims[to->rank - 1] : elements;
    codes->from_stride = fb_call_stride(call, 0, codes->count);
    codes->to_stride = fb_call_stride(call, -1, codes->count);
    codes->pieces = (codes->count + FB_CONVERT_UNIT - 1) / FB_CONVERT_UNIT;
    if (elements > 0) {
        const size_t unit = codes->count < FB_CONVERT_UNIT ? codes->count : FB_CONVERT_UNIT;
        fb_parallel(call->context, codes_units, codes, elements / codes->count * codes->pieces, 8 * FB_CONVERT_UNIT / unit);
    }
}

void fb_convert_codes(const FbCall *call, const FbCodeGrid *grid)
{
    run_codes(&(Codes){.call = call, .grid = grid});
}

void fb_convert_table(const FbCall *call, const void *table)
{
    run_codes(&(Codes){.call = call, .table = table});
}
