/* fewbit cpu: what this machine can run, and what the library would use. */
#include <stdio.h>
#include <string.h>

#include "console.h"
#include "machine.h"

static int run(Cli *cli)
{
    char name[128], cores[16], threads[16];
    cli_cpu_name(name, sizeof name);
    snprintf(cores, sizeof cores, "%d", cli_core_count());
    snprintf(threads, sizeof threads, "%d", fb_context_threads(cli->context));
    const char *isa = fb_context_isa(cli->context);
    json_t *known = json_array();
    char list[256] = "";
    FbListRow row;
    for (size_t i = 0; fb_list_row(FB_LIST_ISA, i, &row); i++) {
        json_array_append_new(known, json_string(row.name));
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "", row.name);
    }
    if (cli->options.format == CLI_FORMAT_JSON) {
        json_t *document = cli_document("cpu");
        json_object_set_new(document, "cpu", json_string(name));
        json_object_set_new(document, "cores", json_integer(cli_core_count()));
        json_object_set_new(document, "threads", json_integer(fb_context_threads(cli->context)));
        json_object_set_new(document, "isa", json_string(isa));
        json_object_set_new(document, "isa_names", known);
        return cli_print_document(cli, document);
    }
    json_decref(known);
    static const FbColumn columns[] = {{"property", 0}, {"value", 0}};
    FbTable *table = NULL;
    FbError err;
    if (fb_table_create(cli->context, columns, 2, &table, &err) != FB_OK) {
        return cli_error(cli, &err);
    }
    fb_table_add(table, (const char *const[]){"processor", name});
    fb_table_add(table, (const char *const[]){"cores", cores});
    fb_table_add(table, (const char *const[]){"threads", threads});
    fb_table_add(table, (const char *const[]){"instructions in use", isa});
    fb_table_add(table, (const char *const[]){"names for --isa", list});
    int exit_code = cli_table(cli, table, NULL, 1);
    fb_table_free(table);
    return exit_code;
}

static const char *const examples[] = {"fewbit cpu", "processor, cores, instruction set", "fewbit cpu --isa avx2", "what a cap leaves", NULL};

const CliCommand cli_cpu = {.name = "cpu",
                            .summary = "what this machine can run",
                            .operands = "",
                            .mask = CLI_CPU,
                            .run = run,
                            .description = "Shows the processor, the cores and the instruction set that fewbit would use, after --isa and --threads. "
                                           "Results never depend on either; only speed does.",
                            .examples = examples};
