/* fewbit calibrate MODEL --data DATA -o STATS */
#include <stdio.h>

#include "console.h"
#include "model_input.h"
#include "samples.h"

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

static int run(Cli *cli)
{
    const CliOptions *options = &cli->options;
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
                                       "what two machines have seen, added up exactly", NULL};

const CliCommand cli_calibrate = {
    .name = "calibrate",
    .summary = "run samples through a model and keep the statistics of its values",
    .operands = "MODEL --data DATA -o STATS",
    .mask = CLI_CALIBRATE,
    .least_operands = 1,
    .most_operands = 1,
    .run = run,
    .description = "Runs the float model over samples and writes counts, minima, maxima and histograms of every value that quantize may need. "
                   "The file is reusable, can be merged with others of the same model, and remembers the model and the data by their hashes.",
    .examples = examples};
