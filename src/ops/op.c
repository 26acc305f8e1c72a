/* Looking operator rows up, and the checks that are the same for every operator: version, counts, attribute names. */
#include "ops/op.h"

#include <stdio.h>

#include "base/text.h"
#include "ops/table.h"

enum { NAMES_MAX = 1024 };

size_t fb_op_count(void)
{
    size_t count = 0;
    for (size_t f = 0; f < fb_op_family_count; f++) {
        count += fb_op_families[f] ? fb_op_families[f]->count : 0;
    }
    return count;
}

const FbOp *fb_op_at(size_t index)
{
    for (size_t f = 0; f < fb_op_family_count; f++) {
        size_t count = fb_op_families[f] ? fb_op_families[f]->count : 0;
        if (index < count) {
            return &fb_op_families[f]->rows[index];
        }
        index -= count;
    }
    return NULL;
}

static const char *domain_normal(const char *domain) { return strcmp(domain, "ai.onnx") == 0 ? "" : domain; }

static const char *domain_text(const char *domain) { return domain[0] ? domain : "ai.onnx"; }

static void explain_missing_name(const char *domain, const char *op_type, char *why, size_t why_bytes)
{
    const char *names[NAMES_MAX];
    const char *elsewhere = NULL;
    size_t count = 0, total = fb_op_count();
    for (size_t i = 0; i < total; i++) {
        const FbOp *op = fb_op_at(i);
        if (strcmp(op->domain, domain) == 0) {
            if (count < NAMES_MAX) {
                names[count++] = op->name;
            }
        } else if (strcmp(op->name, op_type) == 0) {
            elsewhere = op->domain;
        }
    }
    char op_text[80], domain_escaped[80];
    fb_escape(op_type, op_text, sizeof op_text);
    fb_escape(domain_text(domain), domain_escaped, sizeof domain_escaped);
    const char *nearest = count ? fb_nearest_name(op_type, names, count) : NULL;
    if (count == 0 && !elsewhere) {
        snprintf(why, why_bytes, "operator '%s' is of domain '%s', of which fewbit knows no operator", op_text, domain_escaped);
    } else if (nearest) {
        snprintf(why, why_bytes, "domain '%s' has no operator '%s' that fewbit knows; the nearest name is '%s'", domain_escaped, op_text, nearest);
    } else if (elsewhere) {
        snprintf(why, why_bytes, "operator '%s' is known in domain '%s', not in '%s'", op_text, domain_text(elsewhere), domain_escaped);
    } else {
        snprintf(why, why_bytes, "operator '%s' of domain '%s' is not supported", op_text, domain_escaped);
    }
}

const FbOp *fb_op_find(const char *domain, const char *op_type, int version, char *why, size_t why_bytes)
{
    const FbOp *below = NULL, *above = NULL; /* rows of this name that end before, or begin after, the version */
    domain = domain_normal(domain);
    if (why_bytes) {
        why[0] = '\0';
    }
    for (size_t f = 0; f < fb_op_family_count; f++) {
        for (size_t i = 0; fb_op_families[f] && i < fb_op_families[f]->count; i++) {
            const FbOp *op = &fb_op_families[f]->rows[i];
            if (strcmp(op->name, op_type) != 0 || strcmp(op->domain, domain) != 0) {
                continue;
            }
            if (version >= op->since && version <= op->newest) {
                return op;
            }
            if (version > op->newest && (!below || op->newest > below->newest)) {
                below = op;
            } else if (version < op->since && (!above || op->since < above->since)) {
                above = op;
            }
        }
    }
    if (above) {
        snprintf(why, why_bytes, "operator '%s' is known from operator set %d of domain '%s' on, the file uses %d", op_type, above->since,
                 domain_text(domain), version);
    } else if (below) {
        snprintf(why, why_bytes, "operator '%s' is known up to operator set %d of domain '%s', the file uses %d", op_type, below->newest,
                 domain_text(domain), version);
    } else {
        explain_missing_name(domain, op_type, why, why_bytes);
    }
    return NULL;
}

static uint32_t used_count(const FbId *ids, uint32_t count)
{
    while (count > 0 && ids[count - 1] == FB_NONE) {
        count--; /* absent optional ones at the end may be written or left out */
    }
    return count;
}

static FbStatus check_counts(const FbNode *node, const FbOp *op, FbError *err)
{
    uint32_t inputs = used_count(node->inputs, node->input_count);
    uint32_t outputs = used_count(node->outputs, node->output_count);
    if (inputs < (uint32_t)op->min_inputs || (op->max_inputs >= 0 && inputs > (uint32_t)op->max_inputs)) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s has %u inputs, expected %d to %d", op->name, inputs, op->min_inputs, op->max_inputs);
    }
    if (outputs < (uint32_t)op->min_outputs || (op->max_outputs >= 0 && outputs > (uint32_t)op->max_outputs)) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s has %u outputs, expected %d to %d", op->name, outputs, op->min_outputs, op->max_outputs);
    }
    for (int i = 0; i < op->min_inputs; i++) {
        if (node->inputs[i] == FB_NONE && (op->optional >> i & 1) == 0) {
            return fb_error_set(err, FB_ERR_FORMAT, "%s lacks its required input %d", op->name, i);
        }
    }
    return FB_OK;
}

static FbStatus check_attributes(const FbNode *node, const FbOp *op, FbError *err)
{
    char text[80];
    size_t known = 0;
    while (op->attributes && op->attributes[known]) {
        known++;
    }
    for (size_t a = 0; a < node->attribute_count; a++) {
        const char *name = node->attributes[a].name;
        size_t k = 0;
        while (k < known && strcmp(op->attributes[k], name) != 0) {
            k++;
        }
        if (k == known) {
            const char *nearest = known ? fb_nearest_name(name, op->attributes, known) : NULL;
            fb_escape(name, text, sizeof text);
            return nearest ? fb_error_set(err, FB_ERR_FORMAT, "%s has no attribute '%s'; the nearest is '%s'", op->name, text, nearest)
                           : fb_error_set(err, FB_ERR_FORMAT, "%s has no attribute '%s'", op->name, text);
        }
        for (size_t b = 0; b < a; b++) {
            if (strcmp(node->attributes[b].name, name) == 0) {
                return fb_error_set(err, FB_ERR_FORMAT, "attribute '%s' is given twice", name);
            }
        }
    }
    return FB_OK;
}

FbStatus fb_op_decode(const FbNode *node, FbArena *arena, const FbOp **op_out, void **params_out, FbError *err)
{
    char why[320];
    *op_out = NULL;
    *params_out = NULL;
    const FbOp *op = fb_op_find(node->domain, node->op_type, node->version, why, sizeof why);
    if (!op) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "%s", why);
    }
    FB_TRY(check_counts(node, op, err));
    FB_TRY(check_attributes(node, op, err));
    void *params = NULL;
    if (op->params_bytes) {
        params = fb_arena_alloc(arena, op->params_bytes);
        if (!params) {
            return fb_error_memory(fb_arena_context(arena), err, "operator parameters", op->params_bytes);
        }
    }
    if (op->decode) {
        FB_TRY(op->decode(node, arena, params, err));
    }
    *op_out = op;
    *params_out = params;
    return FB_OK;
}

const FbTensor *fb_infer_value(FbInfer *infer, int i)
{
    if (!infer->inputs[i].value) {
        infer->pending = true;
    }
    return infer->inputs[i].value;
}
