/* The inside of an instance: bindings, stages, bound steps. */
#ifndef FB_RUN_INSTANCE_H
#define FB_RUN_INSTANCE_H

#include "run/plan.h"

typedef enum FbOrigin { /* of a bound value's memory; views have their root's */
    FB_ORIGIN_NONE = 0, /* not bound yet */
    FB_ORIGIN_CONSTANT, /* in the plan */
    FB_ORIGIN_KNOWN,    /* computed when binding */
    FB_ORIGIN_INPUT,    /* the caller's memory, patched in every run */
    FB_ORIGIN_STAGE,    /* in a stage's memory */
    FB_ORIGIN_BLOCK     /* a block of its own, made by a control step */
} FbOrigin;

typedef struct FbBoundValue {
    FbShape shape;       /* logical */
    FbTensor tensor;     /* physical */
    FbOrigin origin;
    FbSlot root;         /* whose memory this is; itself when its own */
    uint64_t window_at;  /* a window: bytes from the root's first */
    size_t window_rows;  /* a window: rows that are parts of the root's rows; 1: one piece of it. 0: no window */
    uint32_t stage;      /* STAGE: number of the stage that owns the root's memory */
    uint32_t first, last; /* bound steps between which the root's memory is in use; last UINT32_MAX: to the end of the run */
    uint64_t offset;
} FbBoundValue;

typedef struct FbBoundStep {
    const FbStep *step;
    FbCall call;
    uint64_t scratch_offset;
    bool in_place;       /* Concat, Split: everything is made where it belongs; nothing to run */
    double seconds;      /* the shortest profiled run; 0: none */
} FbBoundStep;

typedef struct FbEvent { /* an observed value is complete after so many bound steps of its stage */
    uint32_t after;
    uint32_t index;
    FbSlot slot;
} FbEvent;

typedef struct FbBlock {
    struct FbBlock *next;
    void *data;
} FbBlock;

typedef struct FbStage {
    struct FbStage *next;
    FbArena *arena;
    uint32_t number;
    size_t first_step, end_step; /* of the plan */
    FbBoundStep *steps;
    size_t step_count, step_capacity;
    FbEvent *events;
    size_t event_count;
    const FbStep *control;       /* the stage is this one step, run by nested plans */
    double control_seconds;      /* of the last profiled run; 0: none */
    uint8_t *memory;
    uint64_t bytes;
    FbBlock *blocks;             /* outputs of control steps */
} FbStage;

typedef struct FbCopy { /* an output that is the caller's own input memory */
    size_t output;
    void *data;
} FbCopy;

typedef struct FbBinding {
    FbInstance *instance;
    FbArena *arena;
    FbShape *input_shapes;
    FbBoundValue *values;
    FbStage *stages, *last_stage;
    FbSlot *patched;             /* values in the caller's memory */
    uint32_t *patched_input;
    size_t patched_count;
    FbCopy *copies;
    size_t copy_count;
    uint64_t used;               /* tick of the last use */
} FbBinding;

struct FbInstance {
    const FbPlan *plan;
    FbContext *context;
    FbBinding *bindings[FB_BINDINGS_MAX];
    uint64_t tick;
    FbObserve observe;
    void *observe_user;
    FbInstance ***bodies;        /* per plan step: instances of the nested plans, or NULL */
    const FbBinding *last;       /* of the last run */
    bool profile;
    bool forecast;               /* bind without allocating memory for stages */
    struct FbKvCache *cache;     /* the session's; NULL */
};

/* bind.c */
FbStatus fb_binding_create(FbInstance *instance, const FbTensor *const *inputs, FbBinding **binding, FbError *err);
void fb_binding_free(FbBinding *binding);
/* Binds the next stage, from plan step `first` on, with the values that exist by now. */
FbStatus fb_binding_stage(FbBinding *binding, size_t first, FbStage **stage, FbError *err);
/* Frees the stages behind the first, whose shapes depend on data. */
void fb_binding_rewind(FbBinding *binding);
FbSlot fb_binding_root(const FbBinding *binding, FbSlot slot);
/* Sets a value's logical shape and its tensor's dimensions and bytes from shape and type. */
FbStatus fb_binding_set_type(FbBinding *binding, FbSlot slot, FbDtype dtype, const FbShape *shape, FbError *err);

/* bind_windows.c: what a Concat joins is made where it belongs in the output, parts of a Split stay where they are, when those that make and
 * read them can do with windows. After lifetimes are known. */
FbStatus fb_stage_windows(FbBinding *binding, FbStage *stage, FbError *err);
/* Tells the calls which of their tensors are windows; after all places are known. */
FbStatus fb_stage_strides(FbBinding *binding, FbStage *stage, FbError *err);

/* bind_memory.c: lifetimes, sharing, offsets; then the stage's one block. */
FbStatus fb_stage_layout(FbBinding *binding, FbStage *stage, FbError *err);

/* convert.c */
/* Reals to u8 codes of a grid, or back: the output's type says which way. Both take windows. */
void fb_convert_codes(const FbCall *call, const FbCodeGrid *grid);
/* Codes through a table. */
void fb_convert_table(const FbCall *call, const void *table);
void fb_convert_form(FbContext *context, const FbTensor *from, FbTensor *to, bool to_channels_last);
/* Both orders have the same bytes: one channel or one place. */
bool fb_convert_is_view(const FbShape *logical);

/* control.c: runs If, Loop or Scan of a stage and sets its outputs. */
FbStatus fb_control_run(FbBinding *binding, FbStage *stage, FbError *err);

#endif
