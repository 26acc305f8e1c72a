/* Graph transforms by name: before ranges are measured, and before a recipe's rules are applied. */
#ifndef FB_CALIBRATE_TRANSFORM_H
#define FB_CALIBRATE_TRANSFORM_H

#include "graph/model.h"

typedef enum FbTransform { FB_TRANSFORM_FOLD_CONSTANTS = 0, FB_TRANSFORM_FOLD_BATCH_NORM, FB_TRANSFORM_FOLD_BIAS, FB_TRANSFORM_FOLD_PAD,
                           FB_TRANSFORM_COUNT } FbTransform;

FbStatus fb_transform_apply(FbTransform transform, FbModel *model, FbError *err);

#endif
