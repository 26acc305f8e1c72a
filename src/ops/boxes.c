/* Operators on boxes: RoiAlign, NonMaxSuppression. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/shape_util.h"
#include "ops/table.h"

/* ---- RoiAlign ---- */

typedef struct RoiParams {
    bool max, half_pixel;
    int64_t height, width, sampling;
    float scale;
} RoiParams;

enum { GRID_MAX = 65536 }; /* samples per bin and axis; larger boxes are not meant */

static FbStatus decode_roi_align(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    RoiParams *p = params;
    const char *mode, *coordinate;
    FB_TRY(fb_attr_string(node, "mode", "avg", &mode, err));
    FB_TRY(fb_attr_string(node, "coordinate_transformation_mode", node->version < 16 ? "output_half_pixel" : "half_pixel", &coordinate, err));
    FB_TRY(fb_attr_int(node, "output_height", 1, &p->height, err));
    FB_TRY(fb_attr_int(node, "output_width", 1, &p->width, err));
    FB_TRY(fb_attr_int(node, "sampling_ratio", 0, &p->sampling, err));
    FB_TRY(fb_attr_float(node, "spatial_scale", 1.0F, &p->scale, err));
    p->max = strcmp(mode, "max") == 0;
    p->half_pixel = strcmp(coordinate, "half_pixel") == 0;
    if ((!p->max && strcmp(mode, "avg") != 0) || (!p->half_pixel && strcmp(coordinate, "output_half_pixel") != 0)) {
        return fb_error_set(err, FB_ERR_FORMAT, "'mode' is '%s' and 'coordinate_transformation_mode' '%s'", mode, coordinate);
    }
    if (p->height < 1 || p->width < 1 || p->height > INT32_MAX || p->width > INT32_MAX || p->sampling < 0 || p->sampling > GRID_MAX) {
        return fb_error_set(err, FB_ERR_FORMAT, "the output is %lld x %lld with a sampling ratio of %lld", (long long)p->height,
                            (long long)p->width, (long long)p->sampling);
    }
    return FB_OK;
}

static FbStatus infer_roi_align(FbInfer *infer, FbError *err)
{
    const RoiParams *p = infer->params;
    const FbShape *x = &infer->inputs[0].shape, *rois = &infer->inputs[1].shape, *batch = &infer->inputs[2].shape;
    FbShape *out = &infer->outputs[0].shape;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK(FB_DTYPE_F32), err));
    FB_TRY(fb_check_input_dtype(infer, 1, FB_MASK(FB_DTYPE_F32), err));
    FB_TRY(fb_check_input_dtype(infer, 2, FB_MASK_INDEX, err));
    FB_TRY(fb_check_rank(infer, 0, 4, 4, err));
    FB_TRY(fb_check_rank(infer, 1, 2, 2, err));
    FB_TRY(fb_check_rank(infer, 2, 1, 1, err));
    if (rois->rank == 2 && rois->dims[1] >= 0 && rois->dims[1] != 4) {
        return fb_error_set(err, FB_ERR_FORMAT, "'rois' has %lld numbers per box, expected 4", (long long)rois->dims[1]);
    }
    if (rois->rank == 2 && batch->rank == 1 && rois->dims[0] >= 0 && batch->dims[0] >= 0 && rois->dims[0] != batch->dims[0]) {
        return fb_error_set(err, FB_ERR_FORMAT, "%lld boxes have %lld batch indices", (long long)rois->dims[0], (long long)batch->dims[0]);
    }
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    *out = fb_shape_unknown(4);
    out->dims[0] = rois->rank == 2 ? rois->dims[0] : FB_DIM_UNKNOWN;
    out->dims[1] = x->rank == 4 ? x->dims[1] : FB_DIM_UNKNOWN;
    out->dims[2] = p->height;
    out->dims[3] = p->width;
    return fb_check_size(infer, out, infer->outputs[0].dtype, err);
}

/* Bilinear value at (y, x), combined as a sum, or for max mode as the largest of the four weighted neighbours. */
static float roi_sample(const float *image, int64_t height, int64_t width, float y, float x, bool max)
{
    if (!(y >= -1 && y <= (float)height && x >= -1 && x <= (float)width)) {
        return 0;
    }
    y = y > 0 ? y : 0;
    x = x > 0 ? x : 0;
    int64_t y0 = (int64_t)y, x0 = (int64_t)x;
    if (y0 >= height - 1) {
        y0 = height - 1;
        y = (float)y0;
    }
    if (x0 >= width - 1) {
        x0 = width - 1;
        x = (float)x0;
    }
    int64_t y1 = y0 + 1 < height ? y0 + 1 : y0, x1 = x0 + 1 < width ? x0 + 1 : x0;
    float ly = y - (float)y0, lx = x - (float)x0, hy = 1 - ly, hx = 1 - lx;
    float a = hy * hx * image[y0 * width + x0], b = hy * lx * image[y0 * width + x1];
    float c = ly * hx * image[y1 * width + x0], d = ly * lx * image[y1 * width + x1];
    return max ? fmaxf(fmaxf(a, b), fmaxf(c, d)) : a + b + c + d;
}

typedef struct RoiBox { float y, x, bin_y, bin_x; int64_t grid_y, grid_x; } RoiBox;

static FbStatus roi_box(const RoiParams *p, const float *roi, int64_t number, RoiBox *box, FbError *err)
{
    float offset = p->half_pixel ? 0.5F : 0.0F;
    float x0 = roi[0] * p->scale - offset, y0 = roi[1] * p->scale - offset;
    float width = roi[2] * p->scale - offset - x0, height = roi[3] * p->scale - offset - y0;
    if (!p->half_pixel) { /* boxes smaller than an element count as one */
        width = width > 1 ? width : 1;
        height = height > 1 ? height : 1;
    }
    *box = (RoiBox){.y = y0, .x = x0, .bin_y = height / (float)p->height, .bin_x = width / (float)p->width};
    float grid_y = p->sampling ? (float)p->sampling : ceilf(box->bin_y), grid_x = p->sampling ? (float)p->sampling : ceilf(box->bin_x);
    if (!(grid_y <= GRID_MAX && grid_x <= GRID_MAX)) {
        return fb_error_set(err, FB_ERR_FORMAT, "box %lld is not finite or larger than %d elements", (long long)number, GRID_MAX);
    }
    box->grid_y = grid_y > 0 ? (int64_t)grid_y : 0;
    box->grid_x = grid_x > 0 ? (int64_t)grid_x : 0;
    return FB_OK;
}

static float roi_bin(const RoiParams *p, const RoiBox *box, const float *image, int64_t height, int64_t width, int64_t by, int64_t bx)
{
    float result = 0;
    bool first = true;
    for (int64_t iy = 0; iy < box->grid_y; iy++) {
        float y = box->y + (float)by * box->bin_y + ((float)iy + 0.5F) * box->bin_y / (float)box->grid_y;
        for (int64_t ix = 0; ix < box->grid_x; ix++) {
            float x = box->x + (float)bx * box->bin_x + ((float)ix + 0.5F) * box->bin_x / (float)box->grid_x;
            float value = roi_sample(image, height, width, y, x, p->max);
            result = !p->max ? result + value : first || value > result ? value : result;
            first = false;
        }
    }
    int64_t count = box->grid_y * box->grid_x;
    return p->max ? result : result / (float)(count > 1 ? count : 1);
}

static FbStatus run_roi_align(const FbCall *call, FbError *err)
{
    const RoiParams *p = call->params;
    const FbTensor *x = call->inputs[0], *rois = call->inputs[1], *batches = call->inputs[2];
    FbTensor *out = call->outputs[0];
    int64_t channels = x->dims[1], height = x->dims[2], width = x->dims[3], bins = p->height * p->width;
    for (int64_t n = 0; n < rois->dims[0]; n++) {
        int64_t batch = fb_tensor_int(batches, n);
        RoiBox box;
        if (batch < 0 || batch >= x->dims[0]) {
            return fb_error_set(err, FB_ERR_FORMAT, "batch index %lld of box %lld is outside of [0, %lld]", (long long)batch, (long long)n,
                                (long long)x->dims[0] - 1);
        }
        FB_TRY(roi_box(p, (const float *)rois->data + 4 * n, n, &box, err));
        FB_TRY(fb_check_cancel(call->context, err));
        for (int64_t c = 0; out && height > 0 && width > 0 && c < channels; c++) {
            const float *image = (const float *)x->data + (batch * channels + c) * height * width;
            for (int64_t b = 0; b < bins; b++) {
                ((float *)out->data)[(n * channels + c) * bins + b] = roi_bin(p, &box, image, height, width, b / p->width, b % p->width);
            }
        }
    }
    return FB_OK;
}

/* ---- NonMaxSuppression ---- */

typedef struct NmsParams { bool center; } NmsParams;
typedef struct NmsCandidate { float score; int64_t index; } NmsCandidate;

typedef struct Nms {
    const NmsParams *params;
    const FbTensor *boxes, *scores;
    int64_t limit;               /* boxes per class */
    float overlap, threshold;
} Nms;

static FbStatus decode_nms(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    return fb_attr_bool(node, "center_point_box", false, &((NmsParams *)params)->center, err);
}

static int by_score(const void *a, const void *b)
{
    const NmsCandidate *left = a, *right = b;
    if (left->score != right->score) {
        return left->score > right->score ? -1 : 1;
    }
    return left->index < right->index ? -1 : left->index > right->index;
}

/* Corners low x, low y, high x, high y. */
static void corners(bool center, const float *box, float *out)
{
    if (center) {
        out[0] = box[0] - box[2] / 2;
        out[1] = box[1] - box[3] / 2;
        out[2] = box[0] + box[2] / 2;
        out[3] = box[1] + box[3] / 2;
        return;
    }
    out[0] = fminf(box[1], box[3]);
    out[1] = fminf(box[0], box[2]);
    out[2] = fmaxf(box[1], box[3]);
    out[3] = fmaxf(box[0], box[2]);
}

static bool overlaps(const Nms *nms, const float *first, const float *second)
{
    float a[4], b[4];
    corners(nms->params->center, first, a);
    corners(nms->params->center, second, b);
    float width = fminf(a[2], b[2]) - fmaxf(a[0], b[0]), height = fminf(a[3], b[3]) - fmaxf(a[1], b[1]);
    float area_a = (a[2] - a[0]) * (a[3] - a[1]), area_b = (b[2] - b[0]) * (b[3] - b[1]);
    if (width <= 0 || height <= 0 || area_a <= 0 || area_b <= 0) {
        return false;
    }
    float common = width * height;
    return common / (area_a + area_b - common) > nms->overlap;
}

/* Keeps the best boxes of one class; kept[0..count) are indices in the order of their scores. */
static int64_t select_class(const Nms *nms, int64_t batch, int64_t cls, NmsCandidate *candidates, int64_t *kept)
{
    int64_t boxes = nms->boxes->dims[1], classes = nms->scores->dims[1], count = 0, chosen = 0;
    const float *score = (const float *)nms->scores->data + (batch * classes + cls) * boxes;
    const float *box = (const float *)nms->boxes->data + batch * boxes * 4;
    for (int64_t i = 0; i < boxes; i++) {
        if (score[i] > nms->threshold) {
            candidates[count++] = (NmsCandidate){score[i], i};
        }
    }
    if (count > 1) {
        qsort(candidates, (size_t)count, sizeof *candidates, by_score);
    }
    for (int64_t i = 0; i < count && chosen < nms->limit; i++) {
        bool drop = false;
        for (int64_t k = 0; k < chosen && !drop; k++) {
            drop = overlaps(nms, box + 4 * candidates[i].index, box + 4 * kept[k]);
        }
        if (!drop) {
            kept[chosen++] = candidates[i].index;
        }
    }
    return chosen;
}

/* Writes triples (batch, class, box) when `out` is not NULL; returns their number. memory: boxes * (sizeof candidate + sizeof index). */
static int64_t select_all(const Nms *nms, void *memory, int64_t *out)
{
    NmsCandidate *candidates = memory;
    int64_t *kept = (int64_t *)(candidates + nms->boxes->dims[1]), total = 0;
    for (int64_t batch = 0; nms->boxes->dims[1] > 0 && batch < nms->boxes->dims[0]; batch++) {
        for (int64_t cls = 0; cls < nms->scores->dims[1]; cls++) {
            int64_t count = select_class(nms, batch, cls, candidates, kept);
            for (int64_t k = 0; out && k < count; k++) {
                out[3 * (total + k)] = batch;
                out[3 * (total + k) + 1] = cls;
                out[3 * (total + k) + 2] = kept[k];
            }
            total += count;
        }
    }
    return total;
}

static void nms_settings(Nms *nms, const FbTensor *limit, const FbTensor *overlap, const FbTensor *threshold)
{
    nms->limit = limit && limit->bytes ? fb_tensor_int(limit, 0) : 0;
    nms->overlap = overlap && overlap->bytes ? (float)fb_tensor_number(overlap, 0) : 0.0F;
    nms->threshold = threshold && threshold->bytes ? (float)fb_tensor_number(threshold, 0) : -INFINITY;
}

static size_t nms_memory(int64_t boxes) { return (size_t)boxes * (sizeof(NmsCandidate) + sizeof(int64_t)) + 1; }

static FbStatus check_nms(const FbInfer *infer, FbError *err)
{
    const FbShape *boxes = &infer->inputs[0].shape, *scores = &infer->inputs[1].shape;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK(FB_DTYPE_F32), err));
    FB_TRY(fb_check_input_dtype(infer, 1, FB_MASK(FB_DTYPE_F32), err));
    FB_TRY(fb_check_input_dtype(infer, 2, FB_MASK_INDEX, err));
    FB_TRY(fb_check_input_dtype(infer, 3, FB_MASK(FB_DTYPE_F32), err));
    FB_TRY(fb_check_input_dtype(infer, 4, FB_MASK(FB_DTYPE_F32), err));
    FB_TRY(fb_check_rank(infer, 0, 3, 3, err));
    FB_TRY(fb_check_rank(infer, 1, 3, 3, err));
    if (boxes->rank != 3 || scores->rank != 3) {
        return FB_OK;
    }
    if (boxes->dims[2] >= 0 && boxes->dims[2] != 4) {
        return fb_error_set(err, FB_ERR_FORMAT, "'boxes' has %lld numbers per box, expected 4", (long long)boxes->dims[2]);
    }
    for (int i = 0; i < 2; i++) {
        int64_t a = boxes->dims[i], b = scores->dims[2 * i];
        if (a >= 0 && b >= 0 && a != b) {
            return fb_error_set(err, FB_ERR_FORMAT, "'boxes' and 'scores' differ in %s: %lld and %lld", i ? "boxes" : "batch", (long long)a,
                                (long long)b);
        }
    }
    return FB_OK;
}

static FbStatus infer_nms(FbInfer *infer, FbError *err)
{
    const FbTensor *values[5] = {NULL};
    FB_TRY(check_nms(infer, err));
    infer->outputs[0].dtype = FB_DTYPE_S64;
    infer->outputs[0].shape = fb_shape_make(2, (const int64_t[]){FB_DIM_UNKNOWN, 3});
    for (int i = 0; i < 5; i++) {
        values[i] = fb_infer_has(infer, i) ? fb_infer_value(infer, i) : NULL;
    }
    if (infer->pending) {
        return FB_OK;
    }
    Nms nms = {.params = infer->params, .boxes = values[0], .scores = values[1]};
    nms_settings(&nms, values[2], values[3], values[4]);
    void *memory = fb_alloc(infer->context, nms_memory(nms.boxes->dims[1]));
    if (!memory) {
        return fb_error_memory(infer->context, err, "box candidates", nms_memory(nms.boxes->dims[1]));
    }
    infer->outputs[0].shape.dims[0] = select_all(&nms, memory, NULL);
    fb_free(infer->context, memory);
    return FB_OK;
}

static size_t scratch_nms(const FbCall *call) { return nms_memory(call->inputs[0]->dims[1]); }

static FbStatus run_nms(const FbCall *call, FbError *err)
{
    (void)err;
    Nms nms = {.params = call->params, .boxes = call->inputs[0], .scores = call->inputs[1]};
    nms_settings(&nms, fb_call_input(call, 2), fb_call_input(call, 3), fb_call_input(call, 4));
    if (call->outputs[0] && call->outputs[0]->bytes) {
        select_all(&nms, call->scratch, call->outputs[0]->data);
    }
    return FB_OK;
}

static const char *const roi_attributes[] = {"coordinate_transformation_mode", "mode", "output_height", "output_width", "sampling_ratio",
                                             "spatial_scale", NULL};
static const char *const nms_attributes[] = {"center_point_box", NULL};

static const FbOp rows[] = {
    {.name = "RoiAlign", .domain = "", .summary = "pools regions of interest by bilinear samples", .since = 10, .newest = FB_OPSET_NEWEST,
     .min_inputs = 3, .max_inputs = 3, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(RoiParams), .attributes = roi_attributes,
     .decode = decode_roi_align, .infer = infer_roi_align, .run = run_roi_align},
    {.name = "NonMaxSuppression", .domain = "", .summary = "drops boxes that overlap better ones", .since = 10, .newest = FB_OPSET_NEWEST,
     .min_inputs = 2, .max_inputs = 5, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(NmsParams), .attributes = nms_attributes,
     .decode = decode_nms, .infer = infer_nms, .scratch = scratch_nms, .run = run_nms},
};
const FbOpFamily fb_ops_boxes = {rows, sizeof rows / sizeof rows[0]};
