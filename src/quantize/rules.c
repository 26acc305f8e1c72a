/* Which rule speaks of which node. */
#include "quantize/quantizer.h"

#include <stdio.h>

#include "base/text.h"

static bool has_weight(const FbGraph *graph, const FbNode *node)
{
    const FbQuantOp *op = fb_quant_op(node);
    for (uint32_t i = 0; op != NULL && i < node->input_count && i < 32; i++) {
        if ((op->weights >> i & 1) != 0 && node->inputs[i] != FB_NONE && fb_graph_constant(graph, node->inputs[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static bool name_matches(const FbGraph *graph, const FbNode *node, const char *pattern)
{
    if (node->name != NULL && node->name[0] != '\0' && fb_glob_match(pattern, node->name)) {
        return true;
    }
    for (uint32_t i = 0; i < node->output_count; i++) {
        if (node->outputs[i] != FB_NONE && fb_glob_match(pattern, graph->values[node->outputs[i]].name)) {
            return true;
        }
    }
    return false;
}

static bool type_matches(const FbNode *node, const FbMatch *match)
{
    bool found = match->op_type_count == 0;
    for (size_t i = 0; i < match->op_type_count && !found; i++) {
        found = strcmp(match->op_types[i], node->op_type) == 0;
    }
    return found;
}

/* Everything but the position; a position alone counts nodes with weights. */
static bool accepts(const FbGraph *graph, const FbNode *node, const FbMatch *match)
{
    if (!type_matches(node, match) || (match->name != NULL && !name_matches(graph, node, match->name))) {
        return false;
    }
    return match->position == FB_POSITION_ANY || match->op_type_count > 0 || has_weight(graph, node);
}

/* Sets hits[node]; returns how many. */
static size_t collect(const FbQuantizer *quantizer, const FbMatch *match, bool *hits)
{
    size_t count = 0;
    FbId only = FB_NONE;
    memset(hits, 0, quantizer->node_count * sizeof *hits);
    for (size_t i = 0; i < quantizer->order_count; i++) {
        FbId id = quantizer->order[i];
        if (!accepts(quantizer->graph, quantizer->graph->nodes[id], match)) {
            continue;
        }
        if (match->position == FB_POSITION_ANY) {
            hits[id] = true;
            count++;
        } else if (only == FB_NONE || match->position == FB_POSITION_LAST) {
            only = id;
        }
    }
    if (only != FB_NONE) {
        hits[only] = true;
        count = 1;
    }
    return count;
}

/* A text that tells a person which match is meant, in the arena. */
static const char *describe(FbQuantizer *quantizer, const FbMatch *match)
{
    static const char *const positions[] = {"", " at the first position", " at the last position"};
    char name[100] = "any name", types[160] = "any type";
    if (match->name != NULL) {
        fb_escape(match->name, name, sizeof name);
    }
    for (size_t i = 0; i < match->op_type_count; i++) {
        size_t used = i == 0 ? 0 : strlen(types);
        if (used + strlen(match->op_types[i]) + 3 < sizeof types) {
            strcpy(types + used, i == 0 ? "" : ", ");
            strcat(types, match->op_types[i]);
        }
    }
    const char *text = fb_arena_printf(quantizer->arena, "%s, %s%s", name, types, positions[match->position]);
    return text != NULL ? text : "";
}

static FbStatus matches_nothing(FbQuantizer *quantizer, const char *what, const FbMatch *match, FbError *err)
{
    FbGraph *graph = quantizer->graph;
    const char *nearest = NULL, **names = fb_arena_array(quantizer->arena, quantizer->order_count + 1, sizeof *names);
    if (names == NULL) {
        return fb_quantizer_memory(quantizer, err);
    }
    for (size_t i = 0; i < quantizer->order_count; i++) {
        const FbNode *node = graph->nodes[quantizer->order[i]];
        names[i] = match->name != NULL ? fb_quantizer_node_name(graph, node) : node->op_type;
    }
    if (match->name != NULL || match->op_type_count > 0) {
        nearest = fb_nearest_name(match->name != NULL ? match->name : match->op_types[0], names, quantizer->order_count);
    }
    char shown[120];
    return fb_error_set(err, FB_ERR_ARGUMENT, "%s (%s) matches no node of the model%s%s%s", what, describe(quantizer, match),
                        nearest != NULL ? "; did you mean '" : "", nearest != NULL ? fb_escape(nearest, shown, sizeof shown) : "",
                        nearest != NULL ? "'?" : "");
}

static FbStatus match_excluded(FbQuantizer *quantizer, bool *excluded, bool *hits, FbError *err)
{
    for (size_t i = 0; i < quantizer->recipe->excluded_count; i++) {
        const FbMatch *match = &quantizer->recipe->excluded[i];
        if (collect(quantizer, match, hits) == 0) {
            return matches_nothing(quantizer, "exclude", match, err);
        }
        const char *reason = fb_arena_printf(quantizer->arena, "excluded by the recipe (%s)", describe(quantizer, match));
        for (size_t n = 0; n < quantizer->node_count; n++) {
            if (hits[n] && !excluded[n]) {
                excluded[n] = true;
                quantizer->reason[n] = reason != NULL ? reason : "excluded by the recipe";
            }
        }
    }
    return FB_OK;
}

/* An optional rule that matches nothing is listed. */
static FbStatus list_rule(FbQuantizer *quantizer, size_t index, FbError *err)
{
    const char *name = fb_arena_printf(quantizer->arena, "rule %zu", index + 1);
    if (name == NULL || !fb_array_grow(quantizer->context, &quantizer->left)) {
        return fb_quantizer_memory(quantizer, err);
    }
    quantizer->left.items[quantizer->left.count++] = (FbLeftInFloat){name, "recipe", "the rule matches no node of the model"};
    return FB_OK;
}

FbStatus fb_quantizer_match(FbQuantizer *quantizer, FbError *err)
{
    FbGraph *graph = quantizer->graph;
    FB_TRY(fb_graph_sort(graph, quantizer->arena, &quantizer->order, &quantizer->order_count, err));
    size_t count = quantizer->node_count = graph->node_count;
    quantizer->rule = fb_arena_array(quantizer->arena, count + 1, sizeof *quantizer->rule);
    quantizer->reason = fb_arena_array(quantizer->arena, count + 1, sizeof *quantizer->reason);
    bool *hits = fb_arena_array(quantizer->arena, count + 1, sizeof *hits);
    bool *excluded = fb_arena_array(quantizer->arena, count + 1, sizeof *excluded);
    if (quantizer->rule == NULL || quantizer->reason == NULL || hits == NULL || excluded == NULL) {
        return fb_quantizer_memory(quantizer, err);
    }
    FB_TRY(match_excluded(quantizer, excluded, hits, err));
    for (size_t r = 0; r < quantizer->recipe->rule_count; r++) {
        const FbRule *rule = &quantizer->recipe->rules[r];
        if (collect(quantizer, &rule->match, hits) == 0) {
            if (rule->required) {
                char what[40];
                snprintf(what, sizeof what, "rule %zu", r + 1);
                return matches_nothing(quantizer, what, &rule->match, err);
            }
            FB_TRY(list_rule(quantizer, r, err));
        }
        for (size_t n = 0; n < count; n++) {
            if (hits[n] && !excluded[n] && quantizer->rule[n] == NULL) {
                quantizer->rule[n] = rule;
            }
        }
    }
    return FB_OK;
}
