/* What quantize and calibrate share: collecting statistics with the options of the command line. */
#include "samples.h"

#include <string.h>

#include "console.h"

int cli_open_data(Cli *cli, const FbModel *model, const char *path, FbDataset **data)
{
    FbDatasetOptions options = {.struct_bytes = sizeof options, .preprocess = cli->options.preprocess};
    FbError err;
    *data = NULL;
    return fb_dataset_open(cli->context, model, path, &options, data, &err) == FB_OK ? 0 : cli_error(cli, &err);
}

static int read_selection(Cli *cli, FbSelection *selection)
{
    static const char *const names[] = {"all", "first", "random", "stratified"};
    const char *given = cli->options.selection;
    *selection = cli->options.samples ? FB_SELECT_RANDOM : FB_SELECT_ALL;
    if (!given) {
        return 0;
    }
    for (size_t i = 0; i < 4; i++) {
        if (strcmp(given, names[i]) == 0) {
            *selection = (FbSelection)i;
            return 0;
        }
    }
    const char *near = fb_suggest(given, names, 4);
    return cli_usage(cli, "--selection is all, first, random or stratified, not '%s'%s%s%s", cli_shown(given), near ? "; did you mean '" : "",
                     near ? near : "", near ? "'?" : "");
}

int cli_collect(Cli *cli, const FbModel *model, const char *path, FbStatistics **statistics)
{
    FbCalibrateOptions options = {.struct_bytes = sizeof options,
                                  .samples = (size_t)cli->options.samples,
                                  .seed = (uint64_t)cli->options.seed,
                                  .batch = (size_t)cli->options.batch};
    FbDataset *data = NULL;
    *statistics = NULL;
    int exit_code = read_selection(cli, &options.selection);
    if (!exit_code) {
        exit_code = cli_open_data(cli, model, path, &data);
    }
    if (!exit_code && cli->options.evaluation) {
        exit_code = cli_open_data(cli, model, cli->options.evaluation, &options.evaluation);
    }
    if (!exit_code) {
        FbError err;
        exit_code = fb_calibrate(cli->context, model, data, &options, statistics, &err) == FB_OK ? 0 : cli_error(cli, &err);
    }
    fb_dataset_free(options.evaluation);
    fb_dataset_free(data);
    return exit_code;
}
