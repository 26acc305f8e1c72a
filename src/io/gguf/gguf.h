/* GGUF files, versions 2 and 3, as tensor tables. Source: the GGUF specification (docs/gguf.md of ggml). */
#ifndef FB_IO_GGUF_GGUF_H
#define FB_IO_GGUF_GGUF_H

#include "graph/tensor_table.h"

enum {
    FB_GGUF_KEY_MAX = 65535,         /* bytes of a key */
    FB_GGUF_NAME_MAX = 63,           /* bytes of a tensor name */
    FB_GGUF_TEXT_MAX = 16 << 20,     /* of a single string value */
    FB_GGUF_KEYS_MAX = 1 << 20,
    FB_GGUF_TENSORS_MAX = 1 << 21,
    FB_GGUF_ALIGNMENT = 32,          /* where general.alignment does not say otherwise */
    FB_GGUF_ALIGNMENT_MAX = 1 << 20,
    FB_GGUF_PARTS_MAX = 10000
};

/* A file with all the parts it belongs to, which lie beneath its folder. */
FbStatus fb_gguf_open(FbContext *context, const char *path, FbCheckpoint **out, FbError *err);
/* One file by itself, a part or a whole. `path` is for messages. */
FbStatus fb_gguf_open_source(FbContext *context, FbSource *source, const char *path, FbCheckpoint **out, FbError *err);

/* Reads an open file into an empty table; takes over the source. */
FbStatus fb_gguf_read(FbCheckpoint *checkpoint, FbSource *source, const char *name, FbError *err);
/* What a whole model must have: an architecture, tokenizer arrays that belong together. */
FbStatus fb_gguf_check(const FbCheckpoint *checkpoint, FbError *err);

/* Where an element of ggml's type `number` is plain: its dtype; NONE otherwise. And the reverse; -1: none. */
FbDtype fb_gguf_plain_dtype(uint32_t number);
int fb_gguf_number_of_dtype(FbDtype dtype);

#endif
