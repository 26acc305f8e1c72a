/* Opening data for a model: its inputs become plain ports. */
#include "data/dataset.h"

FbStatus fb_dataset_open(FbContext *context, const FbModel *model, const char *path, const FbDatasetOptions *options, FbDataset **dataset,
                         FbError *err)
{
    size_t count = fb_model_input_count(model);
    FbPort *ports = fb_alloc_array(context, count + 1, sizeof *ports);
    *dataset = NULL;
    if (ports == NULL) {
        return fb_error_memory(context, err, "data set", count * sizeof *ports);
    }
    for (size_t i = 0; i < count; i++) {
        ports[i] = fb_model_input(model, i);
    }
    FbStatus status = fb_dataset_open_ports(context, ports, count, path, options != NULL ? options->preprocess : NULL, dataset, err);
    fb_free(context, ports);
    return status;
}
