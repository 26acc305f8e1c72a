/* fewbit list KIND */
#include <stdio.h>
#include <string.h>

#include "console.h"

static const struct {
    const char *name;
    FbListKind kind;
} kinds[] = {{"presets", FB_LIST_PRESETS},     {"methods", FB_LIST_METHODS}, {"formats", FB_LIST_FORMATS},
             {"operators", FB_LIST_OPERATORS}, {"metrics", FB_LIST_METRICS}, {"encodings", FB_LIST_ENCODINGS},
             {"families", FB_LIST_FAMILIES}};
enum { KIND_COUNT = sizeof kinds / sizeof kinds[0] };

static int print_kind(Cli *cli, size_t which)
{
    static const FbColumn columns[] = {{"name", 0}, {"summary", 0}};
    FbTable *table = NULL;
    FbError err;
    json_t *rows = json_array();
    if (fb_table_create(cli->context, columns, 2, &table, &err) != FB_OK) {
        json_decref(rows);
        return cli_error(cli, &err);
    }
    FbListRow row;
    for (size_t i = 0; fb_list_row(kinds[which].kind, i, &row); i++) {
        fb_table_add(table, (const char *const[]){row.name, row.summary});
        json_array_append_new(rows, json_pack("{s:s, s:s}", "name", row.name, "summary", row.summary));
    }
    int exit_code = 0;
    if (cli->options.format == CLI_FORMAT_JSON) {
        json_t *document = cli_document("list");
        json_object_set_new(document, kinds[which].name, json_incref(rows));
        exit_code = cli_print_document(cli, document);
    } else {
        exit_code = cli_table(cli, table, NULL, 1);
    }
    json_decref(rows);
    fb_table_free(table);
    return exit_code;
}

static int run(Cli *cli)
{
    const char *names[KIND_COUNT];
    for (size_t i = 0; i < KIND_COUNT; i++) {
        names[i] = kinds[i].name;
        if (strcmp(names[i], cli->operands[0]) == 0) {
            return print_kind(cli, i);
        }
    }
    const char *near = fb_suggest(cli->operands[0], names, KIND_COUNT);
    return cli_usage(cli, "cannot list '%s'; %s%s%s", cli_shown(cli->operands[0]),
                     near ? "did you mean '" : "known: presets, methods, formats, operators, metrics, encodings, families", near ? near : "", near ? "'?" : "");
}

static const char *const examples[] = {"fewbit list presets", "the recipes that quantize knows by name", "fewbit list operators",
                                       "every operator that fewbit can run", NULL};

const CliCommand cli_list = {.name = "list",
                             .summary = "what this fewbit knows: presets, methods, formats, operators, metrics, encodings, families",
                             .operands = "presets|methods|formats|operators|metrics|encodings|families",
                             .mask = CLI_LIST,
                             .least_operands = 1,
                             .most_operands = 1,
                             .run = run,
                             .description = "Lists the rows of one of fewbit's tables with a line on each.",
                             .examples = examples};
