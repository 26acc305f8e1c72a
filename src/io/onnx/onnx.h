/* What the rest of fewbit asks of the ONNX reader beside fb_model_load and fb_model_save. */
#ifndef FB_IO_ONNX_ONNX_H
#define FB_IO_ONNX_ONNX_H

#include "base/file.h"
#include "graph/model.h"

/* Loading from an open source, with a say about folding; fb_model_load folds. `path` says where external data is looked for. */
FbStatus fb_onnx_load_source(FbContext *context, FbSource *source, const char *path, bool fold, FbModel **model, FbError *err);

/* A file that is one TensorProto (test_data_set folders); tensor->data is fb_alloc'ed. External data must lie beneath the working folder. */
FbStatus fb_onnx_load_tensor(FbContext *context, const char *path, FbTensor *tensor, FbError *err);

/* What a file that is not ONNX seems to be, with advice; NULL when nothing is recognised. */
const char *fb_onnx_sniff(const uint8_t *bytes, size_t count);

#endif
