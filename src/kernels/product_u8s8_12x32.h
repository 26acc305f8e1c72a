/* The shape of the AVX-512 VNNI product; included after simd_avx512.h and PRODUCT_KERNEL. 24 of the 32 registers are sums. */
#define PRODUCT_EACH_ROW(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define PRODUCT_NAME "avx512vnni"
#define PRODUCT_NEEDS (FB_CPU_AVX512 | FB_CPU_AVX512VNNI)
enum { PRODUCT_ROW_TILE = 12, PRODUCT_VECTORS = 2 };

typedef __m512i FbSpread;
static inline FbSpread product_spread(const uint8_t *a)
{
    int32_t quad;
    memcpy(&quad, a, sizeof quad);
    return _mm512_set1_epi32(quad);
}
static inline FbVi product_dot(FbVi sum, FbSpread quad, FbVi weights) { return _mm512_dpbusd_epi32(sum, quad, weights); }

#include "kernels/product_u8s8_vnni_body.h"
