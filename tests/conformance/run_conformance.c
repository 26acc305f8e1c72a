/* Runs the ONNX backend node tests: run_conformance CASES LIST [--write] [--only TEXT].
 *
 * CASES holds a folder per case with model.onnx and test_data_set_*. A case is unsupported when loading, compiling or binding says
 * FB_ERR_UNSUPPORTED, which is before any kernel runs; everything else that does not give the expected outputs has failed. Of models with
 * an operator whose row says FB_OP_RANDOM only types and shapes are compared: no specification gives their numbers. LIST is the
 * committed account: cases passed (may only grow) and unsupported cases by operator (may only shrink); --write renews it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "compare.h"
#include "fewbit/fewbit.h"
#include "io/onnx/onnx.h"
#include "ops/op.h"
#include "run/plan.h"

enum { CASES_MAX = 4096, TENSORS_MAX = 64, KEYS_MAX = 512, PATH_BYTES = 1024 };

typedef enum Verdict { PASSED, FAILED, UNSUPPORTED } Verdict;

typedef struct Account { /* unsupported cases per operator */
    char names[KEYS_MAX][64];
    int counts[KEYS_MAX];
    int count;
} Account;

typedef struct Names {
    char *items[CASES_MAX];
    size_t count;
} Names;

static int keep_name(void *user, const char *name)
{
    Names *names = user;
    if (names->count < CASES_MAX) {
        size_t bytes = strlen(name) + 1;
        char *copy = malloc(bytes);
        if (copy == NULL) {
            return 1;
        }
        memcpy(copy, name, bytes);
        names->items[names->count++] = copy;
    }
    return 0;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void count_key(Account *account, const char *key, int by)
{
    int i = 0;
    while (i < account->count && strcmp(account->names[i], key) != 0) {
        i++;
    }
    if (i == account->count && account->count < KEYS_MAX) {
        snprintf(account->names[account->count], sizeof account->names[0], "%s", key);
        account->counts[account->count++] = 0;
    }
    if (i < account->count) {
        account->counts[i] += by;
    }
}

/* Operators of the model that the table lacks; without one, its first operator counts as "operator*": a form or type of it is missing. */
static void count_unsupported(Account *account, const FbModel *model)
{
    char why[256], key[64];
    int missing = 0;
    for (size_t i = 0; model != NULL && i < model->graph->node_count; i++) {
        const FbNode *node = model->graph->nodes[i];
        if (!node->removed && fb_op_find(node->domain, node->op_type, node->version, why, sizeof why) == NULL) {
            snprintf(key, sizeof key, "%s%s%s", node->domain, node->domain[0] ? ":" : "", node->op_type);
            count_key(account, key, 1);
            missing++;
        }
    }
    if (missing == 0) {
        snprintf(key, sizeof key, "%s*", model != NULL && model->graph->node_count > 0 ? model->graph->nodes[0]->op_type : "model");
        count_key(account, key, 1);
    }
}

static bool is_random(const FbModel *model)
{
    char why[256];
    for (size_t i = 0; i < model->graph->node_count; i++) {
        const FbNode *node = model->graph->nodes[i];
        const FbOp *op = node->removed ? NULL : fb_op_find(node->domain, node->op_type, node->version, why, sizeof why);
        if (op != NULL && (op->flags & (FB_OP_RANDOM | FB_OP_CONTROL)) == FB_OP_RANDOM) {
            return true;
        }
    }
    return false;
}

typedef struct Case {
    FbContext *context;
    FbModel *model;
    FbSession *session;
    FbTensor inputs[TENSORS_MAX], outputs[TENSORS_MAX];
    size_t input_count, output_count;
    bool bound;                 /* every shape was known without running anything */
    char why[600];
    FbError error;
} Case;

static FbStatus load_tensor(Case *test, const char *folder, const char *kind, size_t k, FbTensor *tensor)
{
    char path[PATH_BYTES + 64];
    if (snprintf(path, sizeof path, "%s/test_data_set_0/%s_%zu.pb", folder, kind, k) >= (int)sizeof path) {
        return fb_error_set(&test->error, FB_ERR_INTERNAL, "the path is too long");
    }
    return fb_onnx_load_tensor(test->context, path, tensor, &test->error);
}

/* Everything that happens before a kernel may run. */
static FbStatus prepare(Case *test, const char *folder)
{
    char path[PATH_BYTES + 64];
    uint64_t bytes;
    const FbTensor *pointers[TENSORS_MAX];
    if (snprintf(path, sizeof path, "%s/model.onnx", folder) >= (int)sizeof path) {
        return fb_error_set(&test->error, FB_ERR_INTERNAL, "the path is too long");
    }
    FB_TRY(fb_model_load(test->context, path, &test->model, &test->error));
    test->input_count = fb_model_input_count(test->model);
    test->output_count = fb_model_output_count(test->model);
    if (test->input_count > TENSORS_MAX || test->output_count > TENSORS_MAX) {
        return fb_error_set(&test->error, FB_ERR_INTERNAL, "more inputs or outputs than the runner has room for");
    }
    FB_TRY(fb_session_create(test->context, test->model, NULL, &test->session, &test->error));
    for (size_t i = 0; i < test->input_count; i++) {
        FB_TRY(load_tensor(test, folder, "input", i, &test->inputs[i]));
        pointers[i] = &test->inputs[i];
    }
    return fb_instance_forecast(fb_session_instance(test->session), pointers, &bytes, &test->bound, &test->error);
}

static Verdict judge(Case *test, const char *folder)
{
    FbStatus done = fb_session_run(test->session, test->inputs, test->input_count, test->outputs, test->output_count, &test->error);
    if (done == FB_ERR_UNSUPPORTED && !test->bound && fb_session_plan(test->session)->step_count == 1) {
        return UNSUPPORTED; /* the only step was waiting for a value and was refused when it came: nothing has run */
    }
    if (done != FB_OK) {
        snprintf(test->why, sizeof test->why, "run: %s: %s", fb_status_name(test->error.status), test->error.message);
        return FAILED;
    }
    for (size_t i = 0; i < test->output_count; i++) {
        FbTensor expected = {0};
        char why[400];
        FbStatus status = load_tensor(test, folder, "output", i, &expected);
        if (status == FB_OK && expected.bytes == test->outputs[i].bytes && expected.bytes > 0 && is_random(test->model)) {
            memcpy(expected.data, test->outputs[i].data, expected.bytes);
        }
        bool same = status == FB_OK && compare_tensors(&test->outputs[i], &expected, 1e-3, 1e-7, why, sizeof why);
        fb_free(test->context, expected.data);
        if (!same) {
            snprintf(test->why, sizeof test->why, "output %zu: %s", i, status == FB_OK ? why : test->error.message);
            return FAILED;
        }
    }
    return PASSED;
}

static Verdict run_case(Case *test, const char *folder, Account *account)
{
    FbStatus status = prepare(test, folder);
    Verdict verdict = status == FB_OK ? judge(test, folder) : status == FB_ERR_UNSUPPORTED ? UNSUPPORTED : FAILED;
    if (status != FB_OK) {
        snprintf(test->why, sizeof test->why, "%s: %s", fb_status_name(status), test->error.message);
    }
    if (verdict == UNSUPPORTED) {
        count_unsupported(account, test->model);
    }
    return verdict;
}

static Verdict run_one(const char *cases, const char *name, Account *account, bool verbose)
{
    static const char *const words[] = {"passed", "FAILED", "unsupported"};
    char folder[PATH_BYTES];
    Case test = {.why = ""};
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = 2};
    snprintf(folder, sizeof folder, "%s/%s", cases, name);
    if (fb_context_create(&options, &test.context, &test.error) != FB_OK) {
        printf("FAILED %s: %s\n", name, test.error.message);
        return FAILED;
    }
    Verdict verdict = run_case(&test, folder, account);
    if (verbose || verdict == FAILED) {
        printf("%s %s: %s\n", words[verdict], name, test.why);
    }
    fb_session_free(test.session);
    fb_model_free(test.model);
    for (size_t i = 0; i < test.input_count; i++) {
        fb_free(test.context, test.inputs[i].data);
    }
    fb_context_free(test.context);
    return verdict;
}

/* ---- the committed account ---- */

static int write_account(const char *path, const Account *account, int passed)
{
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        fprintf(stderr, "cannot write %s\n", path);
        return 1;
    }
    fprintf(file, "# Conformance cases that pass, and those that wait for an operator (name* : for a type or form of it). Written by\n");
    fprintf(file, "# tools/conformance.sh --write; the first number may only grow, the others may only shrink.\n%d passed\n", passed);
    for (int i = 0; i < account->count; i++) {
        fprintf(file, "%d %s\n", account->counts[i], account->names[i]);
    }
    return fclose(file) == 0 ? 0 : 1;
}

static int check_account(const char *path, const Account *account, int passed)
{
    static Account committed;
    char line[256], name[64];
    int count, bad = 0;
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fprintf(stderr, "cannot read %s\n", path);
        return 1;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        if (line[0] != '#' && sscanf(line, "%d %63s", &count, name) == 2) {
            count_key(&committed, name, count);
        }
    }
    fclose(file);
    for (int i = 0; i < account->count; i++) {
        int allowed = 0;
        for (int k = 0; k < committed.count; k++) {
            allowed = strcmp(committed.names[k], account->names[i]) == 0 ? committed.counts[k] : allowed;
        }
        if (account->counts[i] > allowed) {
            printf("%d cases wait for %s, the list allows %d\n", account->counts[i], account->names[i], allowed);
            bad = 1;
        }
    }
    if (committed.count == 0 || passed < committed.counts[0]) {
        printf("%d cases passed, the list demands %d\n", passed, committed.count ? committed.counts[0] : 0);
        bad = 1;
    }
    return bad;
}

static void sort_account(Account *account)
{
    for (int i = 1; i < account->count; i++) {
        for (int k = i; k > 0 && strcmp(account->names[k - 1], account->names[k]) > 0; k--) {
            char name[64];
            int count = account->counts[k];
            memcpy(name, account->names[k], sizeof name);
            memcpy(account->names[k], account->names[k - 1], sizeof name);
            memcpy(account->names[k - 1], name, sizeof name);
            account->counts[k] = account->counts[k - 1];
            account->counts[k - 1] = count;
        }
    }
}

static int list_cases(const char *folder, Names *names)
{
    FbContext *context;
    if (fb_context_create(NULL, &context, NULL) != FB_OK) {
        return 1;
    }
    const FbFileHooks *files = fb_context_files(context);
    int bad = files->list(files->user, folder, keep_name, names);
    fb_context_free(context);
    qsort(names->items, names->count, sizeof names->items[0], by_name);
    return bad != 0 || names->count == 0;
}

int main(int argc, char **argv)
{
    static Names names;
    static Account account;
    int totals[3] = {0, 0, 0};
    bool renew = false;
    const char *only = NULL;
    for (int i = 3; i < argc; i++) {
        renew = renew || strcmp(argv[i], "--write") == 0;
        only = strcmp(argv[i], "--only") == 0 && i + 1 < argc ? argv[i + 1] : only;
    }
    if (argc < 3 || list_cases(argv[1], &names) != 0) {
        fprintf(stderr, "usage: run_conformance CASES LIST [--write] [--only TEXT]\n");
        return 2;
    }
    for (size_t i = 0; i < names.count; i++) {
        if (only == NULL || strstr(names.items[i], only) != NULL) {
            totals[run_one(argv[1], names.items[i], &account, only != NULL)]++;
        }
        free(names.items[i]);
    }
    sort_account(&account);
    int bad = totals[FAILED] > 0;
    if (only == NULL) {
        bad |= renew ? write_account(argv[2], &account, totals[PASSED]) : check_account(argv[2], &account, totals[PASSED]);
    }
    printf("conformance: %d passed, %d failed, %d unsupported\n", totals[PASSED], totals[FAILED], totals[UNSUPPORTED]);
    return bad ? 1 : 0;
}
