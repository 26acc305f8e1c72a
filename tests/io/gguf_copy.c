/* Writes a GGUF file again, for tests: gguf_copy INPUT OUTPUT [TYPE]. With TYPE, matrices whose rows are whole blocks get that block type. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/gguf/gguf.h"
#include "io/gguf/gguf_write.h"
#include "tensor/block_type.h"

static uint32_t number_of(const FbConst *constant)
{
    return constant->encoding != NULL ? (uint32_t)constant->encoding->blocks->number : (uint32_t)fb_gguf_number_of_dtype(constant->dtype);
}

static bool becomes_blocks(const FbConst *constant, const FbBlockType *type)
{
    return type != NULL && constant->encoding == NULL && constant->shape.rank == 2 && constant->shape.dims[1] % type->elements == 0;
}

static FbStatus copy_bytes(FbGgufWriter *writer, const FbPlane *plane, FbError *err)
{
    char raw[10000];
    for (uint64_t at = 0; at < plane->bytes;) {
        size_t part = plane->bytes - at < sizeof raw ? (size_t)(plane->bytes - at) : sizeof raw;
        FB_TRY(fb_plane_read(plane, at, raw, part, err));
        FB_TRY(fb_gguf_write(writer, raw, part, err));
        at += part;
    }
    return FB_OK;
}

static FbStatus encode_rows(FbContext *context, FbGgufWriter *writer, const FbConst *constant, const FbBlockType *type, FbError *err)
{
    size_t cols = (size_t)constant->shape.dims[1], blocks = cols / (size_t)type->elements;
    float *row = fb_alloc_array(context, cols, sizeof *row);
    uint8_t *bytes = fb_alloc_array(context, blocks, (size_t)type->bytes);
    FbStatus status = row != NULL && bytes != NULL ? FB_OK : FB_ERR_NO_MEMORY;
    for (int64_t r = 0; status == FB_OK && r < constant->shape.dims[0]; r++) {
        status = fb_const_read_f32(context, constant, (uint64_t)r * cols, cols, row, err);
        status = status == FB_OK ? fb_block_encode(type, row, (uint64_t)r * cols, bytes, blocks, NULL, err) : status;
        status = status == FB_OK ? fb_gguf_write(writer, bytes, blocks * (size_t)type->bytes, err) : status;
    }
    fb_free(context, row);
    fb_free(context, bytes);
    return status;
}

static FbStatus copy(FbContext *context, const FbCheckpoint *table, const FbBlockType *type, FbGgufWriter *writer, const char *path, FbError *err)
{
    for (size_t i = 0; i < table->metadata_count; i++) {
        FB_TRY(fb_gguf_put_meta(writer, &table->metadata[i], err));
    }
    for (size_t i = 0; i < table->tensor_count; i++) {
        const FbConst *constant = &table->tensors[i].constant;
        uint32_t number = becomes_blocks(constant, type) ? (uint32_t)type->number : number_of(constant);
        FB_TRY(fb_gguf_put_tensor(writer, table->tensors[i].name, &constant->shape, number, err));
    }
    FB_TRY(fb_gguf_start(writer, path, true, err));
    for (size_t i = 0; i < table->tensor_count; i++) {
        const FbConst *constant = &table->tensors[i].constant;
        if (becomes_blocks(constant, type)) {
            FB_TRY(encode_rows(context, writer, constant, type, err));
        } else {
            FB_TRY(copy_bytes(writer, &constant->planes[FB_PLANE_CODES], err));
        }
    }
    return fb_gguf_commit(writer, NULL, err);
}

int main(int count, char **arguments)
{
    FbContext *context = NULL;
    FbCheckpoint *table = NULL;
    FbGgufWriter *writer = NULL;
    FbError err = {0};
    const FbBlockType *type = count > 3 ? fb_block_type_find(arguments[3]) : NULL;
    if (count < 3 || fb_context_create(NULL, &context, NULL) != FB_OK) {
        return 2;
    }
    FbStatus status = fb_gguf_open(context, arguments[1], &table, &err);
    status = status == FB_OK ? fb_gguf_writer_create(context, &writer, &err) : status;
    status = status == FB_OK ? copy(context, table, type, writer, arguments[2], &err) : status;
    if (status != FB_OK) {
        fprintf(stderr, "%s\n", err.message);
    }
    fb_gguf_writer_free(writer);
    fb_checkpoint_free(table);
    fb_context_free(context);
    return status == FB_OK ? 0 : fb_status_exit_code(status);
}
