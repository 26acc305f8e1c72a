/* Writing GGUF version 3: first everything that has a size (keys, then tensors), then the bytes of the tensors in the same order, streamed.
 * The file appears under its name when it is complete. */
#ifndef FB_IO_GGUF_WRITE_H
#define FB_IO_GGUF_WRITE_H

#include "io/gguf/gguf.h"

typedef struct FbGgufWriter FbGgufWriter;

FbStatus fb_gguf_writer_create(FbContext *context, FbGgufWriter **writer, FbError *err);
void fb_gguf_writer_free(FbGgufWriter *writer); /* what is not committed is removed; NULL is fine */

/* Keys in the order of the file; one that was given is FB_ERR_FORMAT. general.alignment takes effect. */
FbStatus fb_gguf_put_text(FbGgufWriter *writer, const char *key, const char *text, FbError *err);
FbStatus fb_gguf_put_u32(FbGgufWriter *writer, const char *key, uint32_t value, FbError *err);
FbStatus fb_gguf_put_s32(FbGgufWriter *writer, const char *key, int32_t value, FbError *err);
FbStatus fb_gguf_put_f32(FbGgufWriter *writer, const char *key, float value, FbError *err);
FbStatus fb_gguf_put_bool(FbGgufWriter *writer, const char *key, bool value, FbError *err);
FbStatus fb_gguf_put_texts(FbGgufWriter *writer, const char *key, const FbBytes *texts, size_t count, FbError *err);
/* An array of little-endian numbers, `count` elements of `type` at `values`. */
FbStatus fb_gguf_put_numbers(FbGgufWriter *writer, const char *key, FbMetaType type, const void *values, size_t count, FbError *err);
/* A value as it was read, from this or another file. */
FbStatus fb_gguf_put_meta(FbGgufWriter *writer, const FbMeta *meta, FbError *err);

/* A tensor of ggml's type `number`; the shape outermost first, 1 to 4 dimensions. */
FbStatus fb_gguf_put_tensor(FbGgufWriter *writer, const char *name, const FbShape *shape, uint32_t number, FbError *err);
/* What a tensor has in bytes; false when the type is unknown, rows are no whole blocks or the size overflows. */
bool fb_gguf_tensor_bytes(uint32_t number, const FbShape *shape, uint64_t *bytes);

uint64_t fb_gguf_file_bytes(const FbGgufWriter *writer); /* of the complete file */
/* Writes all that was put. Afterwards only bytes of tensors follow, in order, in pieces of any size that may span tensors. */
FbStatus fb_gguf_start(FbGgufWriter *writer, const char *path, bool overwrite, FbError *err);
FbStatus fb_gguf_write(FbGgufWriter *writer, const void *bytes, size_t count, FbError *err);
/* sha256 may be NULL. Fewer bytes than announced are FB_ERR_INTERNAL. */
FbStatus fb_gguf_commit(FbGgufWriter *writer, char *sha256, FbError *err);

#endif
