/* What a pass over a text watches for an importance matrix: the values that enter the products with the layers' matrices, and their squares. */
#ifndef FB_CALIBRATE_IMPORTANCE_WATCH_H
#define FB_CALIBRATE_IMPORTANCE_WATCH_H

#include "fewbit/session.h"
#include "graph/model.h"
#include "io/gguf/imatrix.h"

typedef struct FbImportanceSums { /* of squares; one value enters several weights, one by one or a stack of them */
    size_t columns, matrices;
    double *sums;            /* [matrices][columns] */
    uint64_t *rows;          /* added so far, [matrices] */
} FbImportanceSums;

typedef struct FbImportanceMixture FbImportanceMixture;

typedef struct FbImportanceValue { /* in the session's order */
    const char *name;
    size_t columns;
    FbImportanceSums *sums;       /* of a value that every row of enters a product; NULL */
    bool kept;               /* enters experts, too: kept until it is known which */
    FbImportanceMixture *mixture; /* this is what a mixture tells of its experts; NULL: an ordinary value */
    bool active;             /* what enters their `down`; otherwise who was chosen */
} FbImportanceValue;

struct FbImportanceMixture {
    size_t x;                /* index of the value that enters it */
    size_t top_k;
    FbImportanceSums in, down;    /* of gate and up; of down; one matrix for each expert */
};

typedef struct FbImportanceWeight { /* which matrices of the sums a row of an FbImatrix has */
    const FbImportanceSums *sums;
    size_t first;
} FbImportanceWeight;

typedef struct FbImportanceWatch {
    FbContext *context;
    FbArena *arena;
    const FbModel *model;       /* as given, or `own` */
    FbModel *own;               /* a copy whose mixtures tell of their experts; NULL: there are none */
    FbImportanceValue *values; size_t value_count;
    const char **names;         /* of the values */
    size_t *place;              /* by the graph's value ids: 1 + index into values; 0: none */
    FbImportanceWeight *weights;     /* by the matrix' rows */
    FbImportanceMixture **mixtures; size_t mixture_count;
    size_t tokens;              /* of a run at most */
    float *kept; size_t kept_value, kept_rows;
    int64_t *chosen; size_t chosen_rows;
    FbImatrix *imatrix;         /* the caller's; gets a row for every weight */
} FbImportanceWatch;

/* watch: context, arena, model, imatrix and tokens are set. FB_ERR_UNSUPPORTED: there is nothing to watch. */
FbStatus fb_importance_choose(FbImportanceWatch *watch, FbError *err);
/* An FbObserve; user: the FbImportanceWatch. */
FbStatus fb_importance_observe(void *user, size_t index, const FbTensor *tensor, int channels_last, FbError *err);
/* Fills the rows of the matrix; FB_ERR_NUMERIC: a sum is not finite. *experts, *unseen: how many there are in all mixtures, and that saw nothing. */
FbStatus fb_importance_fill(const FbImportanceWatch *watch, size_t *experts, size_t *unseen, FbError *err);
void fb_importance_reset(FbImportanceWatch *watch);

#endif
