/* The operator row: everything fewbit knows of an operator. One file per family holds its rows; ops/table.c lists the families.
 *
 * Life of a node: decode (attributes of its file's version -> params with the newest ONNX meaning; the semantic check) -> infer (types,
 * shapes, symbolic at load and concrete at bind) -> run (concrete tensors), or its lowering (packed constants, epilogue).
 * After decode and infer have accepted, run may assume what they proved; values that depend on data are checked by run before use. */
#ifndef FB_OPS_OP_H
#define FB_OPS_OP_H

#include "graph/graph.h"
#include "tensor/tensor.h"

/* What infer sees of an input, and fills in of an output. */
typedef struct FbType {
    bool present;            /* false: optional input or output that is not there */
    FbDtype dtype;           /* NONE: not known (load time only) */
    FbShape shape;
    const FbTensor *value;   /* inputs: the value if it is known (constant, computed from shapes, or at run time); NULL otherwise */
} FbType;

typedef struct FbInfer {
    FbContext *context;
    FbArena *arena;
    const FbNode *node;
    const void *params;
    int input_count, output_count;
    const FbType *inputs;
    FbType *outputs;         /* present is set by the caller; infer sets dtype and shape */
    bool pending;            /* set by fb_infer_value: an input's value decides the shape and is not known yet. infer then returns FB_OK with
                                unknown output shapes: at bind this ends the stage, and infer is called again when the value exists. */
} FbInfer;

/* The value of input i; NULL and pending set when it is not known. The input must be present. */
const FbTensor *fb_infer_value(FbInfer *infer, int i);

typedef struct FbCall {
    FbContext *context;
    const FbNode *node;      /* for messages */
    const void *params;
    int input_count, output_count;
    const FbTensor *const *inputs; /* NULL: absent. Physical order: with channels_last dims are N, spatial..., C */
    FbTensor *const *outputs;      /* dtype, dims, data set; NULL: nobody wants it */
    bool channels_last;
    void *scratch;           /* as many bytes as the row's scratch() asked for, 64-byte aligned, undefined contents */
    size_t scratch_bytes;
    void *state;             /* lowering: what prepare made */
    void *bound;             /* lowering: what bind made */
    struct FbKvCache *cache; /* STATE: keys and values that the session keeps (ops/kv_cache.h); NULL: nobody keeps any */
    /* Windows: a tensor whose rows (its last dimension in memory) are parts of the rows of a wider one. Elements from row to row, per input and of
     * output 0; 0: rows lie side by side. Others than 0 only where the row's or the lowering's `strided` said yes. */
    const size_t *input_strides; /* NULL: all 0 */
    size_t output_stride;
} FbCall;

/* Elements from row to row of input i, or of output 0 (i < 0), which has rows of `own` elements. */
static inline size_t fb_call_stride(const FbCall *call, int i, size_t own)
{
    const size_t stride = i < 0 ? call->output_stride : call->input_strides != NULL ? call->input_strides[i] : 0;
    return stride != 0 ? stride : own;
}
/* True when run takes input i, or output 0 (i < 0), as a window; asked with everything but data. */
typedef bool (*FbStrided)(const FbCall *call, int i);

/* How a decoded node behaves; a row's flags. */
typedef enum FbOpFlags {
    FB_OP_POINTWISE = 1 << 0,  /* output element = f(the broadcast inputs' elements): works in any memory order */
    FB_OP_INPLACE = 1 << 1,    /* output 0 may share memory with an input of the same dtype and dims */
    FB_OP_VIEW = 1 << 2,       /* output 0 is input 0's bytes with another shape (Reshape, Squeeze, Identity): no step at all */
    FB_OP_SPATIAL = 1 << 3,    /* has channels: prefers channels last (Conv, pooling); run looks at call->channels_last */
    FB_OP_RANDOM = 1 << 4,     /* never folded */
    FB_OP_MOVES_DATA = 1 << 5, /* output elements are input 0's elements (of all inputs, where any number of them is taken): codes and
                                  parameters pass through (Transpose, Slice, MaxPool, Concat) */
    FB_OP_CONTROL = 1 << 6,    /* If, Loop, Scan: the executor runs it by nested plans, there is no run */
    FB_OP_STATE = 1 << 7       /* reads and changes what the session keeps (FbCall.cache): never folded, runs when its turn comes */
} FbOpFlags;

struct FbLowering;

/* The newest ONNX operator set a row may claim; `since..FB_OPSET_NEWEST` for operators that have kept their meaning. */
enum { FB_OPSET_NEWEST = 28 };

typedef struct FbOp {
    const char *domain, *name, *summary;
    int since, newest;                 /* operator-set versions understood; several rows of one name serve disjoint ranges */
    int min_inputs, max_inputs;        /* max -1: any number */
    uint32_t optional;                 /* bit i: input i may be absent although it is below min_inputs */
    int min_outputs, max_outputs;
    size_t params_bytes;               /* 0: no params, decode may be NULL */
    unsigned flags;
    /* node->version is in [since, newest]. Allocate lists from arena. Errors name the attribute; the caller adds the node. */
    FbStatus (*decode)(const FbNode *node, FbArena *arena, void *params, FbError *err);
    FbStatus (*infer)(FbInfer *infer, FbError *err);
    size_t (*scratch)(const FbCall *call); /* NULL: none. inputs/outputs have dtype and dims, no data. */
    FbStatus (*run)(const FbCall *call, FbError *err); /* NULL: runs only when lowered or folded away */
    FbStrided strided;                 /* NULL: never */
    /* Rewrites params for channels-last tensors of this rank (Concat axis 1 -> rank - 1); false: cannot. NULL: row cannot, unless it is
     * POINTWISE or SPATIAL. */
    bool (*channels_last)(void *params, int rank);
    bool (*moves)(const void *params); /* MOVES_DATA with these params only; NULL: always */
    const struct FbLowering *lowering; /* NULL: run is all there is */
    const struct FbLowering *integer;  /* on codes (FbPrepare.grids), for FB_MODE_INTEGER; NULL: the operator works in float */
    const struct FbLowering *blocks;   /* with a constant in block form (FbEncoding.blocks): tried before the others, in every mode; NULL: none */
    const char *const *attributes;     /* names that any version in [since, newest] may carry, NULL-terminated; NULL: the operator has none */
} FbOp;

/* The row for a node, or NULL (no such domain/name/version in the table): `why` then says which of them, and the nearest name. */
const FbOp *fb_op_find(const char *domain, const char *op_type, int version, char *why, size_t why_bytes);
/* All rows, for listings and tests. */
size_t fb_op_count(void);
const FbOp *fb_op_at(size_t index);
/* Decodes and checks one node: version, input and output counts, attributes (unknown ones are errors). *params is NULL for rows without. */
FbStatus fb_op_decode(const FbNode *node, FbArena *arena, const FbOp **op, void **params, FbError *err);

/* One family's rows. */
typedef struct FbOpFamily { const FbOp *rows; size_t count; } FbOpFamily;

#endif
