/* fewbit inspect of checkpoints: safetensors files, Hugging Face folders, GGUF files. */
#include "inspect_checkpoint.h"

#include <stdio.h>
#include <string.h>

#include "inspect_plan.h"
#include "language_input.h"
#include "step_list.h"

enum { VALUE_SHOWN = 72 };

/* One line for a value, cut where it is long. */
static void value_text(const json_t *value, char *out, size_t bytes)
{
    const char *type = json_string_value(json_object_get(value, "array"));
    if (type != NULL) {
        snprintf(out, bytes, "%s x %s", cli_grouped((uint64_t)json_integer_value(json_object_get(value, "count"))), type);
        return;
    }
    if (json_is_string(value)) {
        const char *shown = cli_shown(json_string_value(value));
        size_t length = strlen(shown);
        if (length < VALUE_SHOWN) {
            snprintf(out, bytes, "%s", shown);
            return;
        }
        size_t cut = VALUE_SHOWN - 8;
        while (cut > 0 && ((unsigned char)shown[cut] & 0xc0) == 0x80) {
            cut--; /* not inside a character */
        }
        snprintf(out, bytes, "%.*s...", (int)cut, shown);
        return;
    }
    if (json_is_real(value)) {
        snprintf(out, bytes, "%.7g", json_real_value(value));
        return;
    }
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(7));
    snprintf(out, bytes, "%s", text != NULL ? text : "");
    void (*release)(void *) = NULL;
    json_get_alloc_funcs(NULL, &release);
    if (text != NULL) {
        release(text);
    }
}

static int print_metadata(Cli *cli, json_t *metadata)
{
    static const FbColumn columns[] = {{"key", 0}, {"value", 0}};
    FbTable *table = NULL;
    FbError err;
    const char *key;
    json_t *value;
    if (json_object_size(metadata) == 0) {
        return 0;
    }
    if (fb_table_create(cli->context, columns, 2, &table, &err) != FB_OK) {
        return cli_error(cli, &err);
    }
    json_object_foreach(metadata, key, value)
    {
        char shown[512];
        value_text(value, shown, sizeof shown);
        fb_table_add(table, (const char *const[]){key, shown});
    }
    int exit_code = cli_table(cli, table, "key-values", 0);
    fb_table_free(table);
    return exit_code;
}

static int64_t fact(const json_t *language, const char *key) { return json_integer_value(json_object_get(language, key)); }

/* What a graph is built from, where one can be. */
static void print_language(Cli *cli, const json_t *language)
{
    char window[48] = "", experts[64] = "", keys[32] = "";
    if (!json_is_object(language)) {
        return;
    }
    if (fact(language, "key_heads") != fact(language, "query_heads")) {
        snprintf(keys, sizeof keys, " (%lld of keys)", (long long)fact(language, "key_heads"));
    }
    if (fact(language, "window") > 0) {
        snprintf(window, sizeof window, ", window %lld", (long long)fact(language, "window"));
    }
    if (fact(language, "experts") > 0) {
        snprintf(experts, sizeof experts, ", %lld of %lld experts", (long long)fact(language, "experts_used"), (long long)fact(language, "experts"));
    }
    cli_line(cli, "family %s: %lld layers of %lld, %lld heads of %lld%s, feed-forward %lld%s, context %lld%s", json_string_value(json_object_get(language, "family")),
             (long long)fact(language, "layers"), (long long)fact(language, "hidden"), (long long)fact(language, "query_heads"),
             (long long)fact(language, "head_dim"), keys, (long long)fact(language, "feed_forward"), experts, (long long)fact(language, "context_length"), window);
}

static void print_summary(Cli *cli, const char *path, const json_t *document)
{
    const json_t *model = json_object_get(document, "model");
    const json_t *bits = json_object_get(model, "bits_per_parameter"), *version = json_object_get(model, "format_version");
    const char *architecture = json_string_value(json_object_get(model, "architecture"));
    char rate[48] = "", numbered[32] = "";
    if (json_is_number(bits)) {
        snprintf(rate, sizeof rate, ", %.2f bits per parameter", json_number_value(bits));
    }
    if (json_is_integer(version)) {
        snprintf(numbered, sizeof numbered, " version %lld", (long long)json_integer_value(version));
    }
    cli_line(cli, "%s: %s, %s parameters%s", cli_shown(path), cli_bytes((uint64_t)json_integer_value(json_object_get(model, "bytes"))),
             cli_grouped((uint64_t)json_integer_value(json_object_get(model, "parameters"))), rate);
    cli_line(cli, "%s%s%s%s, %s tensors in %zu file%s", json_string_value(json_object_get(model, "format")), numbered,
             architecture != NULL ? ", " : "", architecture != NULL ? cli_shown(architecture) : "",
             cli_grouped((uint64_t)json_integer_value(json_object_get(model, "tensors"))), json_array_size(json_object_get(document, "files")),
             json_array_size(json_object_get(document, "files")) == 1 ? "" : "s");
    print_language(cli, json_object_get(document, "language"));
}

/* What the file says of itself; NULL after the error was printed. */
static json_t *describe(Cli *cli, const char *path, int *exit_code)
{
    FbCheckpoint *checkpoint = NULL;
    char *text = NULL;
    FbError err;
    FbStatus status = fb_checkpoint_open(cli->context, path, &checkpoint, &err);
    status = status == FB_OK ? fb_checkpoint_inspect(cli->context, checkpoint, &text, &err) : status;
    fb_checkpoint_free(checkpoint);
    if (status != FB_OK) {
        *exit_code = cli_error(cli, &err);
        return NULL;
    }
    return cli_parse_result(cli, text, exit_code);
}

/* The plan becomes part of the document. */
static int add_plan(Cli *cli, const char *path, json_t *document)
{
    FbModel *model = NULL;
    int64_t tokens;
    int exit_code = cli_plan_tokens(cli, &tokens);
    exit_code = exit_code ? exit_code : cli_load_language(cli, cli->context, path, tokens > 1 ? tokens + 1 : 0, &model);
    if (!exit_code) {
        json_object_set_new(document, "plan", cli_plan_language(cli, model, tokens, &exit_code));
    }
    fb_model_free(model);
    return exit_code;
}

static int print_tables(Cli *cli, const char *path, const json_t *document)
{
    const json_t *plan = json_object_get(document, "plan");
    if (plan != NULL) {
        int64_t tokens = json_integer_value(json_object_get(plan, "tokens"));
        cli_line(cli, "a run of %s token%s", cli_grouped((uint64_t)tokens), tokens == 1 ? "" : "s");
        return cli_print_plan(cli, plan);
    }
    print_summary(cli, path, document);
    int exit_code = print_metadata(cli, json_object_get(document, "metadata"));
    return exit_code != 0 ? exit_code : cli_print_weights(cli, document);
}

int cli_inspect_checkpoint(Cli *cli, const char *path)
{
    int exit_code = 0;
    json_t *document = describe(cli, path, &exit_code);
    if (document != NULL && cli->options.plan) {
        exit_code = add_plan(cli, path, document);
    }
    if (!exit_code && cli->options.format == CLI_FORMAT_JSON) {
        return cli_print_document(cli, document);
    }
    exit_code = exit_code ? exit_code : print_tables(cli, path, document);
    json_decref(document);
    return exit_code;
}
