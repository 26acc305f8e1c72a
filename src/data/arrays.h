/* Named numeric arrays of an .npz archive or a single .npy file, read by rows of the first axis in bounded memory. */
#ifndef FB_DATA_ARRAYS_H
#define FB_DATA_ARRAYS_H

#include "base/file.h"
#include "data/npy.h"

typedef struct FbArrayInfo {
    const char *name;   /* without ".npy"; for a .npy file "" */
    FbDtype dtype;
    int rank;
    int64_t dims[FB_NPY_RANK_MAX];
    uint64_t rows;      /* dims[0]; 1 for a scalar */
    size_t row_bytes;
} FbArrayInfo;

typedef struct FbArrays FbArrays;

/* Told by content: "PK" is an archive, "\x93NUMPY" an array. All headers are parsed and compared with the sizes; no data are read. */
FbStatus fb_arrays_open(FbContext *context, FbSource *source, FbArrays **arrays, FbError *err);
bool fb_arrays_is_one(const uint8_t *first, size_t bytes); /* do these first 8 bytes begin such a file? */
void fb_arrays_free(FbArrays *arrays);

size_t fb_arrays_count(const FbArrays *arrays);
const FbArrayInfo *fb_arrays_info(const FbArrays *arrays, size_t index);
int fb_arrays_find(const FbArrays *arrays, const char *name); /* -1: none */

/* `count` rows from `first` in C order and machine byte order. */
FbStatus fb_arrays_read(FbArrays *arrays, size_t index, uint64_t first, uint64_t count, void *out, FbError *err);
/* Reads array `index` once so that its checksum is compared. */
FbStatus fb_arrays_verify(FbArrays *arrays, size_t index, FbError *err);

#endif
