/* The inside of a data set: one row per kind of DATA, samples built one at a time in reused buffers. */
#ifndef FB_DATA_DATASET_H
#define FB_DATA_DATASET_H

#include "base/context.h"
#include "fewbit/dataset.h"

typedef struct FbDatasetKind {
    const char *name;
    const char *summary;
    /* Fills dataset->sample for `index` (label and position are -1, counts 0 before). */
    FbStatus (*read)(FbDataset *dataset, size_t index, FbError *err);
    void (*free)(FbDataset *dataset); /* frees dataset->state */
} FbDatasetKind;

/* A tensor whose buffer is kept from sample to sample. */
typedef struct FbDataSlot {
    FbTensor tensor;
    size_t capacity;
} FbDataSlot;

struct FbDataset {
    FbContext *context;
    const FbDatasetKind *kind;
    void *state;
    FbPort *ports; /* the model's inputs, names owned */
    size_t port_count;
    size_t count;
    bool has_labels;
    char *folder;  /* or file: as the user gave it */
    FbDataSlot *inputs;
    FbTensor *views; /* what sample.inputs points to */
    FbSample sample;
    char name[256]; /* what sample.name points to */
};

/* Opens DATA for plain ports: fb_dataset_open without a model. The ports are copied. */
FbStatus fb_dataset_open_ports(FbContext *context, const FbPort *ports, size_t port_count, const char *path, const char *preprocess,
                               FbDataset **dataset, FbError *err);

/* The kinds. Each fills state, count and has_labels of a data set whose other fields are set; fb_dataset_free cleans up on failure. */
FbStatus fb_dataset_open_arrays(FbDataset *dataset, FbError *err);
FbStatus fb_dataset_open_pictures(FbDataset *dataset, const char *preprocess, FbError *err);
FbStatus fb_dataset_open_jsonl(FbDataset *dataset, FbError *err);
/* *found: the folder, or its sub-folders, are ONNX test_data_set folders; if not the data set is unchanged. */
FbStatus fb_dataset_open_onnx(FbDataset *dataset, bool *found, FbError *err);

/* Gives slot `index` a type and shape and room for it. */
FbStatus fb_dataset_shape_input(FbDataset *dataset, size_t index, FbDtype dtype, int rank, const int64_t *dims, FbError *err);
/* Is a shape what port `index` takes? rank and closed dimensions must agree. `what` names the sample or array. */
FbStatus fb_dataset_check_shape(const FbDataset *dataset, size_t index, const char *what, int rank, const int64_t *dims, FbError *err);
/* Converts `count` elements when no information is lost on the way: same type, integer to integer in range, anything to float; float to
 * integer is refused. */
FbStatus fb_convert_elements(const char *what, FbDtype from_type, const void *from, FbDtype to_type, void *to, size_t count, FbError *err);

/* Names in a folder, sorted by bytes; hidden ones left out. Freed with fb_names_reset. */
typedef struct FbNames {
    FbContext *context;
    char **items;
    size_t count, capacity;
    bool failed;
} FbNames;
FbStatus fb_names_list(FbContext *context, const char *folder, FbNames *names, FbError *err);
void fb_names_reset(FbNames *names);
/* "folder/name"; freed with fb_free; NULL when memory is refused. */
char *fb_path_join(FbContext *context, const char *folder, const char *name);

#endif
