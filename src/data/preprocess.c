/* Reading "fewbit.preprocess/1" and the table of named preprocessings. */
#include "data/preprocess.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

enum { SIDE_MAX = 16384 };

const FbPreprocessName fb_preprocess_names[] = {
    {"imagenet", "RGB, 0..1, minus the ImageNet mean, divided by its deviation (torchvision)", FB_ORDER_RGB, 1.0 / 255.0,
     {0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}, FB_FILTER_BILINEAR, false},
    {"-1..1", "RGB, pixel / 127.5 - 1 (TensorFlow's MobileNet and Inception)", FB_ORDER_RGB, 1.0 / 127.5, {1, 1, 1}, {1, 1, 1},
     FB_FILTER_BILINEAR, false},
    {"0..1", "RGB, pixel / 255", FB_ORDER_RGB, 1.0 / 255.0, {0, 0, 0}, {1, 1, 1}, FB_FILTER_BILINEAR, false},
    {"0..255", "RGB, pixels as they are", FB_ORDER_RGB, 1.0, {0, 0, 0}, {1, 1, 1}, FB_FILTER_BILINEAR, false},
    {"lite0", "RGB, (pixel - 127) / 128 (EfficientNet-Lite)", FB_ORDER_RGB, 1.0, {127, 127, 127}, {128, 128, 128}, FB_FILTER_BICUBIC, false},
    {"yolox", "BGR, pixels as they are, letterbox with 114 at the top left (YOLOX)", FB_ORDER_BGR, 1.0, {0, 0, 0}, {1, 1, 1},
     FB_FILTER_BILINEAR, true},
};
const size_t fb_preprocess_name_count = sizeof fb_preprocess_names / sizeof fb_preprocess_names[0];

static const char *const filter_names[] = {"nearest", "bilinear", "bicubic"};
static const char *const order_names[] = {"RGB", "BGR", "GRAY"};
static const char *const layout_names[] = {"NCHW", "NHWC"};
static const char *const align_names[] = {"topleft", "center"};

bool fb_picture_port(const FbPort *port, FbPicturePort *out)
{
    FbPicturePort p = {.layout = FB_LAYOUT_NCHW};
    if (port->rank != 3 && port->rank != 4) {
        return false;
    }
    p.batch = port->rank == 4;
    const int64_t *dims = port->dims + (p.batch ? 1 : 0);
    if (dims[0] == 3 || dims[0] == 1) {
        p.layout = FB_LAYOUT_NCHW;
    } else if (dims[2] == 3 || dims[2] == 1) {
        p.layout = FB_LAYOUT_NHWC;
    } else {
        return false;
    }
    bool first = p.layout == FB_LAYOUT_NCHW;
    p.channels = dims[first ? 0 : 2];
    p.height = dims[first ? 1 : 0];
    p.width = dims[first ? 2 : 1];
    *out = p;
    return true;
}

/* The index of text in names, or an error that lists them. */
static FbStatus find_choice(const char *text, const char *const *names, size_t count, const char *where, const char *key, int *out,
                            FbError *err)
{
    char shown[40];
    for (size_t i = 0; i < count; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (int)i;
            return FB_OK;
        }
    }
    return fb_error_set(err, FB_ERR_ARGUMENT, "%s: %s '%s'; it is one of %s, %s%s%s", where, key, fb_escape(text, shown, sizeof shown), names[0],
                        names[1], count > 2 ? ", " : "", count > 2 ? names[2] : "");
}

static FbStatus get_choice(const json_t *object, const char *key, const char *where, const char *const *names, size_t count, int *out,
                           FbError *err)
{
    const char *text = NULL;
    FB_TRY(fb_json_get_string(object, key, where, &text, err));
    return text == NULL ? FB_OK : find_choice(text, names, count, where, key, out, err);
}

/* [height, width], or one number for both. */
static FbStatus get_size(const json_t *value, const char *where, FbPreprocessStep *step, FbError *err)
{
    json_int_t height = 0, width = 0;
    if (json_is_integer(value)) {
        height = width = json_integer_value(value);
    } else if (json_is_array(value) && json_array_size(value) == 2 && json_is_integer(json_array_get(value, 0)) &&
               json_is_integer(json_array_get(value, 1))) {
        height = json_integer_value(json_array_get(value, 0));
        width = json_integer_value(json_array_get(value, 1));
    }
    if (height < 1 || width < 1 || height > SIDE_MAX || width > SIDE_MAX) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "%s: expected [height, width], each 1 to %d", where, SIDE_MAX);
    }
    step->height = (int)height;
    step->width = (int)width;
    return FB_OK;
}

static FbStatus parse_filter(const json_t *object, const char *where, FbPreprocessStep *step, FbError *err)
{
    int filter = FB_FILTER_BILINEAR;
    FB_TRY(get_choice(object, "filter", where, filter_names, 3, &filter, err));
    step->filter = (FbFilter)filter;
    return fb_json_get_bool(object, "antialias", where, &step->antialias, err);
}

static FbStatus parse_resize(const json_t *value, const char *where, FbPreprocessStep *step, FbError *err)
{
    static const char *const keys[] = {"short", "size", "filter", "antialias"};
    FB_TRY(fb_json_check_keys(value, keys, 4, where, err));
    const json_t *side = json_object_get(value, "short"), *size = json_object_get(value, "size");
    if ((side == NULL) == (size == NULL) || (side != NULL && !json_is_integer(side))) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "%s: either \"short\": N or \"size\": [height, width]", where);
    }
    step->kind = side != NULL ? FB_PREPROCESS_RESIZE_SHORT : FB_PREPROCESS_RESIZE;
    step->antialias = true;
    FB_TRY(get_size(side != NULL ? side : size, where, step, err));
    return parse_filter(value, where, step, err);
}

static FbStatus parse_letterbox(const json_t *value, const char *where, FbPreprocessStep *step, FbError *err)
{
    static const char *const keys[] = {"size", "value", "align", "filter", "antialias"};
    int64_t border = 0;
    int align = 1;
    FB_TRY(fb_json_check_keys(value, keys, 5, where, err));
    step->kind = FB_PREPROCESS_LETTERBOX;
    step->antialias = false;
    FB_TRY(get_size(json_object_get(value, "size"), where, step, err));
    FB_TRY(fb_json_get_int(value, "value", where, 0, 255, &border, err));
    FB_TRY(get_choice(value, "align", where, align_names, 2, &align, err));
    step->value = (uint8_t)border;
    step->centred = align == 1;
    return parse_filter(value, where, step, err);
}

static FbStatus parse_step(const json_t *step, size_t index, const char *where, FbPreprocessStep *out, FbError *err)
{
    static const char *const keys[] = {"resize", "center_crop", "letterbox"};
    char place[160];
    snprintf(place, sizeof place, "%.100s: step %zu", where, index + 1);
    if (!json_is_object(step) || json_object_size(step) != 1) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "%s: expected an object with one key: resize, center_crop or letterbox", place);
    }
    FB_TRY(fb_json_check_keys(step, keys, 3, place, err));
    const char *kind = json_object_iter_key(json_object_iter((json_t *)step));
    const json_t *value = json_object_get(step, kind);
    snprintf(place, sizeof place, "%.100s: step %zu (%s)", where, index + 1, kind);
    if (strcmp(kind, "center_crop") == 0) {
        out->kind = FB_PREPROCESS_CENTER_CROP;
        return get_size(value, place, out, err);
    }
    if (!json_is_object(value)) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "%s: expected an object", place);
    }
    return strcmp(kind, "resize") == 0 ? parse_resize(value, place, out, err) : parse_letterbox(value, place, out, err);
}

/* One number for all channels, or an array of one per channel. */
static FbStatus parse_channels(const json_t *document, const char *key, const char *where, double out[3], FbError *err)
{
    const json_t *value = json_object_get(document, key);
    if (value == NULL) {
        return FB_OK;
    }
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    for (size_t i = 0; i < 3 && (count == 1 || count == 3); i++) {
        const json_t *item = json_is_array(value) ? json_array_get(value, count == 1 ? 0 : i) : value;
        if (!json_is_number(item) || !isfinite(json_number_value(item))) {
            count = 0;
            break;
        }
        out[i] = json_number_value(item);
    }
    if (count != 1 && count != 3) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "%s: %s is a number or an array of 1 or 3 numbers", where, key);
    }
    return FB_OK;
}

static FbStatus parse_values(const json_t *document, const char *where, FbPreprocess *out, FbError *err)
{
    int order = out->order, layout = out->layout;
    FB_TRY(get_choice(document, "order", where, order_names, 3, &order, err));
    FB_TRY(get_choice(document, "layout", where, layout_names, 2, &layout, err));
    FB_TRY(fb_json_get_number(document, "scale", where, &out->scale, err));
    FB_TRY(parse_channels(document, "mean", where, out->mean, err));
    FB_TRY(parse_channels(document, "std", where, out->std, err));
    out->order = (FbOrder)order;
    out->layout = (FbLayout)layout;
    for (int c = 0; c < 3; c++) {
        if (out->std[c] == 0 || !isfinite(out->scale)) {
            return fb_error_set(err, FB_ERR_ARGUMENT, "%s: std must not be 0 and scale must be finite", where);
        }
    }
    return FB_OK;
}

static void set_defaults(const FbPort *port, FbPreprocess *out)
{
    FbPicturePort picture;
    memset(out, 0, sizeof *out);
    out->scale = 1;
    for (int c = 0; c < 3; c++) {
        out->std[c] = 1;
    }
    if (fb_picture_port(port, &picture)) {
        out->layout = picture.layout;
        out->order = picture.channels == 1 ? FB_ORDER_GRAY : FB_ORDER_RGB;
    }
}

FbStatus fb_preprocess_parse(const json_t *document, const char *where, const FbPort *port, FbPreprocess *out, FbError *err)
{
    static const char *const keys[] = {"schema", "steps", "order", "scale", "mean", "std", "layout"};
    const char *schema = NULL;
    set_defaults(port, out);
    if (!json_is_object(document)) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "%s: expected a JSON object", where);
    }
    FB_TRY(fb_json_check_keys(document, keys, sizeof keys / sizeof keys[0], where, err));
    FB_TRY(fb_json_get_string(document, "schema", where, &schema, err));
    if (schema == NULL || strcmp(schema, "fewbit.preprocess/1") != 0) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "%s: \"schema\" must be \"fewbit.preprocess/1\"", where);
    }
    const json_t *steps = json_object_get(document, "steps");
    if (steps != NULL && (!json_is_array(steps) || json_array_size(steps) > FB_PREPROCESS_STEPS_MAX)) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "%s: steps is an array of at most %d objects", where, FB_PREPROCESS_STEPS_MAX);
    }
    for (size_t i = 0; i < json_array_size(steps); i++) {
        FB_TRY(parse_step(json_array_get(steps, i), i, where, &out->steps[i], err));
        out->step_count++;
    }
    return parse_values(document, where, out, err);
}

static const FbPreprocessName *find_name(const char *name)
{
    for (size_t i = 0; i < fb_preprocess_name_count; i++) {
        if (strcmp(fb_preprocess_names[i].name, name) == 0) {
            return &fb_preprocess_names[i];
        }
    }
    return NULL;
}

/* Names carry no size: the short side is scaled so that the model's square is the central 87.5 %, as ImageNet is usually judged. */
static FbStatus name_steps(const FbPreprocessName *row, const FbPicturePort *picture, FbPreprocess *out, FbError *err)
{
    if (picture->height < 1 || picture->width < 1 || picture->height > SIDE_MAX || picture->width > SIDE_MAX) {
        return fb_error_set(err, FB_ERR_ARGUMENT,
                            "preprocess '%s' needs the size of the model's input, which the file leaves open; write a preprocess file with "
                            "steps and sizes", row->name);
    }
    FbPreprocessStep size = {.height = (int)picture->height, .width = (int)picture->width, .filter = row->filter, .antialias = !row->letterbox};
    if (row->letterbox) {
        out->steps[0] = size;
        out->steps[0].kind = FB_PREPROCESS_LETTERBOX;
        out->steps[0].value = 114;
        out->step_count = 1;
        return FB_OK;
    }
    int longer = size.height > size.width ? size.height : size.width;
    out->steps[0] = size;
    out->steps[0].kind = FB_PREPROCESS_RESIZE_SHORT;
    out->steps[0].height = out->steps[0].width = (int)lround(longer / 0.875);
    out->steps[1] = size;
    out->steps[1].kind = FB_PREPROCESS_CENTER_CROP;
    out->step_count = 2;
    out->keep_fitting = true;
    return FB_OK;
}

FbStatus fb_preprocess_from_name(const char *name, const FbPort *port, FbPreprocess *out, FbError *err)
{
    char shown[80];
    FbPicturePort picture;
    const FbPreprocessName *row = find_name(name);
    if (row == NULL) {
        const char *names[16];
        for (size_t i = 0; i < fb_preprocess_name_count; i++) {
            names[i] = fb_preprocess_names[i].name;
        }
        const char *nearest = fb_nearest_name(name, names, fb_preprocess_name_count);
        return fb_error_set(err, FB_ERR_ARGUMENT, "preprocess '%s' is neither a file nor one of imagenet, -1..1, 0..1, 0..255, lite0, yolox%s%s%s",
                            fb_escape(name, shown, sizeof shown), nearest != NULL ? "; did you mean '" : "", nearest != NULL ? nearest : "",
                            nearest != NULL ? "'?" : "");
    }
    if (!fb_picture_port(port, &picture)) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "the model's input '%s' is no picture of 1 or 3 channels",
                            fb_escape(port->name, shown, sizeof shown));
    }
    set_defaults(port, out);
    out->scale = row->scale;
    memcpy(out->mean, row->mean, sizeof out->mean);
    memcpy(out->std, row->std, sizeof out->std);
    if (picture.channels == 1 && (row->mean[0] != row->mean[1] || row->std[0] != row->std[1])) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "preprocess '%s' is for colour, the model's input has one channel", name);
    }
    out->order = picture.channels == 1 ? FB_ORDER_GRAY : row->order;
    return name_steps(row, &picture, out, err);
}

FbStatus fb_preprocess_load(FbContext *context, const char *name_or_path, const FbPort *port, FbPreprocess *out, FbError *err)
{
    const FbFileHooks *files = fb_context_files(context);
    int kind = FB_FILE_OTHER;
    uint64_t bytes = 0;
    if (find_name(name_or_path) != NULL || files->kind(files->user, name_or_path, &kind, &bytes) != 0) {
        return fb_preprocess_from_name(name_or_path, port, out, err);
    }
    json_t *document = NULL;
    FB_TRY(fb_json_load(context, name_or_path, FB_PREPROCESS_FILE_MAX, &document, err));
    FbStatus status = fb_preprocess_parse(document, name_or_path, port, out, err);
    json_decref(document);
    return status;
}

void fb_preprocess_template(const FbPort *port, char *out, size_t out_bytes)
{
    FbPicturePort p = {.layout = FB_LAYOUT_NCHW, .channels = 3, .height = 224, .width = 224};
    (void)fb_picture_port(port, &p);
    int64_t height = p.height > 0 ? p.height : 224, width = p.width > 0 ? p.width : 224;
    int64_t longer = height > width ? height : width;
    snprintf(out, out_bytes,
             "{\"schema\":\"fewbit.preprocess/1\",\"steps\":[{\"resize\":{\"short\":%" PRId64 ",\"filter\":\"bilinear\",\"antialias\":true}},"
             "{\"center_crop\":[%" PRId64 ",%" PRId64 "]}],\"order\":\"%s\",\"scale\":0.00392156863,\"mean\":%s,\"std\":%s,\"layout\":\"%s\"}",
             (int64_t)lround((double)longer / 0.875), height, width, p.channels == 1 ? "GRAY" : "RGB", p.channels == 1 ? "[0]" : "[0,0,0]",
             p.channels == 1 ? "[1]" : "[1,1,1]", layout_names[p.layout]);
}
