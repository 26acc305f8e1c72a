/* A small Hugging Face folder, what it becomes as GGUF, and looking at that. Elements count up, so that a row says where it came from. */
#ifndef HF_FOLDER_H
#define HF_FOLDER_H

#include "gguf_folder.h"
#include "io/gguf/gguf_rows.h"

typedef struct Tensor {
    const char *name;
    int rank;
    int64_t dims[3];
} Tensor;


/* Element i of tensor t is 1000 t + i, in F32. */
static void write_tensors(const Tensor *tensors, size_t count)
{
    Bytes header = {0}, bytes = {0};
    size_t at = 0;
    bytes_text(&header, "{");
    for (size_t t = 0; t < count; t++) {
        char text[300], dims[80] = "";
        size_t elements = 1, used = 0;
        for (int i = 0; i < tensors[t].rank; i++) {
            elements *= (size_t)tensors[t].dims[i];
            used += (size_t)snprintf(dims + used, sizeof dims - used, "%s%lld", i ? "," : "", (long long)tensors[t].dims[i]);
        }
        snprintf(text, sizeof text, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}", t ? "," : "", tensors[t].name, dims, at,
                 at + 4 * elements);
        bytes_text(&header, text);
        at += 4 * elements;
    }
    bytes_text(&header, "}");
    bytes_number(&bytes, header.count, 8);
    bytes_add(&bytes, header.data, header.count);
    for (size_t t = 0; t < count; t++) {
        size_t elements = 1;
        for (int i = 0; i < tensors[t].rank; i++) {
            elements *= (size_t)tensors[t].dims[i];
        }
        for (size_t i = 0; i < elements; i++) {
            float value = (float)(1000 * t + i);
            bytes_add(&bytes, &value, 4);
        }
    }
    free(header.data);
    write_bytes(model, "model.safetensors", bytes);
}
#define WRITE(tensors) write_tensors(tensors, sizeof tensors / sizeof tensors[0])

static FbStatus convert(const char *preset, FbCheckpoint **out)
{
    FbCheckpoint *in;
    FbGgufOptions options = {.struct_bytes = sizeof options, .preset = preset, .overwrite = 1};
    warnings[0] = '\0';
    if (out != NULL) {
        *out = NULL;
    }
    assert_int_equal(fb_checkpoint_open(context, model, &in, &err), FB_OK);
    FbStatus status = fb_gguf_quantize(context, in, output, &options, NULL, &err);
    fb_checkpoint_free(in);
    if (status == FB_OK && out != NULL) {
        assert_int_equal(fb_checkpoint_open(context, output, out, &err), FB_OK);
    }
    return status;
}

/* The elements of a tensor of the output. */
static void check(const FbCheckpoint *out, const char *name, int rank, const int64_t *dims, const float *values)
{
    float read[256];
    const FbTableTensor *row = fb_checkpoint_tensor(out, name);
    if (row == NULL) {
        fail_msg("no tensor '%s'", name);
    }
    FbShape shape = fb_shape_make(rank, dims);
    size_t count = (size_t)fb_shape_elements(&shape);
    assert_true(fb_shape_equal(&shape, &row->constant.shape));
    assert_int_equal(fb_const_read_f32(context, &row->constant, 0, count, read, &err), FB_OK);
    for (size_t i = 0; i < count; i++) {
        if (read[i] != values[i]) {
            fail_msg("%s[%zu] is %g, expected %g", name, i, (double)read[i], (double)values[i]);
        }
    }
}

static int64_t number_of(const FbCheckpoint *out, const char *key)
{
    double number = -1.0;
    const FbMeta *meta = fb_checkpoint_meta(out, key);
    fb_meta_number(meta, &number);
    return meta != NULL && meta->type == FB_META_BOOL ? (int64_t)meta->value.u : (int64_t)number;
}

#endif
