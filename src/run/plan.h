/* A plan: the steps that run a graph, made once without concrete shapes; and an instance of it, which binds shapes and runs.
 *
 * A plan value ("slot") is a value in one memory order; a value that is needed in both orders has two slots and a CONVERT step. Shapes
 * in slots are logical (N, C, spatial...); the tensors that kernels see have physical dimensions (N, spatial..., C when channels last). */
#ifndef FB_RUN_PLAN_H
#define FB_RUN_PLAN_H

#include "fewbit/steps.h"
#include "graph/model.h"
#include "ops/lowering.h"
#include "ops/op.h"

typedef struct FbPlan FbPlan;
typedef struct FbInstance FbInstance;
typedef uint32_t FbSlot; /* index of a plan value; FB_NONE: absent */

enum { FB_CONTROL_DEPTH = 32 };

typedef struct FbPlanValue {
    const char *name;
    FbDtype dtype;
    FbShape shape;            /* logical, as far as known when compiling */
    bool channels_last;
    bool is_constant;         /* `constant` has physical dims; its data is NULL when only packed copies exist */
    bool is_output;
    bool codes;               /* held as u8 codes of `grid`; dtype above stays the real's */
    FbCodeGrid grid;
    FbTensor constant;
} FbPlanValue;

typedef enum FbStepKind {
    FB_STEP_OP = 0,   /* the operator row's run */
    FB_STEP_LOWERED,  /* the lowering's run, with packed constants and an epilogue */
    FB_STEP_CONVERT,  /* to or from channels last */
    FB_STEP_QUANTIZE, /* reals to codes */
    FB_STEP_DEQUANTIZE, /* codes to reals */
    FB_STEP_TABLE,    /* codes through a table of 256 codes or reals */
    FB_STEP_CONTROL   /* If, Loop, Scan: runs nested plans */
} FbStepKind;

typedef struct FbStep {
    FbStepKind kind;
    const char *name;         /* of the node; for CONVERT of the value */
    const FbNode *node;       /* NULL: CONVERT, QUANTIZE, DEQUANTIZE */
    const FbOp *op;           /* NULL: as node, and TABLE */
    bool integer;             /* works on codes */
    const char *reason;       /* integer mode: why it works in float; NULL */
    const void *params;       /* decoded: what infer reads */
    const void *run_params;   /* what run reads: params, or their channels-last form */
    bool channels_last;       /* the form in which the operator works; for CONVERT the form of its output */
    bool view;                /* the output is input 0's bytes under another shape */
    FbCodeGrid grid;          /* QUANTIZE, DEQUANTIZE */
    const void *table;        /* TABLE: [256] of what the output is: u8 or float */
    int convert_rank;         /* CONVERT: rank of the output, leading dimensions of 1 are added */
    uint32_t node_inputs;     /* inputs that infer sees */
    uint32_t input_count, output_count; /* inputs: the node's, a fused bias, fused operands; CONTROL: the node's, then captures */
    FbSlot *inputs, *outputs;
    const FbLowering *lowering;
    void *state;              /* the lowering's packed constants */
    const FbNode **fused;     /* nodes that became part of this step */
    uint32_t fused_count;
    FbPlan **bodies;          /* CONTROL: then_branch, else_branch; body */
    uint32_t *body_captures;  /* CONTROL: index in `inputs` of each body's first capture */
    uint32_t body_count;
} FbStep;

struct FbPlan {
    FbContext *context;
    FbArena *arena;
    FbGraph *graph;           /* the edited clone; freed by the outermost plan. Its constants' bytes are released after compiling. */
    bool owns_graph;
    struct FbBlockStore *store; /* of the outermost plan: constants in block types, packed; NULL in others */
    FbPlanValue *values;
    size_t value_count, value_capacity;
    FbStep *steps;
    size_t step_count, step_capacity;
    FbSlot *inputs;           /* what the caller feeds: graph inputs, then captures of the enclosing graph */
    size_t input_count;
    FbType *input_types;      /* as declared */
    FbId *captures;           /* value ids of the enclosing graph, for inputs from first_capture on */
    size_t first_capture;
    FbSlot *outputs;
    size_t output_count;
    FbSlot *observed;         /* per observed name */
    size_t observed_count;
    FbMode mode;
    bool apart;               /* see FbPlanOptions */
};

typedef struct FbPlanOptions {
    FbMode mode;
    const char *const *observed;
    size_t observed_count;
    bool plain; /* every node as its operator row runs it: nothing folded, fused, packed or channels last. The definition that the
                   optimized plan is tested against: same bits, except where batch norms were folded. */
    bool apart; /* every value in memory of its own, Concat and Split copy: what windows are tested against */
} FbPlanOptions;

FbStatus fb_plan_create(FbContext *context, const FbModel *model, const FbPlanOptions *options, FbPlan **plan, FbError *err);
void fb_plan_free(FbPlan *plan); /* NULL is fine */

/* Physical dimensions of a logical shape, and the names of both orders. */
FbShape fb_form_physical(const FbShape *logical, bool channels_last);

/* ---- instances: bindings per input shapes, memory, running ---- */

enum { FB_BINDINGS_MAX = 4 };

FbStatus fb_instance_create(const FbPlan *plan, FbInstance **instance, FbError *err);
void fb_instance_free(FbInstance *instance); /* NULL is fine */
/* state.c: a cache for the steps that keep keys and values, which the caller frees after the instance; NULL: there are no such steps. */
FbStatus fb_instance_keep(FbInstance *instance, const FbSessionOptions *options, struct FbKvCache **cache, FbError *err);
void fb_instance_observe(FbInstance *instance, FbObserve observe, void *user);
/* inputs[plan->input_count], dtypes and ranks checked against the plan's declarations by the caller or here. outputs[plan->output_count]
 * point into the instance until its next run. */
FbStatus fb_instance_run(FbInstance *instance, const FbTensor *const *inputs, FbTensor *outputs, FbError *err);
/* Bytes that a run with these input types needs for values and scratch, without running; weights not included. The forecast stops at
 * the first shape that depends on data (*complete false). */
FbStatus fb_instance_forecast(FbInstance *instance, const FbTensor *const *inputs, uint64_t *bytes, bool *complete, FbError *err);
/* Times per step, from now on. */
void fb_instance_profile(FbInstance *instance, bool on);
/* steps.c: the steps of the last run; false: no such step. */
size_t fb_instance_step_count(const FbInstance *instance);
bool fb_instance_step(const FbInstance *instance, size_t index, FbStepInfo *info);

/* The plan and the instance of a session. */
const FbPlan *fb_session_plan(const FbSession *session);
FbInstance *fb_session_instance(FbSession *session);

#endif
