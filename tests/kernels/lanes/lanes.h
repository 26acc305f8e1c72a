/* Every lane operation of a simd_*.h on the same sixteen inputs, so that instruction sets can be compared one operation at a time. */
#ifndef FB_TESTS_LANES_H
#define FB_TESTS_LANES_H

#include <stddef.h>
#include <stdint.h>

typedef struct LanesIn {
    const float *a, *b, *c;       /* [16] */
    const int32_t *i, *j, *zero;  /* [16]; zero: in [0, 255] */
    const uint8_t *u, *v;         /* [16] */
    const int16_t *w0, *w1;       /* [16] */
    size_t n;                     /* lanes of the operations that take a number of them: what the blocks below have */
    const float *part;
    const int32_t *part_int;
    const uint8_t *part_bytes;
} LanesIn;

enum { LANES_RESULTS = 32 };

typedef struct LanesOut {
    int floats, ints, bytes;
    const char *float_name[LANES_RESULTS], *int_name[LANES_RESULTS], *byte_name[LANES_RESULTS];
    float f[LANES_RESULTS][16];
    int32_t i[LANES_RESULTS][16];
    uint8_t u[LANES_RESULTS][16];
} LanesOut;

typedef void LanesRun(const LanesIn *in, LanesOut *out);
LanesRun lanes_scalar, lanes_avx2, lanes_emulated, lanes_neon;

#endif
