/* What the parts of the compiler share. */
#ifndef FB_RUN_COMPILE_H
#define FB_RUN_COMPILE_H

#include "passes/passes.h"
#include "run/plan.h"

/* A product and the nodes behind it that become its epilogue. */
typedef struct FbChain {
    const FbNode *node;
    FbId bias;               /* constant found behind the product; FB_NONE */
    FbFusedOp fused[FB_EPILOGUE_MAX];
    FbId operands[FB_EPILOGUE_MAX]; /* per fused op: the value; FB_NONE */
    int fused_count;
    FbId out;                /* the value the step makes */
    size_t tail;             /* place in the order of the last node absorbed */
    FbId *absorbed;          /* node ids behind the product, in order */
    size_t absorbed_count;
    bool channels_last;      /* the form that the lowering accepted */
    const FbLowering *lowering;
    bool integer;            /* the lowering works on codes */
    FbId dynamic;            /* the value that the step quantizes per run, instead of the node's input 0; FB_NONE */
} FbChain;

/* How a value is held. */
typedef struct FbForm {
    bool channels_last, codes;
} FbForm;
enum { FB_FORM_COUNT = 4 };

typedef struct FbCodeTable { /* of a value that is a function of one coded value */
    FbId source;
    float *reals;            /* [256], of the source's codes; NULL: not such a value */
} FbCodeTable;

typedef struct FbCompileNode { /* per node id */
    const FbOp *op;
    void *params;
    size_t place;            /* in the order */
    FbChain *chain;          /* on the product */
    bool absorbed;           /* emitted as part of a chain */
    FbChain *emit_chain;     /* on the node at the chain's tail */
    bool table;              /* its output is in compile->tables: a step only where somebody else than such nodes needs it */
} FbCompileNode;

typedef struct FbCompile {
    FbContext *context;
    FbPlan *plan;
    FbGraph *graph;
    struct FbCompile *parent;
    int depth;
    bool plain;              /* see FbPlanOptions */
    FbArena *scratch;
    FbKeep keep;             /* observed values; only of the outermost graph */
    FbType *types;           /* per value id */
    size_t value_count;      /* of the above and below */
    FbSlot *slots;           /* per value id: in the form its step makes */
    FbSlot (*forms)[FB_FORM_COUNT]; /* per value id: in each form that somebody asked for */
    const FbCodeGrid **grids; /* integer mode, per value id: the grid its reals lie on; NULL */
    FbCodeTable *tables;         /* integer mode, per value id */
    bool integer;            /* FB_MODE_INTEGER */
    struct FbBlockStore *store; /* the outermost plan's */
    FbUses uses;
    FbId *order;
    size_t order_count;
    FbCompileNode *nodes;    /* per node id */
    size_t node_count;
} FbCompile;

/* compile_types.c: decodes every node and infers types as far as they are known without shapes. */
FbStatus fb_compile_check(FbGraph *graph, int depth, FbError *err);
FbStatus fb_compile_types(FbCompile *compile, FbError *err);
/* "node 'conv1' (Conv)": for messages. */
FbStatus fb_node_error(const FbNode *node, FbStatus status, FbError *err);

/* compile_fuse.c: finds the products that a lowering serves and what each takes into its epilogue. */
FbStatus fb_compile_fuse(FbCompile *compile, FbError *err);
bool fb_compile_is_kept(const FbCompile *compile, FbId value); /* must exist: a graph output, or observed */
/* Fills what a lowering sees of a chain; arrays live in compile->scratch. */
FbStatus fb_compile_prepare(FbCompile *compile, const FbChain *chain, FbPrepare *prepare, FbError *err);

/* compile_quant.c: a Quant node with one constant scale and zero point over the whole tensor, as a ROUND of the epilogue. */
bool fb_compile_quant_round(const FbCompile *compile, const FbNode *node, FbFusedOp *op);

/* compile_codes.c: values on a grid of 8 bits, in integer mode. */
FbStatus fb_compile_grids(FbCompile *compile, FbError *err);
/* Output elements are those of inputs on the same grid: the step may move codes. */
bool fb_compile_moves_codes(const FbCompile *compile, const FbNode *node);
bool fb_compile_same_grid(const FbCodeGrid *a, const FbCodeGrid *b);
/* The source of a value that a Quant with a range of each run's data makes; FB_NONE. */
FbId fb_compile_dynamic_source(const FbCompile *compile, FbId value);
/* A Quant that stands alone: nothing to do where its input has the same grid, else a QUANTIZE step. */
FbStatus fb_compile_quant(FbCompile *compile, const FbNode *node, FbError *err);
/* Why a node works in float although the mode is integer. */
const char *fb_compile_reason(const FbCompile *compile, const FbNode *node);

/* compile_tables.c: notes a node that is a function of one coded value; makes the step for one that is needed. */
FbStatus fb_compile_table(FbCompile *compile, const FbNode *node, bool *is_table, FbError *err);
FbStatus fb_compile_table_step(FbCompile *compile, const FbNode *node, FbError *err);

/* compile_control.c: If, Loop, Scan with their nested plans. */
FbStatus fb_compile_control(FbCompile *compile, const FbNode *node, FbError *err);

/* compile_form.c: slots and memory orders. */
FbStatus fb_compile_new_slot(FbCompile *compile, FbId value, const FbType *type, FbForm form, FbSlot *slot, FbError *err);
/* The slot of a value in a form, with steps in front when it is new. Constants have reals only; codes need a grid. */
FbStatus fb_compile_form(FbCompile *compile, FbId value, FbForm form, FbSlot *slot, FbError *err);
/* The reals of a value in a memory order. rank: of the output when more than the value's own
 * (broadcast operands of channels-last steps); 0: as it is. */
FbStatus fb_compile_slot(FbCompile *compile, FbId value, bool channels_last, int rank, FbSlot *slot, FbError *err);
/* A constant that only a lowering reads: dimensions without bytes. */
FbStatus fb_compile_shell(FbCompile *compile, FbId value, FbSlot *slot, FbError *err);
bool fb_compile_is_channels_last(const FbCompile *compile, FbId value); /* the form its step makes */

/* compile_steps.c: emits steps in order. */
FbStatus fb_compile_steps(FbCompile *compile, FbError *err);
FbStatus fb_compile_add_step(FbCompile *compile, FbStep **step, FbError *err);
/* Slots for a step's outputs in one form (codes where they have a grid); absent outputs are FB_NONE. */
FbStatus fb_compile_outputs(FbCompile *compile, FbStep *step, const FbNode *node, FbForm form, FbError *err);

/* compile.c: a graph and, recursively, its subgraphs. */
FbStatus fb_compile_graph(FbContext *context, FbGraph *graph, FbCompile *parent, const FbPlanOptions *options, FbPlan **plan, FbError *err);

/* evaluate.c: the evaluator of fb_pass_fold_constants. */
FbStatus fb_evaluate_node(void *user, const FbGraph *graph, const FbNode *node, const FbTensor *const *inputs, FbTensor *outputs,
                          uint64_t max_bytes, bool *done, FbError *err);

#endif
