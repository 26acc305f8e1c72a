/* Files through the context's hooks: sources that are read by position, and outputs that appear complete or not at all. */
#ifndef FB_BASE_FILE_H
#define FB_BASE_FILE_H

#include "base/context.h"

/* An open file to read from; shared by reference count, because constants of several graphs read from one file. */
typedef struct FbSource FbSource;

FbStatus fb_source_open(FbContext *context, const char *path, FbSource **source, FbError *err);
/* `relative` must name a regular file beneath `folder` without links or "..". */
FbStatus fb_source_open_beneath(FbContext *context, const char *folder, const char *relative, FbSource **source, FbError *err);
/* A source over bytes in memory, copied. */
FbStatus fb_source_from_memory(FbContext *context, const void *bytes, size_t count, FbSource **source, FbError *err);
FbSource *fb_source_retain(FbSource *source);
void fb_source_release(FbSource *source);     /* closes with the last reference; NULL is fine */
uint64_t fb_source_bytes(const FbSource *source);
const char *fb_source_path(const FbSource *source);
/* Exactly `bytes` bytes, or an error that names path and offset (also when the file has shrunk). */
FbStatus fb_source_read(FbSource *source, uint64_t offset, void *buffer, size_t bytes, FbError *err);

/* The whole of a small file (<= max_bytes, else FB_ERR_BUDGET); a NUL is added after *bytes bytes. Freed with fb_free. */
FbStatus fb_file_read_all(FbContext *context, const char *path, size_t max_bytes, char **data, size_t *bytes, FbError *err);

/* An output file: written under a temporary name in the same folder, then synced, re-read and compared by digest, renamed. */
typedef struct FbOutput FbOutput;

FbStatus fb_output_create(FbContext *context, const char *path, bool overwrite, FbOutput **output, FbError *err);
FbStatus fb_output_write(FbOutput *output, const void *bytes, size_t count, FbError *err);   /* appends, buffered */
FbStatus fb_output_pad(FbOutput *output, size_t alignment, FbError *err);                    /* zeros up to a multiple */
uint64_t fb_output_position(const FbOutput *output);
/* Publishes under the final name; sha256 (65 chars, may be NULL) receives the digest. The output is freed in any case. */
FbStatus fb_output_commit(FbOutput *output, char *sha256, FbError *err);
void fb_output_abandon(FbOutput *output);     /* removes the temporary file; NULL is fine */

#endif
