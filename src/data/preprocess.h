/* From a decoded picture to a model's input: geometry steps, then value = (pixel * scale - mean) / std. */
#ifndef FB_DATA_PREPROCESS_H
#define FB_DATA_PREPROCESS_H

#include "base/json.h"
#include "data/resize.h"
#include "fewbit/model.h"

enum { FB_PREPROCESS_STEPS_MAX = 8, FB_PREPROCESS_FILE_MAX = 65536 };

typedef enum FbPreprocessKind { FB_PREPROCESS_RESIZE_SHORT = 0, FB_PREPROCESS_RESIZE, FB_PREPROCESS_CENTER_CROP, FB_PREPROCESS_LETTERBOX } FbPreprocessKind;

typedef struct FbPreprocessStep {
    FbPreprocessKind kind;
    int height, width; /* RESIZE_SHORT: the short side in both */
    FbFilter filter;
    bool antialias;
    uint8_t value;     /* LETTERBOX: colour of the border */
    bool centred;      /* LETTERBOX: picture in the middle, else at the top left */
} FbPreprocessStep;

typedef enum FbOrder { FB_ORDER_RGB = 0, FB_ORDER_BGR, FB_ORDER_GRAY } FbOrder;
typedef enum FbLayout { FB_LAYOUT_NCHW = 0, FB_LAYOUT_NHWC } FbLayout;

typedef struct FbPreprocess {
    FbPreprocessStep steps[FB_PREPROCESS_STEPS_MAX];
    size_t step_count;
    bool keep_fitting; /* a picture that already has the model's size skips the steps (named rows) */
    FbOrder order;
    double scale, mean[3], std[3];
    FbLayout layout;
} FbPreprocess;

/* A row of the table behind `--preprocess NAME`. */
typedef struct FbPreprocessName {
    const char *name;
    const char *summary;
    FbOrder order; /* of colour models; one input channel means grey */
    double scale, mean[3], std[3];
    FbFilter filter;
    bool letterbox;
} FbPreprocessName;

extern const FbPreprocessName fb_preprocess_names[];
extern const size_t fb_preprocess_name_count;

/* The parsed document "fewbit.preprocess/1"; `where` names it in messages; port gives the layout when the document has none. */
FbStatus fb_preprocess_parse(const json_t *document, const char *where, const FbPort *port, FbPreprocess *out, FbError *err);
/* A row of the table, sized by the model's input. FB_ERR_ARGUMENT for an unknown name (with the nearest) or an open input size. */
FbStatus fb_preprocess_from_name(const char *name, const FbPort *port, FbPreprocess *out, FbError *err);
/* A name or the path of a file. */
FbStatus fb_preprocess_load(FbContext *context, const char *name_or_path, const FbPort *port, FbPreprocess *out, FbError *err);
/* A one-line document to start from, made from the model's input. */
void fb_preprocess_template(const FbPort *port, char *out, size_t out_bytes);

/* Where channels, rows and columns of a picture input are; false when the port is no picture of 1 or 3 channels. */
typedef struct FbPicturePort {
    FbLayout layout;
    int64_t channels, height, width; /* height and width negative when open */
    bool batch;                      /* a leading axis of 1 */
} FbPicturePort;
bool fb_picture_port(const FbPort *port, FbPicturePort *out);

/* Runs the steps; to is a new image (3 channels, or 1 for GRAY). */
FbStatus fb_preprocess_geometry(FbContext *context, const char *what, const FbPreprocess *preprocess, const FbPort *port, const FbImage *from,
                                FbImage *to, FbError *err);
/* Values in the model's type into out (fb_preprocess_bytes bytes); the image's size must fit the port. */
FbStatus fb_preprocess_values(const char *what, const FbPreprocess *preprocess, const FbPort *port, const FbImage *image, FbTensor *out,
                              FbError *err);
/* Shape, type and size of what fb_preprocess_values writes; out->data is left NULL. Checks against the port. */
FbStatus fb_preprocess_shape(const char *what, const FbPreprocess *preprocess, const FbPort *port, const FbImage *image, FbTensor *out,
                             FbError *err);

#endif
