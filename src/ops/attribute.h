/* Typed look-ups of attributes for decode: absent gives the default, a wrong type is FB_ERR_FORMAT naming the attribute. */
#ifndef FB_OPS_ATTRIBUTE_H
#define FB_OPS_ATTRIBUTE_H

#include "ops/op.h"

FbStatus fb_attr_int(const FbNode *node, const char *name, int64_t fallback, int64_t *out, FbError *err);
FbStatus fb_attr_float(const FbNode *node, const char *name, float fallback, float *out, FbError *err);
FbStatus fb_attr_bool(const FbNode *node, const char *name, bool fallback, bool *out, FbError *err);
FbStatus fb_attr_string(const FbNode *node, const char *name, const char *fallback, const char **out, FbError *err);
/* *ints stays NULL, *count 0 when absent; points into the node. */
FbStatus fb_attr_ints(const FbNode *node, const char *name, const int64_t **ints, size_t *count, FbError *err);
FbStatus fb_attr_floats(const FbNode *node, const char *name, const float **floats, size_t *count, FbError *err);
FbStatus fb_attr_required_int(const FbNode *node, const char *name, int64_t *out, FbError *err);

/* axis in [-rank, rank) -> [0, rank); FB_ERR_FORMAT otherwise. */
FbStatus fb_axis_normalize(int64_t axis, int rank, int *out, FbError *err);
/* NumPy broadcasting of shapes with unknown and symbolic dimensions; FB_ERR_FORMAT when they cannot. */
FbStatus fb_shape_broadcast(const FbShape *a, const FbShape *b, FbShape *out, FbError *err);

#endif
