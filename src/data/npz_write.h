/* Writing an .npz archive as a stream: stored members one after the other, complete under the final name or not there. */
#ifndef FB_DATA_NPZ_WRITE_H
#define FB_DATA_NPZ_WRITE_H

#include "base/file.h"
#include "data/npy.h"

typedef struct FbNpzWriter FbNpzWriter;

FbStatus fb_npz_create(FbContext *context, const char *path, bool overwrite, FbNpzWriter **writer, FbError *err);
/* Starts array `name` (no '/', no control characters); all of its bytes must follow before the next begin or the commit. */
FbStatus fb_npz_begin(FbNpzWriter *writer, const char *name, FbDtype dtype, int rank, const int64_t *dims, FbError *err);
FbStatus fb_npz_write(FbNpzWriter *writer, const void *data, size_t bytes, FbError *err); /* C order, little-endian */
/* Publishes; the writer is freed in any case. */
FbStatus fb_npz_commit(FbNpzWriter *writer, FbError *err);
/* The shape of `count` tensors like this one in one array: (1, ...) stacks to (N, ...), anything else gets the sample axis in front. These
 * are the two forms that reading understands. Returns the rank. */
int fb_stacked_shape(const FbTensor *tensor, size_t count, int64_t dims[FB_NPY_RANK_MAX]);
void fb_npz_abandon(FbNpzWriter *writer); /* NULL is fine */

#endif
