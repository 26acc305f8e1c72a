/* A panel row of one vector: sixteen columns. */
#include "kernels/epilogue_math.h"

enum { PRODUCT_COL_TILE = 16 };

typedef FbV FbPanel;
static inline FbPanel panel_set(float value) { return fb_v_set(value); }
static inline FbPanel panel_load_all(const float *p) { return fb_v_load(p); }
static inline FbPanel panel_load(const float *p, size_t n) { return n == 16 ? fb_v_load(p) : fb_v_load_n(p, n); }
static inline void panel_store(float *p, FbPanel a, size_t n)
{
    if (n == 16) {
        fb_v_store(p, a);
    } else {
        fb_v_store_n(p, a, n);
    }
}
static inline FbPanel panel_add(FbPanel a, FbPanel b) { return fb_v_add(a, b); }
static inline FbPanel panel_fma(float a, FbPanel w, FbPanel sum) { return fb_v_fma(fb_v_set(a), w, sum); }
static inline FbPanel panel_clamp(FbPanel a, float low, float high) { return fb_m_clamp(a, fb_v_set(low), fb_v_set(high)); }
