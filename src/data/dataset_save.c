/* Writing a data set as the arrays that the model saw, so that another runtime gets the same numbers. */
#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "data/dataset.h"
#include "data/npz_write.h"
#include "tensor/tensor.h"

static FbStatus save_input(FbContext *context, FbDataset *data, FbNpzWriter *writer, size_t input, const char *name, FbError *err)
{
    size_t count = fb_dataset_count(data);
    FbShape first = {0};
    for (size_t i = 0; i < count; i++) {
        FbSample sample;
        FB_TRY(fb_check_cancel(context, err));
        FB_TRY(fb_dataset_read(data, i, &sample, err));
        if (input >= sample.input_count) {
            return fb_error_set(err, FB_ERR_ARGUMENT, "sample '%s' has %zu inputs", sample.name, sample.input_count);
        }
        const FbTensor *tensor = &sample.inputs[input];
        FbShape shape = fb_tensor_shape(tensor);
        if (i == 0) {
            int64_t dims[FB_NPY_RANK_MAX];
            int rank = fb_stacked_shape(tensor, count, dims);
            first = shape;
            FB_TRY(fb_npz_begin(writer, name, tensor->dtype, rank, dims, err));
        } else if (!fb_shape_equal(&first, &shape)) {
            return fb_error_set(err, FB_ERR_UNSUPPORTED, "sample '%s' has another shape than the first: its inputs do not fit one array",
                                sample.name);
        }
        FB_TRY(fb_npz_write(writer, tensor->data, tensor->bytes, err));
    }
    return FB_OK;
}

/* labels and position, each only when the first sample has one. */
static FbStatus save_numbers(FbDataset *data, FbNpzWriter *writer, bool positions, FbError *err)
{
    size_t count = fb_dataset_count(data);
    for (size_t i = 0; i < count; i++) {
        FbSample sample;
        FB_TRY(fb_dataset_read(data, i, &sample, err));
        int64_t value = positions ? sample.position : sample.label;
        if (i == 0 && value < 0) {
            return FB_OK;
        }
        if (i == 0) {
            FB_TRY(fb_npz_begin(writer, positions ? "position" : "labels", FB_DTYPE_S64, 1, (int64_t[]){(int64_t)count}, err));
        }
        FB_TRY(fb_npz_write(writer, &value, sizeof value, err));
    }
    return FB_OK;
}

FbStatus fb_dataset_save(FbContext *context, const FbModel *model, FbDataset *data, const char *path, int overwrite, FbError *err)
{
    FbNpzWriter *writer = NULL;
    FB_TRY(fb_npz_create(context, path, overwrite != 0, &writer, err));
    FbStatus status = FB_OK;
    for (size_t i = 0; status == FB_OK && i < fb_model_input_count(model); i++) {
        status = save_input(context, data, writer, i, fb_model_input(model, i).name, err);
    }
    status = status == FB_OK ? save_numbers(data, writer, false, err) : status;
    status = status == FB_OK ? save_numbers(data, writer, true, err) : status;
    if (status != FB_OK) {
        fb_npz_abandon(writer);
        return fb_error_context(err, status, "%s", path);
    }
    return fb_npz_commit(writer, err);
}
