/* fewbit evaluate MODEL --data DATA: what it cost, with the uncertainty, and the gate. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "console.h"
#include "evaluate_language.h"
#include "language_input.h"
#include "model_input.h"
#include "options.h"
#include "samples.h"

static void percent(double fraction, char out[32], int sign)
{
    snprintf(out, 32, sign ? "%+.2f" : "%.2f", 100.0 * fraction);
}

/* simulated: NULL, or the same proportion in the simulated execution. */
static void add_paired(FbTable *table, const char *name, const FbPaired *paired, const FbPaired *simulated, int has_baseline)
{
    char other[32] = "", baseline[32] = "", model[32], difference[32] = "", low[32] = "", high[32] = "", p_value[32] = "";
    percent(paired->model, model, 0);
    if (has_baseline) {
        percent(paired->baseline, baseline, 0);
        percent(paired->difference, difference, 1);
        percent(paired->low, low, 1);
        percent(paired->high, high, 1);
        snprintf(p_value, sizeof p_value, "%.3g", paired->p_value);
    }
    if (simulated) {
        percent(simulated->model, other, 0);
    }
    fb_table_add(table, (const char *const[]){name, baseline, model, difference, low, high, p_value, other});
}

static int print_metrics(Cli *cli, const FbEvaluation *evaluation)
{
    const int both = evaluation->has_executions;
    const FbColumn columns[] = {{"metric", 0}, {"baseline", 1}, {both ? "integers" : "model", 1}, {"change", 1}, {"low", 1}, {"high", 1}, {"p", 1},
                                {"simulated", 1}};
    FbTable *table = NULL;
    FbError err;
    if (fb_table_create(cli->context, columns, both ? 8 : 7, &table, &err) != FB_OK) {
        return cli_error(cli, &err);
    }
    if (evaluation->has_top1) {
        add_paired(table, "top-1 %", &evaluation->top1, both ? &evaluation->simulated_top1 : NULL, evaluation->has_baseline);
    }
    if (evaluation->has_top5) {
        add_paired(table, "top-5 %", &evaluation->top5, both ? &evaluation->simulated_top5 : NULL, evaluation->has_baseline);
    }
    if (evaluation->has_agreement) {
        char share[32], low[32], high[32], simulated[32];
        percent(evaluation->agreement, share, 0);
        percent(evaluation->agreement_low, low, 0);
        percent(evaluation->agreement_high, high, 0);
        percent(evaluation->simulated_agreement, simulated, 0);
        fb_table_add(table, (const char *const[]){"agreement %", "", share, "", low, high, "", simulated});
    }
    int exit_code = evaluation->has_top1 || evaluation->has_agreement ? cli_table(cli, table, NULL, 1) : 0;
    fb_table_free(table);
    return exit_code;
}

static int print_outputs(Cli *cli, const FbEvaluation *evaluation)
{
    static const FbColumn columns[] = {{"output", 0}, {"SQNR dB", 1}, {"cosine", 1}, {"mean |diff|", 1}, {"max |diff|", 1}, {"range", 1}};
    FbTable *table = NULL;
    FbError err;
    if (fb_table_create(cli->context, columns, 6, &table, &err) != FB_OK) {
        return cli_error(cli, &err);
    }
    for (size_t i = 0; i < evaluation->output_count; i++) {
        const FbOutputDifference *output = &evaluation->outputs[i];
        char sqnr[32] = "exact", cosine[32], mean[32], largest[32], range[32];
        if (isfinite(output->sqnr_db)) {
            snprintf(sqnr, sizeof sqnr, "%.2f", output->sqnr_db);
        }
        snprintf(cosine, sizeof cosine, "%.6f", output->cosine);
        snprintf(mean, sizeof mean, "%.4g", output->mean_difference);
        snprintf(largest, sizeof largest, "%.4g", output->max_difference);
        snprintf(range, sizeof range, "%.4g", output->range);
        fb_table_add(table, (const char *const[]){output->name, sqnr, cosine, mean, largest, range});
    }
    int exit_code = evaluation->output_count ? cli_table(cli, table, NULL, 0) : 0;
    fb_table_free(table);
    return exit_code;
}

static int print_executions(Cli *cli, const FbEvaluation *evaluation)
{
    static const FbColumn columns[] = {{"integers against simulated", 0}, {"elements", 1}, {"differing", 1}, {"differing %", 1}, {"max |diff|", 1}, {"SQNR dB", 1}};
    FbTable *table = NULL;
    FbError err;
    if (!evaluation->has_executions) {
        return 0;
    }
    if (fb_table_create(cli->context, columns, 6, &table, &err) != FB_OK) {
        return cli_error(cli, &err);
    }
    for (size_t i = 0; i < evaluation->execution_output_count; i++) {
        const FbOutputDifference *output = &evaluation->execution_outputs[i];
        char share[32], largest[32], sqnr[32] = "exact";
        percent(output->elements ? (double)output->differing / (double)output->elements : 0, share, 0);
        snprintf(largest, sizeof largest, "%.4g", output->max_difference);
        if (isfinite(output->sqnr_db)) {
            snprintf(sqnr, sizeof sqnr, "%.2f", output->sqnr_db);
        }
        fb_table_add(table, (const char *const[]){output->name, cli_grouped(output->elements), cli_grouped(output->differing), share, largest, sqnr});
    }
    int exit_code = cli_table(cli, table, NULL, 0);
    fb_table_free(table);
    if (!exit_code && evaluation->codes_compared) {
        cli_line(cli, "codes of quantized values, %zu samples: %s of %s differ (%.4f %%)", evaluation->code_samples, cli_grouped(evaluation->codes_differing),
                 cli_grouped(evaluation->codes_compared), 100.0 * (double)evaluation->codes_differing / (double)evaluation->codes_compared);
    }
    if (!exit_code && evaluation->classes) {
        cli_line(cli, "top-1 differs between integers and simulated on %zu of %zu samples", evaluation->execution_differing_top1, evaluation->samples);
    }
    return exit_code;
}

static void print_verdict(Cli *cli, const FbEvaluation *evaluation)
{
    if (evaluation->has_loss) {
        cli_line(cli, "verdict: %s (loss %.2f points, 95 %% between %.2f and %.2f, %zu samples)", fb_verdict_of_loss(evaluation->loss_points)->name,
                 evaluation->loss_points, evaluation->loss_low, evaluation->loss_high, evaluation->samples);
    }
    if (evaluation->gate_set) {
        cli_line(cli, "gate: %s (loss %.2f, allowed less than %g points)", evaluation->gate_passed ? "passed" : "FAILED", evaluation->loss_points,
                 evaluation->gate_threshold);
        if (evaluation->samples_needed) {
            cli_line(cli, "%zu samples cannot decide this, about %zu needed", evaluation->samples, evaluation->samples_needed);
        }
    }
}

static int print_json(Cli *cli, const FbEvaluation *evaluation)
{
    char *text = NULL;
    FbError err;
    FbStatus status = fb_evaluation_json(cli->context, evaluation, &text, &err);
    return status == FB_OK ? cli_print_result(cli, text) : cli_error(cli, &err);
}

static int print_all(Cli *cli, const FbEvaluation *evaluation)
{
    int exit_code;
    if (cli->options.format == CLI_FORMAT_JSON) {
        exit_code = print_json(cli, evaluation);
    } else {
        exit_code = print_metrics(cli, evaluation);
        exit_code = exit_code ? exit_code : print_outputs(cli, evaluation);
        exit_code = exit_code ? exit_code : print_executions(cli, evaluation);
        if (!exit_code && !evaluation->has_labels && !evaluation->has_baseline) {
            cli_line(cli, "%zu samples ran; without labels and without --baseline there is nothing to compare with", evaluation->samples);
        }
        print_verdict(cli, evaluation);
    }
    return exit_code ? exit_code : evaluation->gate_set && !evaluation->gate_passed ? CLI_EXIT_GATE : CLI_EXIT_OK;
}

static int evaluate_graphs(Cli *cli)
{
    const CliOptions *options = &cli->options;
    if (options->metric || options->windows || options->positions || options->tokenizer) {
        return cli_usage(cli, "--metric, --windows, --context and --tokenizer are for language models");
    }
    if (!options->data) {
        return cli_usage(cli, "name the samples: --data FOLDER");
    }
    if (options->baseline && options->baseline_outputs) {
        return cli_usage(cli, "--baseline and --baseline-outputs: give one of them");
    }
    if (cli_mode(cli, FB_MODE_SIMULATED) == FB_MODE_FLOAT) {
        return cli_usage(cli, "--mode is simulated or integer here; the float model is evaluated by naming it");
    }
    if (options->max_loss >= 0 && !options->baseline && !options->baseline_outputs) {
        return cli_usage(cli, "--max-loss compares with a float model: add --baseline MODEL");
    }
    FbModel *model = NULL, *baseline = NULL;
    FbDataset *data = NULL;
    FbEvaluation evaluation;
    memset(&evaluation, 0, sizeof evaluation);
    int exit_code = options->save_inputs ? cli_check_output(cli, options->save_inputs, options->force) : 0;
    if (!exit_code && options->save_outputs) {
        exit_code = cli_check_output(cli, options->save_outputs, options->force);
    }
    if (!exit_code) {
        exit_code = cli_load_model(cli, cli->operands[0], &model);
    }
    if (!exit_code && options->baseline) {
        exit_code = cli_load_model(cli, options->baseline, &baseline);
    }
    if (!exit_code) {
        exit_code = cli_open_data(cli, model, options->data, &data);
    }
    if (!exit_code) {
        FbEvaluateOptions wanted = {.struct_bytes = sizeof wanted,
                                    .baseline = baseline,
                                    .baseline_outputs = options->baseline_outputs,
                                    .output = options->judged_output,
                                    .max_loss = options->max_loss,
                                    .save_inputs = options->save_inputs,
                                    .save_outputs = options->save_outputs,
                                    .overwrite = options->force,
                                    .mode = cli_mode(cli, FB_MODE_SIMULATED)};
        FbError err;
        exit_code = fb_evaluate(cli->context, model, data, &wanted, &evaluation, &err) == FB_OK ? print_all(cli, &evaluation) : cli_error(cli, &err);
    }
    fb_evaluation_free(cli->context, &evaluation);
    fb_dataset_free(data);
    fb_model_free(baseline);
    fb_model_free(model);
    return exit_code;
}

static int run(Cli *cli)
{
    return cli_is_language(cli, cli->operands[0]) ? cli_evaluate_language(cli) : evaluate_graphs(cli);
}

static const char *const examples[] = {"fewbit evaluate model.int8.onnx --baseline model.onnx --data pictures/ --max-loss 2",
                                       "both models on the same pictures; exit code 1 unless the loss is below two points",
                                       "fewbit evaluate model.onnx --data test.npz --json", "one model's accuracy, for a program",
                                       "fewbit evaluate model.int8.onnx --baseline model.onnx --data test.npz --mode integer",
                                       "on integers, and how many outputs differ from the simulated execution",
                                       "fewbit evaluate m-Q4_K_M.gguf --baseline m-F16.gguf --data text.txt --metric kld --max-loss 0.05",
                                       "perplexity and divergence of a language model, as llama.cpp measures them", NULL};

const CliCommand cli_evaluate = {
    .name = "evaluate",
    .summary = "what a model gets right, and what quantization cost",
    .operands = "MODEL --data DATA [--baseline MODEL] [--max-loss X]",
    .mask = CLI_EVALUATE,
    .least_operands = 1,
    .most_operands = 1,
    .run = run,
    .description = "Runs a model over samples. With --baseline both run on the same samples, and the difference comes with its 95 % interval and a test: "
                   "top-1 and top-5 where there are labels, agreement of the answers, signal-to-noise ratio, cosine and largest difference of every output. --mode integer runs "
                   "the model on integers, as a fast runtime would, and counts what differs from the simulated execution. A language model is measured on a text: "
                   "perplexity, and against a baseline the divergence of the probabilities of every scored token and how often the best token is the "
                   "same; --save-outputs keeps a baseline for later runs. Questions with choices give accuracy.",
    .examples = examples};
