/* A recipe as the pipeline reads it: ordered rules over nodes. The JSON document beside it is what the written file embeds. */
#ifndef FB_QUANTIZE_RECIPE_H
#define FB_QUANTIZE_RECIPE_H

#include "base/arena.h"
#include "base/json.h"
#include "calibrate/observer.h"
#include "calibrate/transform.h"
#include "fewbit/quantize.h"

typedef enum FbPosition { FB_POSITION_ANY = 0, FB_POSITION_FIRST, FB_POSITION_LAST } FbPosition;

typedef struct FbMatch { /* all that are given must hold */
    const char *name;    /* pattern, NULL: any */
    const char **op_types;
    size_t op_type_count; /* 0: any */
    FbPosition position;  /* among the nodes that the rest accepts, in topological order */
} FbMatch;

typedef struct FbWeightSpec {
    bool set;
    const FbCode *code; /* f16 and bf16: plain elements behind a Cast */
    FbGrain grain;
    int64_t block;
    bool symmetric;
    int64_t min_elements; /* smaller constants stay as they are */
} FbWeightSpec;

typedef enum FbActivationKind { FB_ACTIVATION_FLOAT = 0, FB_ACTIVATION_STATIC, FB_ACTIVATION_DYNAMIC } FbActivationKind;

typedef struct FbActivationSpec {
    FbActivationKind kind;
    const FbObserver *observer;
    FbObserverSettings settings;
} FbActivationSpec;

typedef struct FbRule {
    FbMatch match;
    FbWeightSpec weights;
    FbActivationSpec activations;
    bool required; /* matching nothing is an error */
} FbRule;

typedef enum FbQuantFormat { FB_QUANT_FORMAT_QDQ = 0, FB_QUANT_FORMAT_QOPERATOR } FbQuantFormat;
typedef enum FbTarget { FB_TARGET_ONNXRUNTIME = 0, FB_TARGET_OPENVINO } FbTarget;

struct FbRecipe {
    FbContext *context;
    FbArena *arena;
    json_t *document;
    const char *name;
    FbTransform transforms[FB_TRANSFORM_COUNT];
    size_t transform_count;
    FbQuantFormat format;
    FbTarget target;
    FbRule *rules;
    size_t rule_count;
    FbMatch *excluded; /* each must match something */
    size_t excluded_count;
};

/* A preset: a recipe's text under a name. */
typedef struct FbPreset {
    const char *name, *summary, *json;
} FbPreset;
extern const FbPreset fb_presets[];
extern const size_t fb_preset_count;



#endif
