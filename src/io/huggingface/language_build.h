/* Building a graph from a spec: nodes, weights, blocks. The first failure is kept in `status`; what is called after it does nothing and gives
 * FB_NONE, so that blocks read like the formulas they are. */
#ifndef FB_IO_HUGGINGFACE_LANGUAGE_BUILD_H
#define FB_IO_HUGGINGFACE_LANGUAGE_BUILD_H

#include "graph/model.h"
#include "io/huggingface/language_spec.h"

typedef struct FbLanguageBuild {
    FbContext *context;
    const FbCheckpoint *checkpoint;
    const FbLanguageSpec *spec;
    FbModel *model;
    FbGraph *graph;
    FbArena *scratch;
    bool gguf;                 /* names and layout of such files */
    bool *used;                /* tensors of the checkpoint, by index */
    FbStatus status;
    FbError *err;
    FbId node;                 /* the last one that was made, for its attributes */
    int64_t layer;             /* -1: outside of layers */
    int64_t table_positions;
    FbId ids, positions, sequences, rows; /* inputs */
    FbId position_row;         /* [1, T] */
    FbId cosines[2], sines[2]; /* of full and of sliding attention */
    FbId slopes;
} FbLanguageBuild;

FbStatus fb_build_fail(FbLanguageBuild *b, FbStatus status); /* keeps the first */

/* ---- nodes ---- */

/* A node with one output; its name and that of the output are "layers.3.NAME" inside a layer. FB_NONE inputs at the end are left out. */
FbId fb_build_node(FbLanguageBuild *b, const char *domain, const char *op_type, const char *name, const FbId *inputs, size_t count);
FbId fb_build_1(FbLanguageBuild *b, const char *op_type, const char *name, FbId x);
FbId fb_build_2(FbLanguageBuild *b, const char *op_type, const char *name, FbId x, FbId y);
/* Of the last node. */
void fb_build_int(FbLanguageBuild *b, const char *attribute, int64_t value);
void fb_build_float(FbLanguageBuild *b, const char *attribute, double value);
void fb_build_text(FbLanguageBuild *b, const char *attribute, const char *value);
/* Parts of x along an axis, of the given sizes. */
void fb_build_split(FbLanguageBuild *b, const char *const *names, FbId x, int64_t axis, const int64_t *sizes, size_t count, FbId *parts);
FbId fb_build_reshape(FbLanguageBuild *b, const char *name, FbId x, const int64_t *dims, int rank);
/* Constants, one for each name. */
FbId fb_build_ints(FbLanguageBuild *b, const char *name, const int64_t *values, size_t count);
FbId fb_build_scalar(FbLanguageBuild *b, const char *name, double value);
FbId fb_build_floats(FbLanguageBuild *b, const char *name, int rank, const int64_t *dims, float **data); /* the caller fills *data */

/* ---- weights ---- */

/* A matrix as it lies in the file, which must have this shape. */
FbId fb_build_matrix(FbLanguageBuild *b, FbLanguageRole role, int64_t expert, int64_t rows, int64_t columns);
/* Rows [first, first + rows) of a matrix of `total` rows, called NAME.PART. */
FbId fb_build_rows(FbLanguageBuild *b, FbLanguageRole role, const char *part, int64_t total, int64_t first, int64_t rows, int64_t columns);
/* All experts' matrices in one tensor. */
FbId fb_build_stack(FbLanguageBuild *b, FbLanguageRole role, int64_t experts, int64_t rows, int64_t columns);
/* Numbers [first, first + count) of a vector of `total`, loaded as float, each plus `add`. FB_NONE when there is no such tensor and it is not
 * needed. */
FbId fb_build_vector(FbLanguageBuild *b, FbLanguageRole role, const char *suffix, const char *part, int64_t total, int64_t first, int64_t count,
                     double add, bool needed);
bool fb_build_has(const FbLanguageBuild *b, FbLanguageRole role, int64_t expert, const char *suffix);
/* x times the weight [out, in] ([in, out] where the spec says so) plus the bias if there is one. */
FbId fb_build_linear(FbLanguageBuild *b, FbLanguageRole role, const char *name, FbId x, int64_t out, int64_t in);
/* The same with rows of a larger weight. */
FbId fb_build_linear_rows(FbLanguageBuild *b, FbLanguageRole role, const char *part, FbId x, int64_t total, int64_t first, int64_t out, int64_t in);
FbId fb_build_norm(FbLanguageBuild *b, FbLanguageRole role, const char *name, FbId x, int64_t width);
/* Every tensor must have been used, but for those that hold nothing of the model's own. */
FbStatus fb_build_check_used(FbLanguageBuild *b);

/* ---- blocks ---- */

void fb_build_rotary_tables(FbLanguageBuild *b);
void fb_build_slopes(FbLanguageBuild *b);
FbId fb_build_attention(FbLanguageBuild *b, FbId x);    /* of normalized x */
FbId fb_build_feed_forward(FbLanguageBuild *b, FbId x);
FbId fb_build_activation(FbLanguageBuild *b, const char *name, FbId x);

#endif
