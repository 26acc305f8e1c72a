/* The header of NumPy's .npy format, versions 1 to 3, read without evaluating anything, and its writer.
 * Format: numpy/lib/format.py's description ("NEP 1"). */
#ifndef FB_DATA_NPY_H
#define FB_DATA_NPY_H

#include "base/context.h"
#include "tensor/dtype.h"

enum {
    FB_NPY_PREAMBLE = 12,        /* bytes that are enough to know the header's length */
    FB_NPY_HEADER_MAX = 65536,   /* bytes of a whole header that are accepted */
    FB_NPY_RANK_MAX = FB_RANK_MAX + 1, /* a sample axis in front of a tensor */
    FB_NPY_WRITE_MAX = 512       /* fb_npy_format writes at most this many bytes */
};

typedef struct FbNpy {
    FbDtype dtype;
    bool swap;    /* stored big-endian, elements wider than a byte */
    bool fortran; /* first axis fastest */
    int rank;
    int64_t dims[FB_NPY_RANK_MAX];
    size_t header_bytes; /* where the data begin */
    uint64_t data_bytes; /* elements * width, proved not to overflow */
} FbNpy;

/* Bytes of the whole header, from its first FB_NPY_PREAMBLE bytes. `what` names the array in messages. */
FbStatus fb_npy_header_bytes(const char *what, const uint8_t preamble[FB_NPY_PREAMBLE], size_t *bytes, FbError *err);
/* Parses a whole header of `bytes` bytes. Object, string and structured types are FB_ERR_UNSUPPORTED. */
FbStatus fb_npy_parse(const char *what, const uint8_t *header, size_t bytes, FbNpy *npy, FbError *err);
/* Writes a version 1.0 header, padded to a multiple of 64 bytes; returns its length, 0 when the type has no NumPy name. */
size_t fb_npy_format(FbDtype dtype, int rank, const int64_t *dims, uint8_t out[FB_NPY_WRITE_MAX]);

/* Reverses the bytes of each element in place. width is 2, 4 or 8. */
void fb_npy_swap(void *data, size_t count, size_t width);

#endif
