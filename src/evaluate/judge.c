/* Class decisions and the warning about preprocessing. */
#include "evaluate/judge.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "data/preprocess.h"
#include "evaluate/difference.h"
#include "evaluate/paired.h"
#include "tensor/tensor.h"

enum { WATCH_SAMPLES_MIN = 20, WATCH_CLASSES_MAX = 1 << 20 };

FbStatus fb_judge_find(const char *what, const FbTensor *output, int64_t position, FbJudged *judged, FbError *err)
{
    int64_t elements = fb_tensor_elements(output);
    int wide = 0;
    *judged = (FbJudged){0, 0};
    FbDtypeKind kind = fb_dtype_info(output->dtype)->kind;
    if (kind == FB_KIND_STRING || kind == FB_KIND_COMPLEX || kind == FB_KIND_BOOL || elements < 2) {
        return FB_OK;
    }
    if (position >= 0) {
        int64_t classes = output->rank > 0 ? output->dims[output->rank - 1] : 1;
        int64_t rows = elements / classes;
        if (position >= rows) {
            return fb_error_set(err, FB_ERR_FORMAT, "%s: position %" PRId64 " of an output with %" PRId64 " rows", what, position, rows);
        }
        *judged = (FbJudged){position * classes, classes >= 2 ? classes : 0};
        return FB_OK;
    }
    for (int i = 0; i < output->rank; i++) {
        wide += output->dims[i] != 1 ? 1 : 0;
    }
    if (wide == 1) {
        judged->classes = elements;
    }
    return FB_OK;
}

int64_t fb_judge_best(const FbTensor *output, const FbJudged *judged)
{
    int64_t best = 0;
    double highest = fb_output_value(output, judged->first);
    for (int64_t i = 1; i < judged->classes; i++) {
        double value = fb_output_value(output, judged->first + i);
        if (value > highest) {
            highest = value;
            best = i;
        }
    }
    return best;
}

int64_t fb_judge_rank(const FbTensor *output, const FbJudged *judged, int64_t label)
{
    double own = fb_output_value(output, judged->first + label);
    int64_t before = 0;
    for (int64_t i = 0; i < judged->classes; i++) {
        double value = fb_output_value(output, judged->first + i);
        before += value > own || (value == own && i < label) ? 1 : 0;
    }
    return before;
}

void fb_watch_init(FbInputWatch *watch, FbContext *context)
{
    memset(watch, 0, sizeof *watch);
    watch->context = context;
}

void fb_watch_reset(FbInputWatch *watch)
{
    fb_free(watch->context, watch->predicted);
    fb_free(watch->context, watch->labelled);
    memset(watch, 0, sizeof *watch);
}

/* "min, mean, max" of each channel, or of everything when the input is no picture. */
static void describe_values(const FbTensor *input, char *out, size_t bytes)
{
    FbPort port = {.name = "", .dtype = input->dtype, .rank = input->rank};
    FbPicturePort picture;
    memcpy(port.dims, input->dims, sizeof port.dims);
    int64_t elements = fb_tensor_elements(input);
    bool is_picture = fb_picture_port(&port, &picture);
    int64_t channels = is_picture ? picture.channels : 1, per_channel = elements / (channels > 0 ? channels : 1);
    bool first = is_picture && picture.layout == FB_LAYOUT_NCHW;
    size_t used = 0;
    for (int64_t c = 0; c < channels && used < bytes; c++) {
        double low = INFINITY, high = -INFINITY, sum = 0;
        for (int64_t i = 0; i < per_channel; i++) {
            double value = fb_output_value(input, first || !is_picture ? c * per_channel + i : i * channels + c);
            low = value < low ? value : low;
            high = value > high ? value : high;
            sum += value;
        }
        used += (size_t)snprintf(out + used, bytes - used, "%s%.4g..%.4g mean %.4g", c > 0 ? "; " : "", low, high,
                                 per_channel > 0 ? sum / (double)per_channel : 0);
    }
}

/* The class that follows `last` in the order of scores (ties: lowest index first); -1 asks for the best. */
static int64_t next_best(const FbTensor *output, const FbJudged *judged, int64_t last)
{
    double limit = last < 0 ? INFINITY : fb_output_value(output, judged->first + last), highest = -INFINITY;
    int64_t best = last < 0 ? 0 : last;
    bool found = false;
    for (int64_t i = 0; i < judged->classes; i++) {
        double value = fb_output_value(output, judged->first + i);
        bool after = last < 0 || value < limit || (value == limit && i > last);
        if (after && (!found || value > highest)) {
            highest = value;
            best = i;
            found = true;
        }
    }
    return best;
}

static void describe_first(FbInputWatch *watch, const FbSample *sample, const FbTensor *output, const FbJudged *judged)
{
    char shape[100], values[160];
    FbShape dims = fb_tensor_shape(&sample->inputs[0]);
    fb_shape_text(&dims, shape, sizeof shape);
    describe_values(&sample->inputs[0], values, sizeof values);
    size_t used = (size_t)snprintf(watch->first, sizeof watch->first, "first sample %s, per channel %s; top-5:", shape, values);
    int64_t last = -1;
    for (int place = 0; place < 5 && place < judged->classes && used < sizeof watch->first; place++) {
        last = next_best(output, judged, last);
        used += (size_t)snprintf(watch->first + used, sizeof watch->first - used, " %" PRId64, last);
    }
}

FbStatus fb_watch_add(FbInputWatch *watch, const FbSample *sample, const FbTensor *output, const FbJudged *judged, FbError *err)
{
    if (judged->classes < 2 || judged->classes > WATCH_CLASSES_MAX || (watch->classes != 0 && watch->classes != judged->classes)) {
        return FB_OK;
    }
    if (watch->classes == 0) {
        watch->predicted = fb_alloc_zero(watch->context, (size_t)judged->classes * sizeof *watch->predicted);
        watch->labelled = fb_alloc_zero(watch->context, (size_t)judged->classes * sizeof *watch->labelled);
        if (watch->predicted == NULL || watch->labelled == NULL) {
            return fb_error_memory(watch->context, err, "class counts", (uint64_t)judged->classes * sizeof *watch->predicted);
        }
        watch->classes = judged->classes;
        if (sample->input_count > 0) {
            describe_first(watch, sample, output, judged);
        }
    }
    int64_t best = fb_judge_best(output, judged);
    watch->samples++;
    watch->predicted[best]++;
    if (sample->label >= 0 && sample->label < watch->classes) {
        watch->labelled[sample->label]++;
        watch->with_label++;
        watch->right += best == sample->label ? 1 : 0;
    }
    return FB_OK;
}

bool fb_watch_report(const FbInputWatch *watch)
{
    double low = 0, high = 0, n = (double)watch->samples;
    if (watch->samples < WATCH_SAMPLES_MIN) {
        return false;
    }
    fb_wilson_interval(watch->right, watch->with_label, FB_Z_95, &low, &high);
    if (watch->with_label == watch->samples && low <= 1.0 / (double)watch->classes) {
        fb_log(watch->context, FB_LOG_WARNING, "preprocessing?",
               "float accuracy %.1f %% on %" PRIu64 " samples is no better than guessing among %" PRId64
               " classes: preprocessing or labels look wrong; %s", 100 * (double)watch->right / n, watch->samples, watch->classes, watch->first);
        return true;
    }
    for (int64_t c = 0; c < watch->classes; c++) {
        if ((double)watch->predicted[c] > 0.8 * n && (double)watch->labelled[c] <= 0.8 * n) {
            fb_log(watch->context, FB_LOG_WARNING, "preprocessing?",
                   "the float model answers class %" PRId64 " for %.0f %% of the samples: preprocessing or labels look wrong; %s", c,
                   100 * (double)watch->predicted[c] / n, watch->first);
            return true;
        }
    }
    return false;
}
