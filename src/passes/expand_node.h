/* What the passes share that rewrite integer operators as real ones between Quants: scales and zero points that are constant, encoded
 * constants from codes, new nodes. Nothing of it is written to files: graphs are rewritten for execution only. */
#ifndef FB_PASSES_EXPAND_NODE_H
#define FB_PASSES_EXPAND_NODE_H

#include "passes/passes.h"

/* Of ONNX's operators that these passes make; a graph for execution may mix versions. */
enum { FB_EXPAND_VERSION = 21 };

typedef struct FbExpand {
    FbGraph *graph;
    FbArena *arena;     /* for the time of the pass */
    FbError *err;
} FbExpand;

/* Scale and zero point of a tensor, or of every index of an axis; constants. */
typedef struct FbExpandGrid {
    FbId scale, zero;   /* values; zero FB_NONE: absent */
    FbDtype code;       /* U8 or S8 */
    size_t count;       /* 1, or the size of the axis */
    float *scales;      /* arena; finite and > 0 */
    int32_t *zeros;     /* arena */
} FbExpandGrid;

static inline FbId fb_expand_input(const FbNode *node, uint32_t i) { return i < node->input_count ? node->inputs[i] : FB_NONE; }

/* Inputs first and first + 1 of the node. `many`: how many numbers there may be instead of 1; `code`: of an absent zero point. *ok false:
 * not constant, or not of this form. */
FbStatus fb_expand_read_grid(const FbExpand *expand, const FbNode *node, uint32_t first, int64_t many, FbDtype code, FbExpandGrid *grid,
                             bool *ok);
bool fb_expand_same_grid(const FbExpandGrid *a, const FbExpandGrid *b);

/* A new value "<base><suffix>". */
FbStatus fb_expand_value(const FbExpand *expand, const char *base, const char *suffix, FbId *value);
/* A new node in the place of `beside`, with one output: *value, which is made when it is FB_NONE, named after the output of `beside`. */
FbStatus fb_expand_emit(const FbExpand *expand, const FbNode *beside, const char *op_type, int version, const FbId *inputs, size_t count,
                        FbId *value, FbNode **made);
FbStatus fb_expand_copy_attributes(const FbExpand *expand, const FbNode *from, FbNode *to);
/* A value that is the real number of constant codes: scales along `axis` when there are several. u8 codes with zero point 128 become s8. */
FbStatus fb_expand_encoded(const FbExpand *expand, FbId codes, int axis, const FbExpandGrid *grid, FbId *value);
/* The same of an s32 bias, scales per element. */
FbStatus fb_expand_bias(const FbExpand *expand, FbId codes, const float *scales, size_t count, FbId *value);

#endif
