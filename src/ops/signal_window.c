/* Windows of signal processing (Hann, Hamming, Blackman) and the mel filter bank. */
#include <math.h>

#include "ops/attribute.h"
#include "ops/elements.h"
#include "ops/shape_util.h"

#define PI 3.14159265358979323846

typedef struct SignalParams {
    FbDtype dtype;
    bool periodic;
    double a0, a1, a2; /* a0 - a1 cos(2 pi n / N) + a2 cos(4 pi n / N) */
} SignalParams;

static FbStatus decode_signal(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    SignalParams *p = params;
    int64_t dtype;
    (void)arena;
    FB_TRY(fb_attr_int(node, "output_datatype", FB_DTYPE_F32, &dtype, err));
    FB_TRY(fb_attr_bool(node, "periodic", true, &p->periodic, err));
    if (dtype <= 0 || dtype >= FB_DTYPE_COUNT || !(FB_MASK(dtype) & FB_MASK_NUMBERS)) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "attribute 'output_datatype' asks for element type %lld", (long long)dtype);
    }
    p->dtype = (FbDtype)dtype;
    if (fb_node_is(node, "", "HannWindow")) {
        p->a0 = p->a1 = 0.5;
    } else if (fb_node_is(node, "", "HammingWindow")) {
        p->a0 = 25.0 / 46.0;
        p->a1 = 1 - p->a0;
    } else {
        p->a0 = 0.42;
        p->a1 = 0.5;
        p->a2 = 0.08;
    }
    return FB_OK;
}

/* The one number of input i: *known false when it is not there yet. */
static FbStatus one_number(FbInfer *infer, int i, bool *known, int64_t *number, FbError *err)
{
    const FbTensor *value = fb_infer_value(infer, i);
    *known = value != NULL;
    *number = FB_DIM_UNKNOWN;
    if (value && (fb_tensor_elements(value) != 1 || fb_tensor_int(value, 0) < 0)) {
        return fb_error_set(err, FB_ERR_FORMAT, "input %d of %s must be one number, not negative", i, infer->node->op_type);
    }
    if (value) {
        *number = fb_tensor_int(value, 0);
    }
    return FB_OK;
}

static FbStatus infer_window(FbInfer *infer, FbError *err)
{
    const SignalParams *p = infer->params;
    int64_t size;
    bool known;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_INDEX, err));
    FB_TRY(one_number(infer, 0, &known, &size, err));
    infer->outputs[0].dtype = p->dtype;
    infer->outputs[0].shape = (FbShape){.rank = 1, .dims = {size}};
    return fb_check_size(infer, &infer->outputs[0].shape, p->dtype, err);
}

static FbStatus run_window(const FbCall *call, FbError *err)
{
    const SignalParams *p = call->params;
    FbTensor *to = call->outputs[0];
    double length = (double)(p->periodic ? to->dims[0] : to->dims[0] - 1);
    (void)err;
    for (int64_t i = 0; i < to->dims[0]; i++) {
        double angle = length > 0 ? 2 * PI * (double)i / length : PI; /* one point: the middle of the window */
        double value = p->a0 - p->a1 * cos(angle) + p->a2 * cos(2 * angle);
        fb_work_store(to->dtype, to->data, i, FB_WORK_F64, &value, 1);
    }
    return FB_OK;
}

static FbStatus infer_mel(FbInfer *infer, FbError *err)
{
    const SignalParams *p = infer->params;
    int64_t bins, dft;
    bool bins_known, dft_known;
    for (int i = 0; i < 5; i++) {
        FB_TRY(fb_check_input_dtype(infer, i, i < 3 ? FB_MASK_INDEX : FB_MASK_FLOATS, err));
    }
    FB_TRY(one_number(infer, 0, &bins_known, &bins, err));
    FB_TRY(one_number(infer, 1, &dft_known, &dft, err));
    infer->outputs[0].dtype = p->dtype;
    infer->outputs[0].shape = (FbShape){.rank = 2, .dims = {dft_known ? dft / 2 + 1 : FB_DIM_UNKNOWN, bins}};
    return fb_check_size(infer, &infer->outputs[0].shape, p->dtype, err);
}

static double to_mel(double hertz) { return 2595 * log10(1 + hertz / 700); }
static double from_mel(double mel) { return 700 * (pow(10, mel / 2595) - 1); }

/* Triangles between equally spaced mel frequencies, their corners rounded down to spectrum bins. Source: ONNX MelWeightMatrix. */
static FbStatus run_mel(const FbCall *call, FbError *err)
{
    FbTensor *to = call->outputs[0];
    double dft = fb_tensor_number(call->inputs[1], 0), rate = fb_tensor_number(call->inputs[2], 0);
    double low = to_mel(fb_tensor_number(call->inputs[3], 0)), high = to_mel(fb_tensor_number(call->inputs[4], 0));
    int64_t rows = to->dims[0], bins = to->dims[1];
    if (!(rate > 0) || !isfinite(low) || !isfinite(high)) {
        return fb_error_set(err, FB_ERR_NUMERIC, "MelWeightMatrix has no finite frequencies");
    }
    double step = (high - low) / (double)(bins + 2); /* as the standard's code and its users have it: the last corner is not `high` */
    for (int64_t bin = 0; bin < bins; bin++) {
        double corner[3];
        for (int i = 0; i < 3; i++) {
            corner[i] = floor((dft + 1) * from_mel(low + step * (double)(bin + i)) / rate);
        }
        for (int64_t row = 0; row < rows; row++) {
            double at = (double)row, value = 0;
            if (at >= corner[0] && at < corner[1]) {
                value = (at - corner[0]) / (corner[1] - corner[0]);
            } else if (at >= corner[1] && at < corner[2]) {
                value = (corner[2] - at) / (corner[2] - corner[1]);
            }
            if (at == corner[1]) { /* the peak, also of a triangle without sides */
                value = 1;
            }
            fb_work_store(to->dtype, to->data, row * bins + bin, FB_WORK_F64, &value, 1);
        }
    }
    return FB_OK;
}

static const char *const window_names[] = {"output_datatype", "periodic", NULL};
static const char *const mel_names[] = {"output_datatype", NULL};

#define WINDOW(NAME, TEXT, INPUTS, INFER, RUN, NAMES)                                                                          \
    {                                                                                                                          \
        .domain = "", .name = NAME, .summary = TEXT, .since = 17, .newest = FB_OPSET_NEWEST, .min_inputs = INPUTS,             \
        .max_inputs = INPUTS, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(SignalParams),                        \
        .decode = decode_signal, .infer = INFER, .run = RUN, .attributes = NAMES                                               \
    }

static const FbOp rows[] = {
    WINDOW("BlackmanWindow", "Blackman window", 1, infer_window, run_window, window_names),
    WINDOW("HammingWindow", "Hamming window", 1, infer_window, run_window, window_names),
    WINDOW("HannWindow", "Hann window", 1, infer_window, run_window, window_names),
    WINDOW("MelWeightMatrix", "mel filter bank", 5, infer_mel, run_mel, mel_names),
};

const FbOpFamily fb_ops_signal_window = {rows, sizeof rows / sizeof rows[0]};
