/* Reading by index: Gather, GatherElements, GatherND, Compress. */
#include <string.h>

#include "ops/index_check.h"
#include "ops/lowering.h"
#include "ops/packed_blocks.h"
#include "ops/strided_copy.h"
#include "ops/table.h"

typedef struct GatherParams {
    int64_t axis;
    bool has_axis;      /* Compress */
    int64_t batch_dims; /* GatherND */
} GatherParams;

static FbStatus decode_axis(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    GatherParams *p = params;
    p->has_axis = fb_node_attribute(node, "axis") != NULL;
    return fb_attr_int(node, "axis", 0, &p->axis, err);
}

/* Parallel loop over rows of the output; each row is `count` bytes. */
typedef struct GatherTask {
    const FbTensor *in, *indices, *out;
    int64_t dim, inner, row_indices; /* size of the axis; elements after it; indices per outer row */
    int bits, axis;
    int64_t in_stride[FB_RANK_MAX];
} GatherTask;

static size_t grain_of(size_t bytes_each) { return bytes_each >= 65536 ? 1 : 65536 / (bytes_each + 1) + 1; }

/* ---- Gather ---- */

static FbStatus infer_gather(FbInfer *infer, FbError *err)
{
    const GatherParams *p = infer->params;
    const FbShape *in = &infer->inputs[0].shape, *indices = &infer->inputs[1].shape;
    FbShape *out = &infer->outputs[0].shape;
    int axis;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_ALL, err));
    FB_TRY(fb_check_input_dtype(infer, 1, FB_MASK_INDEX, err));
    FB_TRY(fb_check_rank(infer, 0, 1, FB_RANK_MAX, err));
    FB_TRY(fb_check_axis(p->axis, in->rank, &axis, err));
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    out->rank = -1;
    if (in->rank < 0 || indices->rank < 0) {
        return FB_OK;
    }
    if (in->rank + indices->rank - 1 > FB_RANK_MAX) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "Gather makes a tensor of rank %d; fewbit's limit is %d", in->rank + indices->rank - 1,
                            FB_RANK_MAX);
    }
    out->rank = 0;
    for (int i = 0; i < in->rank; i++) {
        for (int j = 0; i == axis && j < indices->rank; j++) {
            out->dims[out->rank++] = indices->dims[j];
        }
        if (i != axis) {
            out->dims[out->rank++] = in->dims[i];
        }
    }
    return fb_check_size(infer, out, infer->outputs[0].dtype, err);
}

static void gather_rows(void *arg, size_t slot, size_t begin, size_t end)
{
    (void)slot;
    const GatherTask *task = arg;
    for (size_t r = begin; r < end; r++) {
        int64_t outer = (int64_t)r / task->row_indices, at = fb_index_at(task->indices, (int64_t)r % task->row_indices);
        at = at < 0 ? at + task->dim : at;
        fb_copy_elements(task->bits, task->in->data, (outer * task->dim + at) * task->inner, task->out->data, (int64_t)r * task->inner, task->inner);
    }
}

static FbStatus run_gather(const FbCall *call, FbError *err)
{
    const GatherParams *p = call->params;
    GatherTask task = {.in = call->inputs[0], .indices = call->inputs[1], .out = call->outputs[0], .inner = 1};
    FB_TRY(fb_axis_normalize(p->axis, task.in->rank, &task.axis, err));
    task.dim = task.in->dims[task.axis];
    FB_TRY(fb_check_indices(task.indices, task.dim, err));
    if (!task.out || !task.out->bytes) {
        return FB_OK;
    }
    int64_t outer = 1;
    for (int i = 0; i < task.in->rank; i++) {
        outer *= i < task.axis ? task.in->dims[i] : 1;
        task.inner *= i > task.axis ? task.in->dims[i] : 1;
    }
    task.bits = fb_dtype_bits(task.in->dtype);
    task.row_indices = fb_tensor_elements(task.indices);
    size_t rows = (size_t)(outer * task.row_indices);
    if (task.bits < 8) {
        memset(task.out->data, 0, task.out->bytes);
        gather_rows(&task, 0, 0, rows);
    } else {
        fb_parallel(call->context, gather_rows, &task, rows, grain_of((size_t)task.inner * (size_t)task.bits / 8));
    }
    return FB_OK;
}

/* ---- Gather of rows that are packed in blocks: only those asked for are decoded ---- */

static bool gather_blocks_accepts(const FbPrepare *prepare)
{
    const GatherParams *p = prepare->params;
    const FbConst *data = prepare->constants[0];
    return prepare->fused_count == 0 && fb_packed_blocks_accepts(data, false) && data->shape.rank == 2 && (p->axis == 0 || p->axis == -2);
}

static FbStatus gather_blocks_prepare(const FbPrepare *prepare, void **state, FbError *err)
{
    const FbPackedBlocks *packed;
    FB_TRY(fb_block_store_get(prepare->store, prepare->constants[0], false, &packed, err));
    *state = (void *)(uintptr_t)packed;
    return FB_OK;
}

static FbStatus gather_blocks_bind(FbBind *bind, FbError *err)
{
    (void)err;
    bind->scratch_bytes = 0;
    bind->bound = NULL;
    return FB_OK;
}

static void gather_packed_rows(void *arg, size_t slot, size_t begin, size_t end)
{
    const FbCall *call = arg;
    const FbPackedBlocks *packed = call->state;
    (void)slot;
    for (size_t i = begin; i < end; i++) {
        const int64_t at = fb_index_at(call->inputs[1], (int64_t)i);
        fb_packed_blocks_decode(packed, 0, (size_t)(at < 0 ? at + (int64_t)packed->rows : at), 0, packed->row_blocks,
                                (float *)call->outputs[0]->data + i * packed->depth);
    }
}

static FbStatus gather_blocks_run(const FbCall *call, FbError *err)
{
    const FbPackedBlocks *packed = call->state;
    FB_TRY(fb_check_indices(call->inputs[1], (int64_t)packed->rows, err));
    FbCall copy = *call;
    fb_parallel(call->context, gather_packed_rows, &copy, (size_t)fb_tensor_elements(call->inputs[1]), grain_of(packed->depth * sizeof(float)));
    return FB_OK;
}

static const char *gather_blocks_kernel(const void *state)
{
    (void)state;
    return "rows";
}

static const FbLowering gather_blocks_lowering = {.name = "gather_blocks", .accepts = gather_blocks_accepts, .prepare = gather_blocks_prepare,
                                                  .bind = gather_blocks_bind, .run = gather_blocks_run, .kernel = gather_blocks_kernel};

/* ---- GatherElements ---- */

static FbStatus infer_gather_elements(FbInfer *infer, FbError *err)
{
    const GatherParams *p = infer->params;
    const FbShape *in = &infer->inputs[0].shape, *indices = &infer->inputs[1].shape;
    int axis;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_BYTES, err));
    FB_TRY(fb_check_input_dtype(infer, 1, FB_MASK_INDEX, err));
    FB_TRY(fb_check_rank(infer, 0, 1, FB_RANK_MAX, err));
    FB_TRY(fb_check_axis(p->axis, in->rank, &axis, err));
    if (in->rank >= 0 && indices->rank >= 0) {
        FB_TRY(fb_check_rank(infer, 1, in->rank, in->rank, err));
        for (int i = 0; i < in->rank; i++) {
            if (i != axis && in->dims[i] >= 0 && indices->dims[i] > in->dims[i]) {
                return fb_error_set(err, FB_ERR_FORMAT, "'indices' has the size %lld on axis %d, 'data' has %lld", (long long)indices->dims[i], i,
                                    (long long)in->dims[i]);
            }
        }
    }
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    infer->outputs[0].shape = *indices;
    return FB_OK;
}

static void gather_element_rows(void *arg, size_t slot, size_t begin, size_t end)
{
    (void)slot;
    const GatherTask *task = arg;
    int rank = task->indices->rank, last = rank - 1;
    int64_t row = task->indices->dims[last];
    for (size_t r = begin; r < end; r++) {
        int64_t rest = (int64_t)r, base = 0;
        for (int d = last - 1; d >= 0; d--) {
            int64_t at = rest % task->indices->dims[d];
            rest /= task->indices->dims[d];
            base += d == task->axis ? 0 : at * task->in_stride[d];
        }
        for (int64_t i = 0; i < row; i++) {
            int64_t n = (int64_t)r * row + i, at = fb_index_at(task->indices, n);
            at = (at < 0 ? at + task->dim : at) * task->in_stride[task->axis];
            fb_copy_elements(task->bits, task->in->data, base + at + (task->axis == last ? 0 : i), task->out->data, n, 1);
        }
    }
}

static FbStatus run_gather_elements(const FbCall *call, FbError *err)
{
    const GatherParams *p = call->params;
    GatherTask task = {.in = call->inputs[0], .indices = call->inputs[1], .out = call->outputs[0]};
    FB_TRY(fb_axis_normalize(p->axis, task.in->rank, &task.axis, err));
    task.dim = task.in->dims[task.axis];
    FB_TRY(fb_check_indices(task.indices, task.dim, err));
    if (!task.out || !task.out->bytes) {
        return FB_OK;
    }
    task.bits = fb_dtype_bits(task.in->dtype);
    fb_row_major_strides(task.in->dims, task.in->rank, task.in_stride);
    int64_t row = task.indices->dims[task.indices->rank - 1];
    fb_parallel(call->context, gather_element_rows, &task, (size_t)(fb_tensor_elements(task.indices) / row), grain_of((size_t)row * 8));
    return FB_OK;
}

/* ---- GatherND ---- */

static FbStatus decode_gather_nd(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    GatherParams *p = params;
    FB_TRY(fb_attr_int(node, "batch_dims", 0, &p->batch_dims, err));
    if (p->batch_dims < 0 || p->batch_dims >= FB_RANK_MAX) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'batch_dims' is %lld", (long long)p->batch_dims);
    }
    return FB_OK;
}

static FbStatus infer_gather_nd(FbInfer *infer, FbError *err)
{
    const GatherParams *p = infer->params;
    const FbShape *in = &infer->inputs[0].shape, *indices = &infer->inputs[1].shape;
    FbShape *out = &infer->outputs[0].shape;
    int batch = (int)p->batch_dims;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_BYTES, err));
    FB_TRY(fb_check_input_dtype(infer, 1, FB_MASK_INDEX, err));
    FB_TRY(fb_check_rank(infer, 0, batch + 1, FB_RANK_MAX, err));
    FB_TRY(fb_check_rank(infer, 1, batch + 1, FB_RANK_MAX, err));
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    out->rank = -1;
    if (in->rank < 0 || indices->rank < 0) {
        return FB_OK;
    }
    int64_t width = indices->dims[indices->rank - 1];
    if (width == 0 || width > in->rank - batch) {
        return fb_error_set(err, FB_ERR_FORMAT, "'indices' has tuples of %lld numbers for a tensor of rank %d", (long long)width, in->rank);
    }
    for (int i = 0; i < batch; i++) {
        if (in->dims[i] >= 0 && indices->dims[i] >= 0 && in->dims[i] != indices->dims[i]) {
            return fb_error_set(err, FB_ERR_FORMAT, "batch dimension %d is %lld in 'data' and %lld in 'indices'", i, (long long)in->dims[i],
                                (long long)indices->dims[i]);
        }
    }
    if (width < 0) {
        return FB_OK;
    }
    int rank = indices->rank - 1 + in->rank - batch - (int)width;
    if (rank > FB_RANK_MAX) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "GatherND makes a tensor of rank %d; fewbit's limit is %d", rank, FB_RANK_MAX);
    }
    out->rank = 0;
    for (int i = 0; i < indices->rank - 1; i++) {
        out->dims[out->rank++] = indices->dims[i];
    }
    for (int i = batch + (int)width; i < in->rank; i++) {
        out->dims[out->rank++] = in->dims[i];
    }
    return fb_check_size(infer, out, infer->outputs[0].dtype, err);
}

static FbStatus run_gather_nd(const FbCall *call, FbError *err)
{
    const GatherParams *p = call->params;
    const FbTensor *in = call->inputs[0], *indices = call->inputs[1];
    FbTensor *out = call->outputs[0];
    int batch = (int)p->batch_dims, width = (int)indices->dims[indices->rank - 1];
    int64_t strides[FB_RANK_MAX], tuples = 1, batches = 1;
    FB_TRY(fb_check_index_tuples(indices, in->dims + batch, width, err));
    if (!out || !out->bytes) {
        return FB_OK;
    }
    fb_row_major_strides(in->dims, in->rank, strides);
    for (int i = 0; i < indices->rank - 1; i++) {
        batches *= i < batch ? indices->dims[i] : 1;
        tuples *= i < batch ? 1 : indices->dims[i];
    }
    int64_t slice = strides[batch + width - 1], batch_stride = batch > 0 ? strides[batch - 1] : 0;
    for (int64_t n = 0; n < batches * tuples; n++) {
        int64_t from = n / tuples * batch_stride;
        for (int k = 0; k < width; k++) {
            int64_t at = fb_index_at(indices, n * width + k);
            from += (at < 0 ? at + in->dims[batch + k] : at) * strides[batch + k];
        }
        fb_copy_elements(fb_dtype_bits(in->dtype), in->data, from, out->data, n * slice, slice);
    }
    return FB_OK;
}

/* ---- Compress ---- */

static FbStatus infer_compress(FbInfer *infer, FbError *err)
{
    const GatherParams *p = infer->params;
    const FbShape *in = &infer->inputs[0].shape;
    FbShape *out = &infer->outputs[0].shape;
    int axis;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_BYTES, err));
    FB_TRY(fb_check_input_dtype(infer, 1, FB_MASK(FB_DTYPE_BOOL), err));
    FB_TRY(fb_check_rank(infer, 1, 1, 1, err));
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    *out = p->has_axis ? *in : fb_shape_unknown(1);
    const FbTensor *condition = fb_infer_value(infer, 1);
    if (in->rank < 0) {
        return FB_OK;
    }
    FB_TRY(fb_check_axis(p->has_axis ? p->axis : 0, p->has_axis ? in->rank : 1, &axis, err));
    out->dims[axis] = FB_DIM_UNKNOWN;
    int64_t limit = p->has_axis ? in->dims[axis] : fb_shape_elements(in);
    if (!condition || limit < 0) {
        return FB_OK;
    }
    int64_t kept = 0;
    for (int64_t i = 0; i < condition->dims[0]; i++) {
        bool keep = ((const uint8_t *)condition->data)[i] != 0;
        if (keep && i >= limit) {
            return fb_error_set(err, FB_ERR_FORMAT, "'condition' selects element %lld of %lld", (long long)i, (long long)limit);
        }
        kept += keep;
    }
    out->dims[axis] = kept;
    return FB_OK;
}

static FbStatus run_compress(const FbCall *call, FbError *err)
{
    const GatherParams *p = call->params;
    const FbTensor *in = call->inputs[0], *condition = call->inputs[1];
    FbTensor *out = call->outputs[0];
    if (!out || !out->bytes) {
        return FB_OK;
    }
    int axis = 0;
    int64_t outer = 1, dim = fb_tensor_elements(in), inner = 1;
    if (p->has_axis) {
        FB_TRY(fb_axis_normalize(p->axis, in->rank, &axis, err));
        dim = in->dims[axis];
        for (int i = 0; i < in->rank; i++) {
            outer *= i < axis ? in->dims[i] : 1;
            inner *= i > axis ? in->dims[i] : 1;
        }
    }
    int64_t to = 0;
    for (int64_t o = 0; o < outer; o++) {
        for (int64_t i = 0; i < dim && i < condition->dims[0]; i++) {
            if (((const uint8_t *)condition->data)[i]) {
                fb_copy_elements(fb_dtype_bits(in->dtype), in->data, (o * dim + i) * inner, out->data, to, inner);
                to += inner;
            }
        }
    }
    return FB_OK;
}

static const char *const axis_attributes[] = {"axis", NULL};
static const char *const batch_attributes[] = {"batch_dims", NULL};

static const FbOp rows[] = {
    {.name = "Gather", .domain = "", .summary = "slices picked by index along an axis", .since = 1, .newest = FB_OPSET_NEWEST, .min_inputs = 2,
     .max_inputs = 2, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(GatherParams), .flags = FB_OP_MOVES_DATA,
     .attributes = axis_attributes, .decode = decode_axis, .infer = infer_gather, .run = run_gather, .blocks = &gather_blocks_lowering},
    {.name = "GatherElements", .domain = "", .summary = "elements picked by index along an axis", .since = 11, .newest = FB_OPSET_NEWEST,
     .min_inputs = 2, .max_inputs = 2, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(GatherParams), .flags = FB_OP_MOVES_DATA,
     .attributes = axis_attributes, .decode = decode_axis, .infer = infer_gather_elements, .run = run_gather_elements},
    {.name = "GatherND", .domain = "", .summary = "slices picked by index tuples", .since = 11, .newest = FB_OPSET_NEWEST, .min_inputs = 2,
     .max_inputs = 2, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(GatherParams), .flags = FB_OP_MOVES_DATA,
     .attributes = batch_attributes, .decode = decode_gather_nd, .infer = infer_gather_nd, .run = run_gather_nd},
    {.name = "Compress", .domain = "", .summary = "slices picked by a condition", .since = 9, .newest = FB_OPSET_NEWEST, .min_inputs = 2,
     .max_inputs = 2, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(GatherParams), .flags = FB_OP_MOVES_DATA,
     .attributes = axis_attributes, .decode = decode_axis, .infer = infer_compress, .run = run_compress},
};
const FbOpFamily fb_ops_gather = {rows, sizeof rows / sizeof rows[0]};
