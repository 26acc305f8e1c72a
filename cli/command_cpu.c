/* fewbit cpu: what this machine can run, what the library would use, and how fast it is here. */
#include <stdio.h>
#include <string.h>

#include "console.h"
#include "machine.h"

enum { PEAK_ROWS = 2 };

static int make_table(Cli *cli, const FbColumn *columns, size_t count, FbTable **table)
{
    FbError err;
    return fb_table_create(cli->context, columns, count, table, &err) == FB_OK ? 0 : cli_error(cli, &err);
}

/* With one thread and with all of the context; *count rows. */
static int measure(Cli *cli, FbHardwarePeaks *peaks, size_t *count)
{
    int threads = fb_context_threads(cli->context);
    *count = threads > 1 ? 2 : 1;
    for (size_t i = 0; i < *count; i++) {
        FbContext *context = NULL;
        FbError err;
        int exit_code = cli_make_context(cli, i ? threads : 1, &context);
        if (exit_code) {
            return exit_code;
        }
        if (fb_hardware_measure(context, FB_MEASURE_PRODUCTS | FB_MEASURE_MEMORY, &peaks[i], &err) != FB_OK) {
            exit_code = cli_error(cli, &err);
        }
        fb_context_free(context);
        if (exit_code) {
            return exit_code;
        }
    }
    return 0;
}

static json_t *features_json(const Cli *cli)
{
    json_t *list = json_array();
    FbFeature feature;
    for (size_t i = 0; fb_hardware_feature(cli->context, i, &feature); i++) {
        json_array_append_new(list, json_pack("{s:s, s:b, s:b}", "name", feature.name, "present", feature.present, "used", feature.used));
    }
    return list;
}

static json_t *caches_json(void)
{
    json_t *list = json_array();
    CliCache cache;
    for (int i = 0; cli_cache(i, &cache); i++) {
        json_array_append_new(list, json_pack("{s:i, s:s, s:I}", "level", cache.level, "kind", cache.kind, "bytes", (json_int_t)cache.bytes));
    }
    return list;
}

static json_t *kernels_json(const Cli *cli)
{
    json_t *list = json_array();
    FbKernelInfo info;
    for (size_t i = 0; fb_hardware_kernel(cli->context, i, &info); i++) {
        json_t *rows = json_array();
        for (const char *const *row = info.rows; *row; row++) {
            json_array_append_new(rows, json_string(*row));
        }
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:o}", "primitive", info.primitive, "summary", info.summary, "row", info.row, "rows", rows));
    }
    return list;
}

static json_t *positive(double number)
{
    return number > 0 ? json_real(number) : json_null();
}

static json_t *peaks_json(const FbHardwarePeaks *peaks, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(list, json_pack("{s:i, s:o, s:s?, s:o, s:s?, s:o}", "threads", peaks[i].threads, "f32_gflops",
                                              positive(2e-9 * peaks[i].f32_macs), "f32_row", peaks[i].f32_row, "int8_gops",
                                              positive(2e-9 * peaks[i].u8s8_macs), "int8_row", peaks[i].u8s8_row, "read_gb_per_s",
                                              positive(1e-9 * peaks[i].read_bytes)));
    }
    return list;
}

static int print_json(Cli *cli, const char *name, const FbHardwarePeaks *peaks, size_t count)
{
    json_t *document = cli_document("cpu"), *names = json_array();
    FbListRow row;
    for (size_t i = 0; fb_list_row(FB_LIST_ISA, i, &row); i++) {
        json_array_append_new(names, json_string(row.name));
    }
    json_object_set_new(document, "cpu", json_string(name));
    json_object_set_new(document, "cores", json_integer(cli_core_count()));
    json_object_set_new(document, "threads", json_integer(fb_context_threads(cli->context)));
    json_object_set_new(document, "isa", json_string(fb_context_isa(cli->context)));
    json_object_set_new(document, "isa_names", names);
    json_object_set_new(document, "features", features_json(cli));
    json_object_set_new(document, "caches", caches_json());
    json_object_set_new(document, "kernels", kernels_json(cli));
    json_object_set_new(document, "peaks", peaks_json(peaks, count));
    return cli_print_document(cli, document);
}

static int print_machine(Cli *cli, const char *name)
{
    static const FbColumn columns[] = {{"property", 0}, {"value", 0}};
    char text[64];
    FbTable *table = NULL;
    CliCache cache;
    int exit_code = make_table(cli, columns, 2, &table);
    if (exit_code) {
        return exit_code;
    }
    fb_table_add(table, (const char *const[]){"processor", name});
    snprintf(text, sizeof text, "%d", cli_core_count());
    fb_table_add(table, (const char *const[]){"cores", text});
    snprintf(text, sizeof text, "%d", fb_context_threads(cli->context));
    fb_table_add(table, (const char *const[]){"threads", text});
    fb_table_add(table, (const char *const[]){"instructions in use", fb_context_isa(cli->context)});
    for (int i = 0; cli_cache(i, &cache); i++) {
        char label[64];
        snprintf(label, sizeof label, "cache level %d, %s", cache.level, cache.kind);
        snprintf(text, sizeof text, "%s KiB", cli_grouped(cache.bytes / 1024));
        fb_table_add(table, (const char *const[]){label, text});
    }
    exit_code = cli_table(cli, table, NULL, 1);
    fb_table_free(table);
    return exit_code;
}

static int print_features(Cli *cli)
{
    static const FbColumn columns[] = {{"instructions (names for --isa)", 0}, {"here", 0}, {"used", 0}};
    FbTable *table = NULL;
    FbFeature feature;
    int exit_code = make_table(cli, columns, 3, &table);
    if (exit_code) {
        return exit_code;
    }
    for (size_t i = 0; fb_hardware_feature(cli->context, i, &feature); i++) {
        fb_table_add(table, (const char *const[]){feature.name, feature.present ? "yes" : "no", feature.used ? "yes" : feature.present ? "capped" : "no"});
    }
    exit_code = cli_table(cli, table, NULL, 0);
    fb_table_free(table);
    return exit_code;
}

static int print_kernels(Cli *cli)
{
    static const FbColumn columns[] = {{"primitive", 0}, {"row in use", 0}, {"rows, best first", 0}, {"what it does", 0}};
    FbTable *table = NULL;
    FbKernelInfo info;
    int exit_code = make_table(cli, columns, 4, &table);
    if (exit_code) {
        return exit_code;
    }
    for (size_t i = 0; fb_hardware_kernel(cli->context, i, &info); i++) {
        char rows[160] = "";
        for (const char *const *row = info.rows; *row; row++) {
            snprintf(rows + strlen(rows), sizeof rows - strlen(rows), "%s%s", rows[0] ? " " : "", *row);
        }
        fb_table_add(table, (const char *const[]){info.primitive, info.row, rows, info.summary});
    }
    exit_code = cli_table(cli, table, NULL, 0);
    fb_table_free(table);
    return exit_code;
}

static void rate_text(double rate, char text[32])
{
    snprintf(text, 32, rate > 0 ? "%.1f" : "-", rate);
}

static int print_peaks(Cli *cli, const FbHardwarePeaks *peaks, size_t count)
{
    static const FbColumn columns[] = {{"threads", 1}, {"float GFLOP/s", 1}, {"row", 0}, {"int8 GOP/s", 1}, {"row", 0}, {"memory read GB/s", 1}};
    FbTable *table = NULL;
    int exit_code = make_table(cli, columns, 6, &table);
    if (exit_code) {
        return exit_code;
    }
    for (size_t i = 0; i < count; i++) {
        char threads[16], real[32], codes[32], read[32];
        snprintf(threads, sizeof threads, "%d", peaks[i].threads);
        rate_text(2e-9 * peaks[i].f32_macs, real);
        rate_text(2e-9 * peaks[i].u8s8_macs, codes);
        rate_text(1e-9 * peaks[i].read_bytes, read);
        fb_table_add(table, (const char *const[]){threads, real, peaks[i].f32_row ? peaks[i].f32_row : "-", codes,
                                                  peaks[i].u8s8_row ? peaks[i].u8s8_row : "-", read});
    }
    exit_code = cli_table(cli, table, "measured now (products on data in the first cache; a multiply and an add are two)", 0);
    fb_table_free(table);
    return exit_code;
}

static int run(Cli *cli)
{
    char name[128];
    FbHardwarePeaks peaks[PEAK_ROWS];
    size_t count = 0;
    cli_cpu_name(name, sizeof name);
    int exit_code = measure(cli, peaks, &count);
    if (exit_code) {
        return exit_code;
    }
    if (cli->options.format == CLI_FORMAT_JSON) {
        return print_json(cli, name, peaks, count);
    }
    exit_code = print_machine(cli, name);
    exit_code = exit_code ? exit_code : print_features(cli);
    exit_code = exit_code ? exit_code : print_kernels(cli);
    return exit_code ? exit_code : print_peaks(cli, peaks, count);
}

static const char *const examples[] = {"fewbit cpu", "processor, instruction sets, kernel rows, measured peaks", "fewbit cpu --isa avx2", "what a cap leaves",
                                       "fewbit cpu --json", "the same for a program", NULL};

const CliCommand cli_cpu = {.name = "cpu",
                            .summary = "what this machine can run, and how fast it is",
                            .operands = "",
                            .mask = CLI_CPU,
                            .run = run,
                            .description = "Shows the processor, its caches and instruction sets, the kernel row that serves each primitive after --isa, and the "
                                           "peaks measured here with one thread and with all of them, in about a second. Results never depend on any of it; "
                                           "only speed does.",
                            .examples = examples};
