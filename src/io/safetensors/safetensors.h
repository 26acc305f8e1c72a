/* Safetensors files, one or many, as tensor tables. Source: the format's own document (README of safetensors). */
#ifndef FB_IO_SAFETENSORS_SAFETENSORS_H
#define FB_IO_SAFETENSORS_SAFETENSORS_H

#include "base/json.h"
#include "graph/tensor_table.h"

enum { FB_SAFETENSORS_HEADER_MAX = 100000000, FB_SAFETENSORS_SHARDS_MAX = 10000 };

/* One file; `path` is for messages. */
FbStatus fb_safetensors_open_source(FbContext *context, FbSource *source, const char *path, FbCheckpoint **out, FbError *err);
/* An index file (model.safetensors.index.json) with its shards, which lie beneath its folder. */
FbStatus fb_safetensors_open_index(FbContext *context, const char *path, FbCheckpoint **out, FbError *err);
/* A folder with model.safetensors, an index, or one file that ends in .safetensors; config.json becomes the keys "config.*". */
FbStatus fb_safetensors_open_folder(FbContext *context, const char *folder, FbCheckpoint **out, FbError *err);
FbStatus fb_safetensors_in_folder(FbContext *context, const char *folder, bool *found, FbError *err);

/* Adds the tensors and key-values of an open file to the table; takes over the source. `name` is that of the file in the table. */
FbStatus fb_safetensors_read(FbCheckpoint *checkpoint, FbSource *source, const char *name, FbError *err);
/* The shards of an index, its text given as JSON. */
FbStatus fb_safetensors_read_shards(FbCheckpoint *checkpoint, const json_t *index, const char *folder, FbError *err);

/* JSON of an open file, whose tree must fit the memory cap. */
FbStatus fb_safetensors_json(FbContext *context, FbSource *source, uint64_t offset, uint64_t bytes, const char *what, json_t **out, FbError *err);

#endif
