/* Samples: from a folder, an archive, or the caller. */
#ifndef FEWBIT_DATASET_H
#define FEWBIT_DATASET_H

#include "fewbit/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct FbDataset FbDataset;

/* One sample: a tensor per model input, leading batch dimension of 1 included where the model has one. */
typedef struct FbSample {
    const FbTensor *inputs;
    size_t input_count;
    int64_t label;           /* class index; -1: none */
    int64_t position;        /* token tasks: which row of the judged output the label is about; -1: the output is one vector */
    const FbTensor *targets; /* expected outputs (ONNX test_data_set folders), or NULL */
    size_t target_count;
    const char *name;        /* file or row, for messages */
} FbSample;

typedef struct FbDatasetOptions {
    size_t struct_bytes;
    const char *preprocess; /* pictures: a name of fb_preprocess_name or a file; NULL: preprocess.json beside the data */
} FbDatasetOptions;

/* Opens DATA (folder of pictures, .npz, .npy, .jsonl, ONNX test_data_set folders) for the inputs of `model`; samples are decoded one at
 * a time when asked for. */
FB_API FB_MUST_CHECK FbStatus fb_dataset_open(FbContext *context, const FbModel *model, const char *path, const FbDatasetOptions *options,
                                              FbDataset **dataset, FbError *err);
/* The caller's own samples: `read` fills *sample for index 0..count-1; what it points to stays valid until the next call. *sample comes
 * with label and position -1 and the rest zero. */
typedef FbStatus (*FbReadSample)(void *user, size_t index, FbSample *sample, FbError *err);
FB_API FB_MUST_CHECK FbStatus fb_dataset_from_callback(FbContext *context, size_t count, FbReadSample read, void *user, FbDataset **dataset,
                                                       FbError *err);

FB_API size_t fb_dataset_count(const FbDataset *dataset);
FB_API int fb_dataset_has_labels(const FbDataset *dataset);
/* *sample points into the data set and is valid until the next read or free. */
FB_API FB_MUST_CHECK FbStatus fb_dataset_read(FbDataset *dataset, size_t index, FbSample *sample, FbError *err);
/* The named preprocessings, for help and documentation; NULL past the end. *summary receives one line. */
FB_API const char *fb_preprocess_name(size_t index, const char **summary);
/* SHA-256 over the names and raw bytes of all samples (64 hex digits and a NUL); for statistics files and reports. */
FB_API FB_MUST_CHECK FbStatus fb_dataset_hash(FbDataset *dataset, char sha256[65], FbError *err);
/* Every input of the data set as an array named by the model's input, labels and positions beside them, in one .npz. Samples of different
 * shapes are FB_ERR_UNSUPPORTED. */
FB_API FB_MUST_CHECK FbStatus fb_dataset_save(FbContext *context, const FbModel *model, FbDataset *data, const char *path, int overwrite,
                                              FbError *err);
FB_API void fb_dataset_free(FbDataset *dataset);

#ifdef __cplusplus
}
#endif
#endif
