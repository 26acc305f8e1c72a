/* fewbit calibrate MODEL --data DATA -o STATS; of a language model an importance matrix */
#include <stdio.h>

#include "console.h"
#include "fewbit/importance.h"
#include "language_input.h"
#include "model_input.h"
#include "samples.h"
#include "tokenizer_input.h"

/* Adds the files of --merge; the first one starts when there is no data. */
static int merge_files(Cli *cli, FbStatistics **statistics)
{
    for (size_t i = 0; i < cli->options.merged.count; i++) {
        FbStatistics *other = NULL;
        FbError err;
        FbStatus status = fb_statistics_load(cli->context, cli->options.merged.items[i], &other, &err);
        if (status == FB_OK && !*statistics) {
            *statistics = other;
            continue;
        }
        if (status == FB_OK) {
            status = fb_statistics_merge(*statistics, other, &err);
        }
        fb_statistics_free(other);
        if (status != FB_OK) {
            return cli_error(cli, &err);
        }
    }
    return 0;
}

/* ---- language models ---- */

static int print_importance(Cli *cli, const FbImportanceReport *report, double seconds)
{
    const CliOptions *options = &cli->options;
    if (options->format == CLI_FORMAT_JSON) {
        json_t *document = cli_document("calibrate");
        json_object_set_new(document, "input", json_string(cli->operands[0]));
        json_object_set_new(document, "output", json_string(options->output));
        json_object_set_new(document, "merged", json_integer((json_int_t)options->merged.count));
        json_object_set_new(document, "text_tokens", json_integer((json_int_t)report->text_tokens));
        json_object_set_new(document, "windows", json_integer((json_int_t)report->windows));
        json_object_set_new(document, "context", json_integer((json_int_t)report->context));
        json_object_set_new(document, "added_bos", json_boolean(report->added_bos));
        json_object_set_new(document, "weights", json_integer((json_int_t)report->weights));
        json_object_set_new(document, "experts", json_integer((json_int_t)report->experts));
        json_object_set_new(document, "unseen_experts", json_integer((json_int_t)report->unseen));
        json_object_set_new(document, "seconds", json_real(seconds));
        json_object_set_new(document, "peak_bytes", json_integer((json_int_t)fb_context_memory_peak(cli->context)));
        return cli_print_document(cli, document);
    }
    if (report->windows) {
        cli_line(cli, "%s weights seen in %s windows of %zu tokens%s, of %s tokens of text", cli_grouped(report->weights), cli_grouped(report->windows),
                 report->context, report->added_bos ? ", each begun with BOS" : "", cli_grouped(report->text_tokens));
    }
    if (options->merged.count) {
        cli_line(cli, "%s weights, with the sums of %zu %s added", cli_grouped(report->weights), options->merged.count,
                 options->merged.count == 1 ? "file" : "files");
    }
    cli_line(cli, "%s: written in %.1f s", cli_shown(options->output), seconds);
    cli_line(cli, "next: fewbit quantize %s --imatrix %s", cli_shown(cli->operands[0]), cli_shown(options->output));
    return 0;
}

static int check_importance(Cli *cli)
{
    const CliOptions *options = &cli->options;
    if (options->samples || options->selection || options->batch || options->preprocess || options->evaluation) {
        return cli_usage(cli, "--%s is for models with a graph (ONNX); of a language model's text --windows takes a part",
                         options->samples      ? "samples"
                         : options->selection  ? "selection"
                         : options->batch      ? "batch"
                         : options->preprocess ? "preprocess"
                                               : "evaluation");
    }
    if (!options->output) {
        return cli_usage(cli, "name the importance matrix to write: -o model.imatrix.gguf");
    }
    if (!options->data && !options->merged.count) {
        return cli_usage(cli, "name the text: --data text.txt, or importance matrices to add up: --merge FILE --merge FILE");
    }
    if (!options->data && (options->windows || options->tokenizer)) {
        return cli_usage(cli, "--%s is of no use without --data", options->windows ? "windows" : "tokenizer");
    }
    return cli_check_output(cli, options->output, options->force);
}

static int run_language(Cli *cli)
{
    const CliOptions *options = &cli->options;
    FbModel *model = NULL;
    FbTokenizer *tokenizer = NULL;
    double begin = cli_seconds();
    int exit_code = check_importance(cli);
    if (!exit_code && options->data) { /* matrices are added up without the model */
        exit_code = cli_load_language(cli, cli->context, cli->operands[0], options->positions, &model);
    }
    if (!exit_code && options->data) {
        exit_code = cli_load_tokenizer(cli, cli->operands[0], cli_may_hold_ids(options->data), &tokenizer);
    }
    if (!exit_code) {
        cli_check_tokenizer(cli, tokenizer, model);
    }
    if (!exit_code) {
        FbImportanceOptions wanted = {.struct_bytes = sizeof wanted, .context = (size_t)options->positions, .windows = (size_t)options->windows,
                                      .overwrite = options->force, .merged = options->merged.items, .merged_count = options->merged.count};
        FbImportanceReport report;
        FbError err;
        FbStatus status = fb_importance_collect(cli->context, model, tokenizer, options->data, options->output, &wanted, &report, &err);
        exit_code = status == FB_OK ? print_importance(cli, &report, cli_seconds() - begin) : cli_error(cli, &err);
    }
    fb_tokenizer_free(tokenizer);
    fb_model_free(model);
    return exit_code;
}

/* ---- statistics ---- */

static int run(Cli *cli)
{
    const CliOptions *options = &cli->options;
    if (cli_is_language(cli, cli->operands[0])) {
        return run_language(cli);
    }
    if (options->positions || options->windows || options->tokenizer) {
        return cli_usage(cli, "--%s is for language models (GGUF, safetensors)",
                         options->positions ? "context" : options->windows ? "windows" : "tokenizer");
    }
    if (!options->output) {
        return cli_usage(cli, "name the statistics file to write: -o model.stats");
    }
    if (!options->data && !options->merged.count) {
        return cli_usage(cli, "name the samples: --data FOLDER, or statistics to add up: --merge FILE --merge FILE");
    }
    double begin = cli_seconds();
    FbModel *model = NULL;
    FbStatistics *statistics = NULL;
    int exit_code = cli_check_output(cli, options->output, options->force);
    if (!exit_code) {
        exit_code = cli_load_model(cli, cli->operands[0], &model);
    }
    if (!exit_code && options->data) {
        exit_code = cli_collect(cli, model, options->data, &statistics);
    }
    if (!exit_code) {
        exit_code = merge_files(cli, &statistics);
    }
    FbError err;
    if (!exit_code && fb_statistics_save(cli->context, statistics, options->output, options->force, &err) != FB_OK) {
        exit_code = cli_error(cli, &err);
    }
    if (!exit_code && options->format == CLI_FORMAT_JSON) {
        json_t *document = cli_document("calibrate");
        json_object_set_new(document, "input", json_string(cli->operands[0]));
        json_object_set_new(document, "output", json_string(options->output));
        json_object_set_new(document, "seconds", json_real(cli_seconds() - begin));
        json_object_set_new(document, "peak_bytes", json_integer((json_int_t)fb_context_memory_peak(cli->context)));
        exit_code = cli_print_document(cli, document);
    } else if (!exit_code) {
        cli_line(cli, "%s: written in %.1f s", cli_shown(options->output), cli_seconds() - begin);
        cli_line(cli, "next: fewbit quantize %s --statistics %s", cli_shown(cli->operands[0]), cli_shown(options->output));
    }
    fb_statistics_free(statistics);
    fb_model_free(model);
    return exit_code;
}

static const char *const examples[] = {"fewbit calibrate model.onnx --data pictures/ --samples 500 -o model.stats",
                                       "500 random pictures, once; then try recipes with quantize --statistics",
                                       "fewbit calibrate model.onnx --merge a.stats --merge b.stats -o all.stats",
                                       "what two machines have seen, added up exactly",
                                       "fewbit calibrate hf_folder/ --data text.txt --windows 100 -o m.imatrix.gguf",
                                       "a language model: which columns of its weights matter; for quantize --imatrix",
                                       "fewbit calibrate m.gguf --merge a.imatrix.gguf --merge b.imatrix.gguf -o all.imatrix.gguf",
                                       "importance measured on two texts, added up (llama-imatrix: --in-file)", NULL};

const CliCommand cli_calibrate = {
    .name = "calibrate",
    .summary = "run samples through a model and keep the statistics of its values",
    .operands = "MODEL --data DATA -o STATS",
    .mask = CLI_CALIBRATE,
    .least_operands = 1,
    .most_operands = 1,
    .run = run,
    .description = "Runs the float model over samples and writes counts, minima, maxima and histograms of every value that quantize may need. "
                   "The file is reusable, can be merged with others of the same model, and remembers the model and the data by their hashes. "
                   "Of a language model it writes an importance matrix in GGUF, as llama-imatrix does: for every weight of the layers the sums of squares "
                   "of what its columns are multiplied with, over whole windows of a text; of a mixture for every expert, from the tokens that were sent to it. "
                   "quantize --imatrix takes it, and so does llama-quantize. Files named with --merge are added, without --data they are all there is.",
    .examples = examples};
