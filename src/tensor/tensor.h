/* Shapes and small helpers over FbTensor. */
#ifndef FB_TENSOR_TENSOR_H
#define FB_TENSOR_TENSOR_H

#include "base/arena.h"
#include "tensor/dtype.h"

/* rank -1: unknown. A dimension >= 0 is known; a negative one is a symbol: equal numbers are equal sizes, FB_DIM_UNKNOWN equals nothing. */
typedef struct FbShape {
    int rank;
    int64_t dims[FB_RANK_MAX];
} FbShape;
#define FB_DIM_UNKNOWN ((int64_t)-1)

bool fb_shape_is_known(const FbShape *shape);                     /* rank and every dimension */
bool fb_shape_equal(const FbShape *a, const FbShape *b);          /* same rank, same numbers; unknown dimensions are unequal */
int64_t fb_shape_elements(const FbShape *shape);                  /* -1 when unknown or overflowing */
FbShape fb_shape_make(int rank, const int64_t *dims);
void fb_shape_text(const FbShape *shape, char *out, size_t bytes); /* "1x3x224x224", "?x3", "scalar", "unknown" */

static inline FbShape fb_tensor_shape(const FbTensor *tensor) { return fb_shape_make(tensor->rank, tensor->dims); }
int64_t fb_tensor_elements(const FbTensor *tensor);
/* A tensor in the arena, zeroed; NULL when refused or the size overflows. */
FbTensor *fb_tensor_create(FbArena *arena, FbDtype dtype, const FbShape *shape);
/* Element i of an integer tensor (s64, s32, s8, u8, ... bool) as int64. */
int64_t fb_tensor_int(const FbTensor *tensor, int64_t i);
/* Element i of any numeric tensor as double. */
double fb_tensor_number(const FbTensor *tensor, int64_t i);

#endif
