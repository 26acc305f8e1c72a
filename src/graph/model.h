/* The inside of FbModel: a graph and what a file says about it. */
#ifndef FB_GRAPH_MODEL_H
#define FB_GRAPH_MODEL_H

#include "fewbit/language.h"
#include "graph/graph.h"

typedef struct FbOpset { const char *domain; int64_t version; } FbOpset;
typedef struct FbProperty { const char *key, *value; } FbProperty;

typedef struct FbFunction { /* a local function; its body's values are named like a graph's */
    const char *domain, *name, *overload;
    FbGraph *body;                    /* inputs and outputs are the function's */
    const char **attributes; size_t attribute_count;       /* names that must be given */
    const FbAttribute *defaults; size_t default_count;     /* attributes with default values */
    FbOpset *opsets; size_t opset_count;
    FbBytes extra;
} FbFunction;

struct FbModel {
    FbContext *context;
    FbArena *arena;
    FbGraph *graph;
    int64_t ir_version, model_version;
    const char *producer_name, *producer_version, *domain, *doc; /* NULL: absent */
    FbOpset *opsets; size_t opset_count;
    FbProperty *properties; size_t property_count;
    FbFunction *functions; size_t function_count;
    FbBytes extra;
    const char *path;                 /* as given to load; for messages */
    uint64_t file_bytes;              /* of the main file */
    char sha256[65];                  /* of the main file's bytes, computed when first asked for; "" until then */
    bool has_model_version;
    const FbLanguageInfo *language;   /* of a language model built from a checkpoint; NULL */
};

FbStatus fb_model_create(FbContext *context, FbModel **model, FbError *err); /* empty, no graph */
FbStatus fb_model_clone(const FbModel *model, FbModel **clone, FbError *err);
int64_t fb_model_opset(const FbModel *model, const char *domain);            /* 0: not imported */
FbStatus fb_model_set_opset(FbModel *model, const char *domain, int64_t version, FbError *err);
const char *fb_model_property(const FbModel *model, const char *key);        /* NULL: absent */
FbStatus fb_model_set_property(FbModel *model, const char *key, const char *value, FbError *err);
/* SHA-256 of the structure and all weights, independent of the file's container; what statistics files remember. */
FbStatus fb_model_hash(FbModel *model, char sha256[65], FbError *err);

#endif
