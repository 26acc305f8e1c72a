/* The bytes of a GGUF file's tensors: strips of rows are read, encoded and handed to the writer, a batch of strips at a time. While one batch is
 * encoded the one before is written. Strips are cut by shape only, so the bytes do not depend on the number of threads. */
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "io/gguf/gguf_write.h"
#include "kernels/block_encode.h"
#include "quantize/gguf_plan.h"

enum { STRIP_ELEMENTS = 1 << 16, BATCH_STRIPS = 32 };

typedef struct FbStripBatch {
    uint8_t *bytes;
    size_t count, capacity;
} FbStripBatch;

typedef struct FbStripFailure { /* of one worker: the earliest strip that failed */
    FbStatus status;
    size_t strip;
    FbError error;
} FbStripFailure;

typedef struct FbStripJob {
    const FbGgufPlan *plan;
    FbGgufWriter *writer;
    const FbGgufChoice *choice; /* whose strips are encoded */
    int64_t first_row, strip_rows, row_count;
    uint64_t row_bytes;         /* as written */
    FbStripBatch batches[2];
    int current;                /* of the batches: being encoded; the other is being written */
    size_t threads;
    float **rows;               /* a strip per worker */
    size_t rows_capacity;       /* elements */
    FbStripFailure *failures;
    uint64_t *zeroed;           /* per worker */
    FbStatus written;
    FbError write_error;
} FbStripJob;

/* Elements of a plain type; what does not fit is an error, not an infinity. */
static FbStatus encode_plain(uint32_t type, const float *from, uint64_t first, uint8_t *to, size_t count, FbError *err)
{
    FbDtype dtype = fb_gguf_plain_dtype(type);
    for (size_t i = 0; i < count; i++) {
        float bound = dtype == FB_DTYPE_F16 ? 65520.0f : 0x1.ffp+127f; /* what rounds to infinity */
        if (!(fabsf(from[i]) < bound) && (dtype != FB_DTYPE_F32 || !isfinite(from[i]))) {
            return fb_error_set(err, FB_ERR_NUMERIC, "element %llu is %g, which %s", (unsigned long long)(first + i), (double)from[i],
                                isfinite(from[i]) ? "is too large for the type" : "is not finite");
        }
    }
    fb_encode_f32(dtype, from, to, 0, count);
    return FB_OK;
}

static FbStatus encode_rows(const FbStripJob *job, int64_t first, int64_t rows, const float *from, uint8_t *to, uint64_t *zeroed, FbError *err)
{
    const FbGgufChoice *choice = job->choice;
    int64_t columns = fb_gguf_columns(&choice->tensor);
    uint64_t element = (uint64_t)(first * columns);
    if (!fb_ggml_type_quantized(choice->type)) {
        return encode_plain(choice->type, from, element, to, (size_t)(rows * columns), err);
    }
    const FbBlockType *type = fb_block_type_of_number(choice->type);
    FbBlockRows block_rows = {.type = type, .encode = fb_block_encode_pick(fb_context_cpu(job->plan->context), type), .blocks = (size_t)(columns / type->elements)};
    size_t row_bytes = block_rows.blocks * (size_t)type->bytes;
    int64_t matrix_rows = choice->tensor.shape.rank > 1 ? choice->tensor.shape.dims[choice->tensor.shape.rank - 2] : 1;
    for (int64_t done = 0; done < rows;) { /* every matrix of a stack has an importance of its own */
        int64_t matrix = (first + done) / matrix_rows;
        int64_t part = (matrix + 1) * matrix_rows - (first + done);
        part = part < rows - done ? part : rows - done;
        block_rows.importance = choice->importance != NULL ? choice->importance + matrix * columns : NULL;
        FB_TRY(fb_block_encode_rows(&block_rows, from + done * columns, element + (uint64_t)(done * columns), to + (size_t)done * row_bytes, (size_t)part,
                                    zeroed, err));
        done += part;
    }
    return FB_OK;
}

static FbStatus make_strip(FbStripJob *job, size_t slot, size_t strip, FbError *err)
{
    const FbGgufChoice *choice = job->choice;
    const FbGgufTensor *tensor = &choice->tensor;
    int64_t begin = (int64_t)strip * job->strip_rows;
    int64_t rows = job->row_count - begin < job->strip_rows ? job->row_count - begin : job->strip_rows;
    int64_t first = job->first_row + begin;
    uint8_t *to = job->batches[job->current].bytes + (uint64_t)begin * job->row_bytes;
    FB_TRY(fb_check_cancel(job->plan->context, err));
    if (choice->type == tensor->number && fb_gguf_rows_stored(tensor)) {
        return fb_gguf_rows_copy(tensor, first, rows, to, err);
    }
    FB_TRY(fb_gguf_rows_read(job->plan->context, tensor, first, rows, job->rows[slot], err));
    return encode_rows(job, first, rows, job->rows[slot], to, &job->zeroed[slot], err);
}

static void write_batch(FbStripJob *job, FbStripBatch *batch)
{
    if (batch->count > 0 && job->written == FB_OK) {
        job->written = fb_gguf_write(job->writer, batch->bytes, batch->count, &job->write_error);
    }
    batch->count = 0;
}

/* Piece 0 writes the batch before; the others are strips of this one. */
static void run_piece(void *arg, size_t slot, size_t begin, size_t end)
{
    FbStripJob *job = arg;
    for (size_t i = begin; i < end; i++) {
        FbStripFailure *failure = &job->failures[slot];
        FbError err;
        if (i == 0) {
            write_batch(job, &job->batches[1 - job->current]);
            continue;
        }
        FbStatus status = make_strip(job, slot, i - 1, &err);
        if (status != FB_OK && (failure->status == FB_OK || i - 1 < failure->strip)) {
            *failure = (FbStripFailure){status, i - 1, err};
        }
    }
}

/* What failed first in the order of the file. */
static FbStatus first_failure(FbStripJob *job, FbError *err)
{
    const FbStripFailure *first = NULL;
    char shown[120];
    if (job->written != FB_OK) {
        if (err != NULL) {
            *err = job->write_error;
        }
        return job->written;
    }
    for (size_t i = 0; i < job->threads; i++) {
        const FbStripFailure *failure = &job->failures[i];
        first = failure->status != FB_OK && (first == NULL || failure->strip < first->strip) ? failure : first;
    }
    if (first == NULL) {
        return FB_OK;
    }
    if (err != NULL) {
        *err = first->error;
    }
    if (first->status == FB_ERR_CANCELLED) {
        return first->status;
    }
    return fb_error_context(err, first->status, "tensor '%s'", fb_escape(job->choice->tensor.name, shown, sizeof shown));
}

static FbStatus reserve(FbStripJob *job, FbStripBatch *batch, size_t bytes, size_t elements, FbError *err)
{
    FbContext *context = job->plan->context;
    if (bytes > batch->capacity) {
        fb_free(context, batch->bytes);
        batch->capacity = 0;
        batch->bytes = fb_alloc(context, bytes);
        if (batch->bytes == NULL) {
            return fb_error_memory(context, err, "a batch of rows", bytes);
        }
        batch->capacity = bytes;
    }
    for (size_t i = 0; i < job->threads && elements > job->rows_capacity; i++) {
        fb_free(context, job->rows[i]);
        job->rows[i] = fb_alloc_array(context, elements, sizeof(float));
        if (job->rows[i] == NULL) {
            job->rows_capacity = 0;
            return fb_error_memory(context, err, "a strip of rows", (uint64_t)elements * sizeof(float));
        }
    }
    job->rows_capacity = elements > job->rows_capacity ? elements : job->rows_capacity;
    return FB_OK;
}

static FbStatus encode_tensor(FbStripJob *job, const FbGgufChoice *choice, uint64_t *done, FbError *err)
{
    int64_t columns = fb_gguf_columns(&choice->tensor);
    int64_t rows = fb_gguf_rows(&choice->tensor);
    job->choice = choice;
    job->strip_rows = columns < STRIP_ELEMENTS ? STRIP_ELEMENTS / columns : 1;
    job->strip_rows = job->strip_rows < rows ? job->strip_rows : rows;
    job->row_bytes = choice->bytes_after / (uint64_t)rows;
    for (int64_t first = 0; first < rows; first += job->row_count) {
        int64_t batch_rows = job->strip_rows * BATCH_STRIPS;
        FbStripBatch *batch = &job->batches[job->current];
        job->first_row = first;
        job->row_count = rows - first < batch_rows ? rows - first : batch_rows;
        size_t bytes = (size_t)((uint64_t)job->row_count * job->row_bytes);
        FB_TRY(reserve(job, batch, bytes, (size_t)(job->strip_rows * columns), err));
        size_t strips = (size_t)((job->row_count + job->strip_rows - 1) / job->strip_rows);
        fb_parallel(job->plan->context, run_piece, job, strips + 1, 1);
        FB_TRY(first_failure(job, err));
        batch->count = bytes;
        job->current = 1 - job->current;
        *done += bytes;
        fb_progress_step(job->plan->context, *done);
        FB_TRY(fb_check_cancel(job->plan->context, err));
    }
    return FB_OK;
}

static FbStatus run_job(FbStripJob *job, FbError *err)
{
    const FbGgufPlan *plan = job->plan;
    uint64_t total = 0, done = 0;
    FbStatus status = FB_OK;
    for (size_t i = 0; i < plan->count; i++) {
        total += plan->choices[i].bytes_after;
    }
    fb_progress_begin(plan->context, "quantize", total);
    for (size_t i = 0; i < plan->count && status == FB_OK; i++) {
        status = encode_tensor(job, &plan->choices[i], &done, err);
    }
    if (status == FB_OK) {
        write_batch(job, &job->batches[1 - job->current]);
        status = first_failure(job, err);
    }
    fb_progress_end(plan->context);
    return status;
}

FbStatus fb_gguf_write_strips(const FbGgufPlan *plan, FbGgufWriter *writer, uint64_t *zeroed, FbError *err)
{
    FbContext *context = plan->context;
    FbStripJob job = {.plan = plan, .writer = writer, .threads = (size_t)fb_context_threads(context)};
    job.rows = fb_alloc_zero(context, job.threads * sizeof *job.rows);
    job.failures = fb_alloc_zero(context, job.threads * sizeof *job.failures);
    job.zeroed = fb_alloc_zero(context, job.threads * sizeof *job.zeroed);
    FbStatus status = job.rows != NULL && job.failures != NULL && job.zeroed != NULL ? run_job(&job, err)
                                                                                     : fb_error_memory(context, err, "workers", 0);
    for (size_t i = 0; i < job.threads; i++) {
        *zeroed += job.zeroed != NULL ? job.zeroed[i] : 0;
        fb_free(context, job.rows != NULL ? job.rows[i] : NULL);
    }
    fb_free(context, job.rows);
    fb_free(context, job.failures);
    fb_free(context, job.zeroed);
    fb_free(context, job.batches[0].bytes);
    fb_free(context, job.batches[1].bytes);
    return status;
}
