/* fewbit quantize of safetensors files, Hugging Face folders and GGUF files, see quantize_checkpoint.h. */
#include "quantize_checkpoint.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "model_input.h"

typedef struct GgufJob {
    FbCheckpoint *checkpoint;
    FbGgufReport report;
    const char *preset, *reason;
    char output[1024];
    double begin;
} GgufJob;

/* Options of models with a graph say nothing here. */
static int refuse_options(Cli *cli)
{
    const CliOptions *options = &cli->options;
    const struct {
        const char *name;
        int given;
    } others[] = {{"recipe", options->recipe != NULL},           {"calibration", options->calibration != NULL},
                  {"statistics", options->statistics != NULL},   {"target", options->target != NULL},
                  {"calibrator", options->calibrator != NULL},   {"percentile", options->percentile > 0},
                  {"activations", options->activations != NULL}, {"layout", options->layout != NULL},
                  {"preprocess", options->preprocess != NULL}};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (others[i].given) {
            return cli_usage(cli, "--%s is for models with a graph (ONNX); a language model becomes GGUF: --preset, --imatrix, --set PATTERN=TYPE, "
                                  "--exclude PATTERN, --pure", others[i].name);
        }
    }
    return 0;
}

static int ends_with(const char *text, size_t length, const char *tail)
{
    size_t bytes = strlen(tail);
    return length > bytes && strncasecmp(text + length - bytes, tail, bytes) == 0;
}

/* dir/Name-F16.gguf -> dir/Name-Q4_K_M.gguf; a folder's file stands beside it. */
static int choose_gguf_output(Cli *cli, GgufJob *job)
{
    static const char *const suffixes[] = {".gguf", ".safetensors.index.json", ".safetensors"}, *const floats[] = {"-f16", "-f32", "-bf16"};
    const char *input = cli->operands[0], *label = fb_gguf_preset_label(job->preset);
    size_t length = strlen(input);
    while (length > 1 && input[length - 1] == '/') {
        length--;
    }
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        length -= ends_with(input, length, suffixes[i]) ? strlen(suffixes[i]) : 0;
    }
    for (size_t i = 0; i < sizeof floats / sizeof floats[0]; i++) {
        length -= ends_with(input, length, floats[i]) ? strlen(floats[i]) : 0;
    }
    if (!cli->options.output && (input[length - 1] == '.' || input[length - 1] == '/')) {
        return cli_usage(cli, "'%s' has no name to call the result after; give one with -o", cli_shown(input));
    }
    int written = cli->options.output ? snprintf(job->output, sizeof job->output, "%s", cli->options.output)
                                      : snprintf(job->output, sizeof job->output, "%.*s-%s.gguf", (int)length, input, label);
    if (written < 0 || (size_t)written >= sizeof job->output) {
        return cli_usage(cli, "the output's name is too long");
    }
    if (ends_with(job->output, strlen(job->output), ".onnx") || ends_with(job->output, strlen(job->output), ".safetensors")) {
        return cli_usage(cli, "%s: a language model becomes a GGUF file; name it so", cli_shown(job->output));
    }
    return cli->options.dry_run ? cli_check_replaced(cli, job->output) : cli_check_output(cli, job->output, cli->options.force);
}

static int choose_gguf_preset(Cli *cli, GgufJob *job)
{
    job->preset = cli->options.preset ? cli->options.preset : "q4_k_m";
    job->reason = cli->options.preset ? "asked for" : "the usual choice for a language model";
    if (fb_gguf_preset_known(job->preset)) {
        return 0;
    }
    const char *names[64];
    FbListRow row;
    size_t count = 0;
    for (size_t i = 0; fb_list_row(FB_LIST_PRESETS, i, &row) && count < 64; i++) {
        if (fb_gguf_preset_known(row.name)) {
            names[count++] = row.name;
        } else if (strcmp(row.name, job->preset) == 0) {
            return cli_usage(cli, "preset '%s' is for models with a graph (ONNX); a language model becomes GGUF: q4_k_m, q8_0, f16, ...", row.name);
        }
    }
    char lower[64];
    size_t length = strlen(job->preset);
    for (size_t i = 0; i <= length && length < sizeof lower; i++) {
        lower[i] = (char)(job->preset[i] >= 'A' && job->preset[i] <= 'Z' ? job->preset[i] | 0x20 : job->preset[i]);
    }
    const char *near = length < sizeof lower ? fb_suggest(lower, names, count) : NULL;
    return cli_usage(cli, "preset '%s' is unknown%s%s%s; 'fewbit list presets' has them all", cli_shown(job->preset), near ? "; did you mean '" : "",
                     near ? near : "", near ? "'?" : "");
}

/* ---- results ---- */

static int is_float(const char *type) { return strcmp(type, "f32") == 0 || strcmp(type, "f16") == 0 || strcmp(type, "bf16") == 0; }

static json_t *weight_row(const FbGgufWeight *weight)
{
    char name[256];
    json_t *shape = json_array();
    for (int axis = 0; axis < weight->rank && axis < 4; axis++) {
        json_array_append_new(shape, json_integer((json_int_t)weight->shape[axis]));
    }
    return json_pack("{s:s, s:o, s:s, s:s, s:I, s:I, s:s?}", "name", fb_show_name(weight->name, name, sizeof name), "shape", shape, "type_before",
                     weight->type_before, "type_after", weight->type_after, "bytes_before", (json_int_t)weight->bytes_before, "bytes_after",
                     (json_int_t)weight->bytes_after, "reason", weight->reason);
}

static int print_gguf_json(Cli *cli, const GgufJob *job, double seconds)
{
    const FbGgufReport *report = &job->report;
    json_t *document = cli_document("quantize"), *left = json_array(), *weights = json_array();
    for (size_t i = 0; i < report->weight_count; i++) {
        const FbGgufWeight *weight = &report->weights[i];
        char name[256];
        json_array_append_new(weights, weight_row(weight));
        if (is_float(weight->type_after)) {
            json_array_append_new(left, json_pack("{s:s, s:s, s:s}", "name", fb_show_name(weight->name, name, sizeof name), "type", weight->type_after,
                                                  "reason", weight->reason ? weight->reason : "the preset's type"));
        }
    }
    json_object_set_new(document, "input", json_string(cli->operands[0]));
    json_object_set_new(document, "output", cli->options.dry_run ? json_null() : json_string(job->output));
    json_object_set_new(document, "choice", json_pack("{s:s, s:s}", "recipe", report->preset, "reason", job->reason));
    json_object_set_new(document, "bytes_before", json_integer((json_int_t)report->bytes_before));
    json_object_set_new(document, "bytes_after", json_integer((json_int_t)report->bytes_after));
    json_object_set_new(document, "weight_bytes_before", json_integer((json_int_t)report->weight_bytes_before));
    json_object_set_new(document, "weight_bytes_after", json_integer((json_int_t)report->weight_bytes_after));
    json_object_set_new(document, "effective_bits", json_real(report->effective_bits));
    json_object_set_new(document, "weights_quantized", json_integer((json_int_t)report->quantized_count));
    json_object_set_new(document, "activations_quantized", json_integer(0));
    json_object_set_new(document, "sha256", cli->options.dry_run ? json_null() : json_string(report->sha256));
    json_object_set_new(document, "seconds", json_real(seconds));
    json_object_set_new(document, "peak_bytes", json_integer((json_int_t)fb_context_memory_peak(cli->context)));
    json_object_set_new(document, "left_in_float", left);
    json_object_set_new(document, "weights", weights);
    return cli_print_document(cli, document);
}

/* One row per type: how many weights, how many bytes. */
static int print_types(Cli *cli, const FbGgufReport *report)
{
    static const FbColumn columns[] = {{"type", 0}, {"weights", 1}, {"bytes", 1}};
    FbTable *table = NULL;
    FbError err;
    if (fb_table_create(cli->context, columns, 3, &table, &err) != FB_OK) {
        return cli_error(cli, &err);
    }
    for (size_t i = 0; i < report->weight_count; i++) {
        const char *type = report->weights[i].type_after;
        size_t count = 0;
        uint64_t bytes = 0;
        int first = 1;
        for (size_t j = 0; j < report->weight_count; j++) {
            if (strcmp(report->weights[j].type_after, type) == 0) {
                first = first && j >= i;
                count++;
                bytes += report->weights[j].bytes_after;
            }
        }
        if (first) {
            fb_table_add(table, (const char *const[]){type, cli_grouped(count), cli_grouped(bytes)});
        }
    }
    int exit_code = cli_table(cli, table, NULL, 0);
    fb_table_free(table);
    return exit_code;
}

/* All of them for a dry run and in CSV; otherwise those whose type is not the mix's, vectors left out. */
static int print_weights(Cli *cli, const FbGgufReport *report)
{
    static const FbColumn columns[] = {{"weight", 0}, {"shape", 0}, {"before", 0}, {"after", 0}, {"bytes", 1}, {"reason", 0}};
    int all = cli->options.dry_run || cli->options.format == CLI_FORMAT_CSV, rows = 0;
    FbTable *table = NULL;
    FbError err;
    if (fb_table_create(cli->context, columns, 6, &table, &err) != FB_OK) {
        return cli_error(cli, &err);
    }
    for (size_t i = 0; i < report->weight_count; i++) {
        const FbGgufWeight *weight = &report->weights[i];
        char shape[96] = "";
        size_t at = 0;
        for (int axis = 0; axis < weight->rank && axis < 4; axis++) {
            at += (size_t)snprintf(shape + at, sizeof shape - at, "%s%lld", axis ? "x" : "", (long long)weight->shape[axis]);
        }
        if (all || (weight->reason && weight->rank > 1)) {
            fb_table_add(table, (const char *const[]){weight->name, shape, weight->type_before, weight->type_after, cli_grouped(weight->bytes_after),
                                                      weight->reason});
            rows++;
        }
    }
    int exit_code = rows ? cli_table(cli, table, all ? NULL : "not as the preset's mix says", 1) : 0;
    fb_table_free(table);
    return exit_code;
}

static int print_gguf_result(Cli *cli, const GgufJob *job)
{
    const FbGgufReport *report = &job->report;
    double seconds = cli_seconds() - job->begin;
    if (cli->options.format == CLI_FORMAT_JSON) {
        return print_gguf_json(cli, job, seconds);
    }
    if (cli->options.dry_run) {
        cli_line(cli, "dry run: nothing written; %s would have %s bytes, before %s (%.3f of it)", cli_shown(job->output), cli_grouped(report->bytes_after),
                 cli_grouped(report->bytes_before), (double)report->bytes_after / (double)report->bytes_before);
    } else {
        cli_line(cli, "%s: %s bytes, before %s (%.3f of it)", cli_shown(job->output), cli_grouped(report->bytes_after),
                 cli_grouped(report->bytes_before), (double)report->bytes_after / (double)report->bytes_before);
    }
    if (report->quantized_count) {
        cli_line(cli, "%zu weights in %.3f bits on average (scales included)", report->quantized_count, report->effective_bits);
    }
    int exit_code = print_types(cli, report);
    exit_code = exit_code ? exit_code : print_weights(cli, report);
    cli_line(cli, "%.1f s, at most %s of memory", seconds, cli_bytes(fb_context_memory_peak(cli->context)));
    if (!cli->options.dry_run) {
        cli_line(cli, "next: fewbit inspect %s", cli_shown(job->output));
        cli_line(cli, "next: llama.cpp: llama-cli -m %s", cli_shown(job->output));
    }
    return exit_code;
}

static int write_gguf(Cli *cli, GgufJob *job)
{
    const CliOptions *options = &cli->options;
    FbGgufOptions gguf = {.struct_bytes = sizeof gguf,
                          .preset = job->preset,
                          .pure = options->pure,
                          .overwrite = options->force,
                          .dry_run = options->dry_run,
                          .importance = options->imatrix,
                          .overrides = options->settings.items,
                          .override_count = options->settings.count,
                          .excluded = options->excluded.items,
                          .excluded_count = options->excluded.count};
    FbError err;
    return fb_gguf_quantize(cli->context, job->checkpoint, job->output, &gguf, &job->report, &err) == FB_OK ? 0 : cli_error(cli, &err);
}

int cli_quantize_checkpoint(Cli *cli, const char *path)
{
    GgufJob job = {.begin = cli_seconds()};
    FbError err;
    int exit_code = refuse_options(cli);
    exit_code = exit_code ? exit_code : choose_gguf_preset(cli, &job);
    exit_code = exit_code ? exit_code : choose_gguf_output(cli, &job);
    if (!exit_code && fb_checkpoint_open(cli->context, path, &job.checkpoint, &err) != FB_OK) {
        exit_code = cli_error(cli, &err);
    }
    if (!exit_code) {
        cli_line(cli, "%s: %s (%s)", cli_shown(path), cli_shown(job.preset), job.reason);
        exit_code = write_gguf(cli, &job);
    }
    exit_code = exit_code ? exit_code : print_gguf_result(cli, &job);
    fb_gguf_report_free(cli->context, &job.report);
    fb_checkpoint_free(job.checkpoint);
    return exit_code;
}
