/* The shape of the AVX-VNNI product; included after simd_avx2.h and PRODUCT_KERNEL. Twelve of the sixteen registers are sums. */
#include "kernels/intrinsics_avxvnni.h"

#define PRODUCT_EACH_ROW(X) X(0) X(1) X(2) X(3) X(4) X(5)
#define PRODUCT_NAME "avxvnni"
#define PRODUCT_NEEDS (FB_CPU_AVX2 | FB_CPU_AVXVNNI)
enum { PRODUCT_ROW_TILE = 6, PRODUCT_VECTORS = 1 };

typedef __m256i FbSpread;
static inline FbSpread product_spread(const uint8_t *a)
{
    int32_t quad;
    memcpy(&quad, a, sizeof quad);
    return _mm256_set1_epi32(quad);
}
static inline FbVi product_dot(FbVi sum, FbSpread quad, FbVi weights)
{
    return (FbVi){_mm256_dpbusd_avx_epi32(sum.lo, quad, weights.lo), _mm256_dpbusd_avx_epi32(sum.hi, quad, weights.hi)};
}

#include "kernels/product_u8s8_vnni_body.h"
