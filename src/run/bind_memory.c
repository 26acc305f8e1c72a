/* Lifetimes of a stage's values and their places in one block. Sharing never changes a result: a place is given again only after the last
 * step that reads it, and a step writes over its input only when its row allows that. */
#include <stdlib.h>

#include "base/checked.h"
#include "run/instance.h"

enum { FB_PLACE_ALIGN = 64, FB_PLACE_BY_SIZE = 3000 };

typedef struct Item { /* memory in use from step `first` to step `last` */
    uint64_t bytes, offset;
    uint32_t first, last;
    uint32_t number; /* slot, or step for scratch: makes the order total */
    bool scratch;
} Item;

/* The root of a slot when its memory belongs to this stage; NULL. */
static FbBoundValue *owned_root(const FbBinding *binding, const FbStage *stage, FbSlot slot)
{
    if (slot == FB_NONE) {
        return NULL;
    }
    FbBoundValue *root = &binding->values[fb_binding_root(binding, slot)];
    return root->origin == FB_ORIGIN_STAGE && root->stage == stage->number ? root : NULL;
}

static void extend(FbBoundValue *root, uint32_t last)
{
    if (root != NULL && root->last < last) {
        root->last = last;
    }
}

static void find_lifetimes(FbBinding *binding, FbStage *stage)
{
    const FbPlan *plan = binding->instance->plan;
    for (size_t k = 0; k < stage->step_count; k++) {
        const FbStep *step = stage->steps[k].step;
        for (uint32_t o = 0; o < step->output_count; o++) {
            if (step->outputs[o] != FB_NONE) {
                FbBoundValue *value = &binding->values[step->outputs[o]];
                value->first = value->last = (uint32_t)k;
            }
        }
        for (uint32_t i = 0; i < step->input_count; i++) {
            extend(owned_root(binding, stage, step->inputs[i]), (uint32_t)k);
        }
    }
    for (size_t e = 0; e < stage->event_count; e++) {
        if (stage->events[e].after > 0) {
            extend(owned_root(binding, stage, stage->events[e].slot), stage->events[e].after - 1);
        }
    }
    for (size_t v = 0; v < plan->value_count; v++) {
        if (plan->values[v].is_output) {
            extend(owned_root(binding, stage, (FbSlot)v), UINT32_MAX);
        }
    }
    for (size_t s = stage->end_step; s < plan->step_count; s++) {
        for (uint32_t i = 0; i < plan->steps[s].input_count; i++) {
            extend(owned_root(binding, stage, plan->steps[s].inputs[i]), UINT32_MAX);
        }
    }
}

static bool same_tensor(const FbTensor *a, const FbTensor *b)
{
    return a->dtype == b->dtype && a->rank == b->rank && a->bytes == b->bytes && memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims) == 0;
}

/* Input i of step k may be written over by output 0: nobody reads it later, and the step reads it through this input only. */
static bool may_overwrite(const FbBinding *binding, const FbStage *stage, size_t k, uint32_t i)
{
    const FbStep *step = stage->steps[k].step;
    FbSlot slot = step->inputs[i];
    const FbBoundValue *root = owned_root(binding, stage, slot);
    if (root == NULL || root->last != k || root->first == k || root->tensor.bytes != binding->values[slot].tensor.bytes ||
        !same_tensor(&binding->values[slot].tensor, &binding->values[step->outputs[0]].tensor)) {
        return false;
    }
    for (uint32_t j = 0; j < step->input_count; j++) {
        if (j != i && step->inputs[j] != FB_NONE && owned_root(binding, stage, step->inputs[j]) == root) {
            return false;
        }
    }
    return true;
}

/* Element by element: a place is read before it is written, by whoever writes it. */
static bool works_in_place(const FbStep *step)
{
    switch (step->kind) {
    case FB_STEP_OP: return (step->op->flags & FB_OP_INPLACE) != 0;
    case FB_STEP_LOWERED: return step->integer && (step->op->flags & FB_OP_POINTWISE) != 0;
    case FB_STEP_TABLE: return true;
    default: return false;
    }
}

static void share_in_place(FbBinding *binding, FbStage *stage)
{
    for (size_t k = 0; k < stage->step_count; k++) {
        const FbStep *step = stage->steps[k].step;
        if (!works_in_place(step) || step->outputs[0] == FB_NONE || binding->values[step->outputs[0]].root != step->outputs[0]) {
            continue;
        }
        for (uint32_t i = 0; i < step->input_count; i++) {
            if (may_overwrite(binding, stage, k, i)) {
                FbBoundValue *out = &binding->values[step->outputs[0]];
                FbSlot root = fb_binding_root(binding, step->inputs[i]);
                out->root = root;
                extend(&binding->values[root], out->last);
                break;
            }
        }
    }
}

static int larger_first(const void *left, const void *right)
{
    const Item *a = *(Item *const *)left, *b = *(Item *const *)right;
    if (a->bytes != b->bytes) {
        return a->bytes > b->bytes ? -1 : 1;
    }
    if (a->first != b->first) {
        return a->first < b->first ? -1 : 1;
    }
    return a->scratch != b->scratch ? (int)a->scratch - (int)b->scratch : (a->number > b->number) - (a->number < b->number);
}

static int earlier_first(const void *left, const void *right)
{
    const Item *a = *(Item *const *)left, *b = *(Item *const *)right;
    return a->first != b->first ? (a->first < b->first ? -1 : 1) : larger_first(left, right);
}

static bool at_once(const Item *a, const Item *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* Keeps, in order, what is alive at step `first` or later. */
static size_t drop_ended(Item **placed, size_t count, uint32_t first)
{
    size_t kept = 0;
    for (size_t p = 0; p < count; p++) {
        if (placed[p]->last >= first) {
            placed[kept++] = placed[p];
        }
    }
    return kept;
}

/* Places items in the given order, each at the lowest offset where nothing alive at the same time is. `placed` is kept in order of offset;
 * with `by_time` items come in order of their first step, and what has ended is dropped from it, so that long graphs cost no square. */
static bool place_items(Item **items, size_t count, bool by_time, Item **placed, uint64_t *total)
{
    size_t alive = 0;
    *total = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t offset = 0, end;
        alive = by_time ? drop_ended(placed, alive, items[i]->first) : alive;
        for (size_t p = 0; p < alive; p++) {
            if (!at_once(items[i], placed[p])) {
                continue;
            }
            if (offset + items[i]->bytes <= placed[p]->offset) {
                break;
            }
            uint64_t behind = placed[p]->offset + placed[p]->bytes;
            offset = behind > offset ? behind : offset;
        }
        items[i]->offset = offset;
        if (!fb_add_u64(offset, items[i]->bytes, &end) || end > SIZE_MAX / 2) {
            return false;
        }
        *total = end > *total ? end : *total;
        size_t at = alive++;
        while (at > 0 && placed[at - 1]->offset > offset) {
            placed[at] = placed[at - 1];
            at--;
        }
        placed[at] = items[i];
    }
    return true;
}

static uint64_t rounded(uint64_t bytes)
{
    return (bytes + FB_PLACE_ALIGN - 1) / FB_PLACE_ALIGN * FB_PLACE_ALIGN;
}

static size_t collect_items(FbBinding *binding, const FbStage *stage, Item *items)
{
    size_t count = 0;
    for (size_t k = 0; k < stage->step_count; k++) {
        const FbStep *step = stage->steps[k].step;
        for (uint32_t o = 0; o < step->output_count; o++) {
            FbSlot slot = step->outputs[o];
            if (slot != FB_NONE && binding->values[slot].root == slot) {
                const FbBoundValue *value = &binding->values[slot];
                items[count++] = (Item){rounded(value->tensor.bytes), 0, value->first, value->last, slot, false};
            }
        }
        if (stage->steps[k].call.scratch_bytes > 0) {
            items[count++] = (Item){rounded(stage->steps[k].call.scratch_bytes), 0, (uint32_t)k, (uint32_t)k, (uint32_t)k, true};
        }
    }
    return count;
}

static FbStatus layout(FbBinding *binding, FbStage *stage, FbArena *arena, FbError *err)
{
    FbContext *context = binding->instance->context;
    size_t most = stage->step_count;
    for (size_t k = 0; k < stage->step_count; k++) {
        most += stage->steps[k].step->output_count;
    }
    Item *items = fb_arena_array(arena, most + 1, sizeof *items);
    Item **order = fb_arena_array(arena, most + 1, sizeof *order);
    Item **placed = fb_arena_array(arena, most + 1, sizeof *placed);
    if (items == NULL || order == NULL || placed == NULL) {
        return fb_error_memory(context, err, "binding", most);
    }
    size_t count = collect_items(binding, stage, items);
    for (size_t i = 0; i < count; i++) {
        order[i] = &items[i];
    }
    bool by_time = count > FB_PLACE_BY_SIZE;
    qsort(order, count, sizeof(Item *), by_time ? earlier_first : larger_first);
    if (!place_items(order, count, by_time, placed, &stage->bytes)) {
        return fb_error_set(err, FB_ERR_BUDGET, "the values of this run do not fit in the address space");
    }
    for (size_t i = 0; i < count; i++) {
        if (items[i].scratch) {
            stage->steps[items[i].number].scratch_offset = items[i].offset;
        } else {
            binding->values[items[i].number].offset = items[i].offset;
        }
    }
    return FB_OK;
}

/* Bytes from the root's first: a window may lie in a window. */
static uint64_t window_offset(const FbBinding *binding, FbSlot slot)
{
    uint64_t offset = 0;
    for (; binding->values[slot].root != slot; slot = binding->values[slot].root) {
        offset += binding->values[slot].window_at;
    }
    return offset;
}

/* Data pointers of everything in the stage's block, and the list of values in the caller's memory. */
static void set_pointers(FbBinding *binding, FbStage *stage)
{
    const FbPlan *plan = binding->instance->plan;
    for (size_t v = 0; v < plan->value_count; v++) {
        FbBoundValue *root = owned_root(binding, stage, (FbSlot)v);
        if (root != NULL) {
            binding->values[v].tensor.data = stage->memory + root->offset + window_offset(binding, (FbSlot)v);
        }
        FbSlot top = fb_binding_root(binding, (FbSlot)v);
        for (size_t i = 0; stage->number == 0 && binding->values[top].origin == FB_ORIGIN_INPUT && i < plan->input_count; i++) {
            if (plan->inputs[i] == top) {
                binding->patched[binding->patched_count] = (FbSlot)v;
                binding->patched_input[binding->patched_count++] = (uint32_t)i;
            }
        }
    }
    for (size_t k = 0; k < stage->step_count; k++) {
        FbBoundStep *step = &stage->steps[k];
        step->call.scratch = step->call.scratch_bytes > 0 ? stage->memory + step->scratch_offset : NULL;
    }
}

FbStatus fb_stage_layout(FbBinding *binding, FbStage *stage, FbError *err)
{
    FbContext *context = binding->instance->context;
    find_lifetimes(binding, stage);
    FB_TRY(fb_stage_windows(binding, stage, err));
    share_in_place(binding, stage);
    FbArena *arena = fb_arena_create(context);
    FbStatus status = arena == NULL ? fb_error_memory(context, err, "binding", 0) : layout(binding, stage, arena, err);
    fb_arena_free(arena);
    FB_TRY(status);
    if (binding->instance->forecast) {
        return FB_OK;
    }
    stage->memory = fb_alloc(context, (size_t)stage->bytes + FB_PLACE_ALIGN);
    if (stage->memory == NULL) {
        return fb_error_memory(context, err, "the values of a run", stage->bytes);
    }
    set_pointers(binding, stage);
    return fb_stage_strides(binding, stage, err);
}
