/* Typed attribute look-ups, axes and broadcasting of shapes. */
#include "ops/attribute.h"

#include "base/text.h"

static const char *type_name(FbAttributeType type)
{
    static const char *const names[] = {"none",   "float", "int",     "string", "tensor",        "graph",          "floats",   "ints",
                                        "strings", "tensors", "graphs", "sparse tensor", "sparse tensors", "type", "types"};
    return (size_t)type < sizeof names / sizeof names[0] ? names[type] : "unknown";
}

/* *found NULL when absent; wrong types and unresolved references are errors. */
static FbStatus look_up(const FbNode *node, const char *name, FbAttributeType type, const FbAttribute **found, FbError *err)
{
    *found = fb_node_attribute(node, name);
    if (!*found) {
        return FB_OK;
    }
    if ((*found)->reference) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "attribute '%s' refers to a parameter of a function that was not given", name);
    }
    if ((*found)->type != type) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute '%s' is of type %s, expected %s", name, type_name((*found)->type), type_name(type));
    }
    return FB_OK;
}

FbStatus fb_attr_int(const FbNode *node, const char *name, int64_t fallback, int64_t *out, FbError *err)
{
    const FbAttribute *attribute;
    FB_TRY(look_up(node, name, FB_ATTR_INT, &attribute, err));
    *out = attribute ? attribute->i : fallback;
    return FB_OK;
}

FbStatus fb_attr_float(const FbNode *node, const char *name, float fallback, float *out, FbError *err)
{
    const FbAttribute *attribute;
    FB_TRY(look_up(node, name, FB_ATTR_FLOAT, &attribute, err));
    *out = attribute ? attribute->f : fallback;
    return FB_OK;
}

FbStatus fb_attr_bool(const FbNode *node, const char *name, bool fallback, bool *out, FbError *err)
{
    int64_t value;
    FB_TRY(fb_attr_int(node, name, fallback, &value, err));
    *out = value != 0;
    return FB_OK;
}

FbStatus fb_attr_string(const FbNode *node, const char *name, const char *fallback, const char **out, FbError *err)
{
    const FbAttribute *attribute;
    FB_TRY(look_up(node, name, FB_ATTR_STRING, &attribute, err));
    *out = fallback;
    if (attribute) {
        const char *text = attribute->s.data ? (const char *)attribute->s.data : "";
        if (attribute->s.count && strlen(text) != attribute->s.count) {
            return fb_error_set(err, FB_ERR_FORMAT, "attribute '%s' holds a NUL character", name);
        }
        *out = attribute->s.count ? text : "";
    }
    return FB_OK;
}

FbStatus fb_attr_ints(const FbNode *node, const char *name, const int64_t **ints, size_t *count, FbError *err)
{
    const FbAttribute *attribute;
    *ints = NULL;
    *count = 0;
    FB_TRY(look_up(node, name, FB_ATTR_INTS, &attribute, err));
    if (attribute) {
        *ints = attribute->ints;
        *count = attribute->count;
    }
    return FB_OK;
}

FbStatus fb_attr_floats(const FbNode *node, const char *name, const float **floats, size_t *count, FbError *err)
{
    const FbAttribute *attribute;
    *floats = NULL;
    *count = 0;
    FB_TRY(look_up(node, name, FB_ATTR_FLOATS, &attribute, err));
    if (attribute) {
        *floats = attribute->floats;
        *count = attribute->count;
    }
    return FB_OK;
}

FbStatus fb_attr_required_int(const FbNode *node, const char *name, int64_t *out, FbError *err)
{
    if (!fb_node_attribute(node, name)) {
        return fb_error_set(err, FB_ERR_FORMAT, "required attribute '%s' is missing", name);
    }
    return fb_attr_int(node, name, 0, out, err);
}

FbStatus fb_axis_normalize(int64_t axis, int rank, int *out, FbError *err)
{
    if (axis < -(int64_t)rank || axis >= rank) {
        return fb_error_set(err, FB_ERR_FORMAT, "axis %lld is outside of a tensor of rank %d", (long long)axis, rank);
    }
    *out = (int)(axis < 0 ? axis + rank : axis);
    return FB_OK;
}

static bool broadcast_dim(int64_t a, int64_t b, int64_t *out)
{
    if (a == b || b == 1) {
        *out = a; /* two unknown sizes stay unknown */
    } else if (a == 1) {
        *out = b;
    } else if (a >= 0 && b >= 0) {
        return false;
    } else if (a >= 0 || b >= 0) {
        *out = a >= 0 ? a : b; /* the open one can only be 1 or the same */
    } else {
        *out = FB_DIM_UNKNOWN;
    }
    return true;
}

FbStatus fb_shape_broadcast(const FbShape *a, const FbShape *b, FbShape *out, FbError *err)
{
    FbShape result = {.rank = -1};
    if (a->rank >= 0 && b->rank >= 0) {
        result.rank = a->rank > b->rank ? a->rank : b->rank;
        for (int i = 1; i <= result.rank; i++) {
            int64_t left = i <= a->rank ? a->dims[a->rank - i] : 1;
            int64_t right = i <= b->rank ? b->dims[b->rank - i] : 1;
            if (!broadcast_dim(left, right, &result.dims[result.rank - i])) {
                char a_text[96], b_text[96];
                fb_shape_text(a, a_text, sizeof a_text);
                fb_shape_text(b, b_text, sizeof b_text);
                return fb_error_set(err, FB_ERR_FORMAT, "shapes %s and %s cannot be broadcast together", a_text, b_text);
            }
        }
    }
    *out = result;
    return FB_OK;
}
