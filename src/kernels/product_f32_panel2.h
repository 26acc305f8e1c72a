/* A panel row of two vectors: thirty-two columns. */
#include "kernels/epilogue_math.h"

enum { PRODUCT_COL_TILE = 32 };

typedef struct FbPanel { FbV x, y; } FbPanel;
static inline size_t panel_first(size_t n) { return n < 16 ? n : 16; }
static inline FbPanel panel_set(float value) { return (FbPanel){fb_v_set(value), fb_v_set(value)}; }
static inline FbPanel panel_load_all(const float *p) { return (FbPanel){fb_v_load(p), fb_v_load(p + 16)}; }
static inline FbPanel panel_load(const float *p, size_t n)
{
    return (FbPanel){fb_v_load_n(p, panel_first(n)), n > 16 ? fb_v_load_n(p + 16, n - 16) : fb_v_set(0.0f)};
}
static inline void panel_store(float *p, FbPanel a, size_t n)
{
    fb_v_store_n(p, a.x, panel_first(n));
    if (n > 16) {
        fb_v_store_n(p + 16, a.y, n - 16);
    }
}
static inline FbPanel panel_add(FbPanel a, FbPanel b) { return (FbPanel){fb_v_add(a.x, b.x), fb_v_add(a.y, b.y)}; }
static inline FbPanel panel_fma(float a, FbPanel w, FbPanel sum)
{
    const FbV each = fb_v_set(a);
    return (FbPanel){fb_v_fma(each, w.x, sum.x), fb_v_fma(each, w.y, sum.y)};
}
static inline FbPanel panel_clamp(FbPanel a, float low, float high)
{
    return (FbPanel){fb_m_clamp(a.x, fb_v_set(low), fb_v_set(high)), fb_m_clamp(a.y, fb_v_set(low), fb_v_set(high))};
}
