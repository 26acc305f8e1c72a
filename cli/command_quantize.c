/* fewbit quantize MODEL: choose, calibrate, quantize, write, say what it came to and what is next. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console.h"
#include "model_input.h"
#include "quantize_checkpoint.h"
#include "samples.h"

typedef struct Job {
    FbModel *model;
    json_t *before, *after; /* inspect documents */
    FbRecipe *recipe;
    FbStatistics *statistics;
    FbQuantizeReport report;
    const char *preset, *reason;
    char output[1024], sha256[65];
    double begin;
} Job;

static long long count_of(const json_t *document, const char *operator_type)
{
    return (long long)json_integer_value(json_object_get(json_object_get(document, "operators"), operator_type));
}

static long long bytes_of(const json_t *document)
{
    return (long long)json_number_value(json_object_get(json_object_get(document, "model"), "bytes"));
}

/* What is done when nothing was asked for. */
static int choose_preset(Cli *cli, Job *job)
{
    const CliOptions *options = &cli->options;
    if (options->preset) {
        job->preset = options->preset;
        job->reason = "asked for";
        return 0;
    }
    if (options->calibration || options->statistics) {
        job->preset = "int8-static";
        job->reason = "there are samples to measure the ranges with";
        return 0;
    }
    long long convolutions = count_of(job->before, "Conv") + count_of(job->before, "ConvTranspose") + count_of(job->before, "QLinearConv");
    long long products = count_of(job->before, "MatMul") + count_of(job->before, "Gemm") + count_of(job->before, "LSTM") +
                         count_of(job->before, "GRU") + count_of(job->before, "RNN");
    if (products > convolutions) {
        job->preset = "int8-dynamic";
        job->reason = "no samples given, and the work is mostly MatMul, Gemm or recurrent";
        return 0;
    }
    return cli_usage(cli,
                     "%s: %lld convolutions need samples to measure ranges with: add --calibration FOLDER (int8-static); or without samples: "
                     "--preset int8-weights (smaller, not faster) or --preset float16",
                     cli_shown(cli->operands[0]), convolutions);
}

/* Splits "key=value" of --set. */
static int apply_pair(Cli *cli, FbRecipe *recipe, const char *pair)
{
    char key[64];
    const char *equals = strchr(pair, '=');
    if (!equals || equals == pair || (size_t)(equals - pair) >= sizeof key) {
        return cli_usage(cli, "--set needs KEY=VALUE, not '%s'", cli_shown(pair));
    }
    memcpy(key, pair, (size_t)(equals - pair));
    key[equals - pair] = '\0';
    FbError err;
    return fb_recipe_set(recipe, key, equals + 1, &err) == FB_OK ? 0 : cli_error(cli, &err);
}

static int apply_settings(Cli *cli, FbRecipe *recipe)
{
    const CliOptions *options = &cli->options;
    char percentile[32];
    snprintf(percentile, sizeof percentile, "%.17g", options->percentile);
    const struct {
        const char *key, *value;
    } settings[] = {{"target", options->target},
                    {"format", options->layout},
                    {"activations", options->activations},
                    {"calibrator", options->calibrator},
                    {"percentile", options->percentile > 0 ? percentile : NULL}};
    FbError err;
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        if (settings[i].value && fb_recipe_set(recipe, settings[i].key, settings[i].value, &err) != FB_OK) {
            return cli_error(cli, &err);
        }
    }
    for (size_t i = 0; i < options->excluded.count; i++) {
        if (fb_recipe_set(recipe, "exclude", options->excluded.items[i], &err) != FB_OK) {
            return cli_error(cli, &err);
        }
    }
    int exit_code = 0;
    for (size_t i = 0; i < options->settings.count && !exit_code; i++) {
        exit_code = apply_pair(cli, recipe, options->settings.items[i]);
    }
    return exit_code;
}

static int make_recipe(Cli *cli, Job *job)
{
    const CliOptions *options = &cli->options;
    FbError err;
    if (options->preset && options->recipe) {
        return cli_usage(cli, "--preset and --recipe: give one of them");
    }
    if (options->calibration && options->statistics) {
        return cli_usage(cli, "--calibration and --statistics: give one of them");
    }
    FbStatus status;
    if (options->recipe) {
        job->preset = options->recipe;
        job->reason = "asked for";
        status = fb_recipe_load(cli->context, options->recipe, &job->recipe, &err);
    } else {
        int exit_code = choose_preset(cli, job);
        if (exit_code) {
            return exit_code;
        }
        status = fb_recipe_preset(cli->context, job->preset, &job->recipe, &err);
    }
    return status == FB_OK ? apply_settings(cli, job->recipe) : cli_error(cli, &err);
}

/* model.onnx -> model.int8.onnx beside it, unless --output says otherwise. */
static int choose_output(Cli *cli, Job *job)
{
    static const struct {
        const char *preset, *tag;
    } tags[] = {{"int8", "int8"}, {"int4", "int4"}, {"float16", "fp16"}, {"bfloat16", "bf16"}};
    const char *input = cli->operands[0], *tag = "quantized";
    for (size_t i = 0; i < sizeof tags / sizeof tags[0] && !cli->options.recipe; i++) {
        if (strncmp(job->preset, tags[i].preset, strlen(tags[i].preset)) == 0) {
            tag = tags[i].tag;
        }
    }
    size_t length = strlen(input);
    int stem = length > 5 && strcmp(input + length - 5, ".onnx") == 0 ? (int)length - 5 : (int)length;
    int written = cli->options.output ? snprintf(job->output, sizeof job->output, "%s", cli->options.output)
                                      : snprintf(job->output, sizeof job->output, "%.*s.%s.onnx", stem, input, tag);
    if (written < 0 || (size_t)written >= sizeof job->output) {
        return cli_usage(cli, "the output's name is too long");
    }
    return cli->options.dry_run ? cli_check_replaced(cli, job->output) : cli_check_output(cli, job->output, cli->options.force);
}

static int get_statistics(Cli *cli, Job *job)
{
    FbError err;
    if (cli->options.statistics) {
        return fb_statistics_load(cli->context, cli->options.statistics, &job->statistics, &err) == FB_OK ? 0 : cli_error(cli, &err);
    }
    if (!cli->options.calibration) {
        return 0;
    }
    if (!fb_recipe_needs_data(job->recipe)) {
        cli_note(cli, "note: %s takes no ranges from data; --calibration is not used", cli_shown(job->preset));
        return 0;
    }
    return cli_collect(cli, job->model, cli->options.calibration, &job->statistics);
}

/* Writes the file, reads its structure back and takes the sizes from there. */
static int write_output(Cli *cli, Job *job)
{
    if (cli->options.dry_run) {
        return 0;
    }
    FbSaveOptions save = {.struct_bytes = sizeof save, .overwrite = cli->options.force};
    FbError err;
    if (fb_model_save(cli->context, job->model, job->output, &save, job->sha256, &err) != FB_OK) {
        return cli_error(cli, &err);
    }
    FbModel *written = NULL;
    int exit_code = cli_load_model(cli, job->output, &written);
    if (!exit_code) {
        job->after = cli_inspect_model(cli, written, &exit_code);
    }
    fb_model_free(written);
    return exit_code;
}

static json_t *list_units(const Job *job)
{
    json_t *units = json_array();
    for (size_t i = 0; i < job->report.unit_count; i++) {
        const FbQuantizeUnit *unit = &job->report.units[i];
        char name[512];
        json_array_append_new(units, json_pack("{s:s, s:s, s:s}", "name", fb_show_name(unit->name, name, sizeof name), "method", unit->method,
                                               "key", unit->key));
    }
    return units;
}

static int print_json(Cli *cli, const Job *job, double seconds)
{
    json_t *document = cli_document("quantize"), *left = json_array();
    for (size_t i = 0; i < job->report.left_count; i++) {
        const FbLeftInFloat *node = &job->report.left[i];
        char name[512];
        json_array_append_new(left, json_pack("{s:s, s:s, s:s}", "name", fb_show_name(node->name, name, sizeof name), "type", node->type,
                                              "reason", node->reason));
    }
    json_object_set_new(document, "input", json_string(cli->operands[0]));
    json_object_set_new(document, "output", cli->options.dry_run ? json_null() : json_string(job->output));
    json_object_set_new(document, "choice", json_pack("{s:s, s:s}", "recipe", job->preset, "reason", job->reason));
    json_object_set_new(document, "bytes_before", json_integer(bytes_of(job->before)));
    json_object_set_new(document, "bytes_after", job->after ? json_integer(bytes_of(job->after)) : json_null());
    json_object_set_new(document, "weight_bytes_before", json_integer((json_int_t)job->report.bytes_before));
    json_object_set_new(document, "weight_bytes_after", json_integer((json_int_t)job->report.bytes_after));
    json_object_set_new(document, "effective_bits", json_real(job->report.effective_bits));
    json_object_set_new(document, "weights_quantized", json_integer((json_int_t)job->report.weights_quantized));
    json_object_set_new(document, "activations_quantized", json_integer((json_int_t)job->report.activations_quantized));
    json_object_set_new(document, "sha256", cli->options.dry_run ? json_null() : json_string(job->sha256));
    json_object_set_new(document, "seconds", json_real(seconds));
    json_object_set_new(document, "peak_bytes", json_integer((json_int_t)fb_context_memory_peak(cli->context)));
    json_object_set_new(document, "left_in_float", left);
    json_object_set_new(document, "units", list_units(job));
    return cli_print_document(cli, document);
}

static int print_left(Cli *cli, const Job *job)
{
    static const FbColumn columns[] = {{"left in float", 0}, {"type", 0}, {"reason", 0}};
    FbTable *table = NULL;
    FbError err;
    if (fb_table_create(cli->context, columns, 3, &table, &err) != FB_OK) {
        return cli_error(cli, &err);
    }
    for (size_t i = 0; i < job->report.left_count; i++) {
        const FbLeftInFloat *node = &job->report.left[i];
        fb_table_add(table, (const char *const[]){node->name, node->type, node->reason});
    }
    int exit_code = job->report.left_count ? cli_table(cli, table, NULL, 1) : 0;
    fb_table_free(table);
    return exit_code;
}

static int print_result(Cli *cli, const Job *job)
{
    double seconds = cli_seconds() - job->begin;
    if (cli->options.format == CLI_FORMAT_JSON) {
        return print_json(cli, job, seconds);
    }
    if (job->after) {
        long long before = bytes_of(job->before), after = bytes_of(job->after);
        cli_line(cli, "%s: %s bytes, before %s (%.3f of it)", cli_shown(job->output), cli_grouped((uint64_t)after), cli_grouped((uint64_t)before),
                 before > 0 ? (double)after / (double)before : 0.0);
    } else {
        cli_line(cli, "dry run: nothing written; weights %s bytes, before %s", cli_grouped(job->report.bytes_after),
                 cli_grouped(job->report.bytes_before));
    }
    if (job->report.weights_quantized || job->report.activations_quantized) {
        cli_line(cli, "%zu weights in %.3f bits on average (scales included), %zu activations", job->report.weights_quantized,
                 job->report.effective_bits, job->report.activations_quantized);
    } else {
        cli_line(cli, "nothing was quantized: %s finds no weight or activation to quantize here; another preset may ('fewbit list presets')",
                 cli_shown(job->preset));
    }
    int exit_code = print_left(cli, job);
    if (job->report.left_count == 0) {
        cli_line(cli, "nothing that could be quantized was left in float");
    }
    cli_line(cli, "%.1f s, at most %s of memory", seconds, cli_bytes(fb_context_memory_peak(cli->context)));
    if (job->after) {
        const char *data = cli->options.calibration ? cli_shown(cli->options.calibration) : "DATA";
        cli_line(cli, "next: fewbit evaluate %s --baseline %s --data %s --max-loss 2", cli_shown(job->output), cli_shown(cli->operands[0]), data);
        cli_line(cli, "next: python: onnxruntime.InferenceSession(\"%s\")", cli_shown(job->output));
    }
    return exit_code;
}

static int run(Cli *cli)
{
    Job job = {.begin = cli_seconds()};
    if (fb_checkpoint_recognized(cli->context, cli->operands[0])) {
        return cli_quantize_checkpoint(cli, cli->operands[0]);
    }
    if (cli->options.imatrix || cli->options.pure) {
        return cli_usage(cli, "--%s is for language models (GGUF, safetensors)", cli->options.imatrix ? "imatrix" : "pure");
    }
    int exit_code = cli_load_model(cli, cli->operands[0], &job.model);
    if (!exit_code) {
        job.before = cli_inspect_model(cli, job.model, &exit_code);
    }
    if (!exit_code) {
        exit_code = make_recipe(cli, &job);
    }
    if (!exit_code) {
        exit_code = choose_output(cli, &job);
    }
    if (!exit_code) {
        cli_line(cli, "%s: %s (%s)", cli_shown(cli->operands[0]), cli_shown(job.preset), job.reason);
        exit_code = get_statistics(cli, &job);
    }
    FbError err;
    if (!exit_code && fb_quantize(cli->context, job.model, job.recipe, job.statistics, &job.report, &err) != FB_OK) {
        exit_code = cli_error(cli, &err);
    }
    if (!exit_code) {
        exit_code = write_output(cli, &job);
    }
    if (!exit_code) {
        exit_code = print_result(cli, &job);
    }
    fb_quantize_report_free(cli->context, &job.report);
    fb_statistics_free(job.statistics);
    fb_recipe_free(job.recipe);
    json_decref(job.before);
    json_decref(job.after);
    fb_model_free(job.model);
    return exit_code;
}

static const char *const examples[] = {"fewbit quantize model.onnx --calibration pictures/", "8-bit weights and activations, written to model.int8.onnx",
                                       "fewbit quantize bert.onnx", "no samples: 8-bit MatMul with ranges taken at run time",
                                       "fewbit quantize model.onnx -p int8-weights -o small.onnx", "smaller file, float arithmetic",
                                       "fewbit quantize model.onnx -c pictures/ -x 'type:Softmax' -x '*/head*'", "keep these in float",
                                       "fewbit quantize model-f16.gguf", "a language model: model-Q4_K_M.gguf for llama.cpp",
                                       "fewbit quantize model-f16.gguf -p q5_k_m --set 'blk.*.ffn_down.weight=q6_k' -n", "another mix; show the plan only", NULL};

const CliCommand cli_quantize = {
    .name = "quantize",
    .summary = "write a smaller model",
    .operands = "MODEL [-o OUT] [--preset P | --recipe R] [--calibration DATA]",
    .mask = CLI_QUANTIZE,
    .least_operands = 1,
    .most_operands = 1,
    .run = run,
    .description = "Writes a model with fewer bits. Without --preset the choice follows from what is given: with --calibration int8-static; without "
                   "samples int8-dynamic where MatMul, Gemm or recurrent layers do most of the work; a language model (GGUF, safetensors) becomes "
                   "GGUF, q4_k_m. The choice is the first line printed. The file "
                   "appears under its name only when it is complete. Afterwards: bytes before and after, bits per weight, what stayed float and "
                   "why, and the next command.",
    .examples = examples};
