/* fewbit evaluate of a language model: perplexity, divergence from a baseline, multiple choice. */
#include "evaluate_language.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "console.h"
#include "fewbit/language_evaluate.h"
#include "language_input.h"
#include "model_input.h"
#include "options.h"
#include "tokenizer_input.h"

/* What --metric can name. */
typedef enum LanguageMetric { METRIC_PERPLEXITY = 0, METRIC_KLD, METRIC_SAME_TOP, METRIC_ACCURACY, METRIC_COUNT } LanguageMetric;
static const char *const metric_names[METRIC_COUNT] = {"perplexity", "kld", "same_top", "accuracy"};

typedef struct LanguageChoice {
    int shown[METRIC_COUNT]; /* all when --metric was not given */
    FbLanguageGate gate;     /* the first metric that has one */
} LanguageChoice;

static int read_metrics(Cli *cli, LanguageChoice *choice)
{
    const char *given = cli->options.metric;
    int any = 0, has_gate = 0;
    memset(choice, 0, sizeof *choice);
    for (const char *at = given; at && *at;) {
        char name[32];
        size_t length = strcspn(at, ",");
        int metric = METRIC_COUNT;
        snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name - 1), at);
        for (int i = 0; i < METRIC_COUNT; i++) {
            metric = strcmp(name, metric_names[i]) == 0 ? i : metric;
        }
        if (metric == METRIC_COUNT) {
            const char *near = fb_suggest(name, metric_names, METRIC_COUNT);
            return cli_usage(cli, "--metric of a language model is perplexity, kld, same_top or accuracy, not '%s'%s%s%s", cli_shown(name),
                             near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
        }
        if (!has_gate && metric == METRIC_KLD) {
            choice->gate = FB_GATE_KLD;
        }
        has_gate = has_gate || metric == METRIC_KLD || metric == METRIC_PERPLEXITY;
        any = choice->shown[metric] = 1;
        at += length + (at[length] == ',');
    }
    for (int i = 0; i < METRIC_COUNT && !any; i++) {
        choice->shown[i] = 1;
    }
    int compares = any && (choice->shown[METRIC_KLD] || choice->shown[METRIC_SAME_TOP]);
    return compares && !cli->options.baseline && !cli->options.baseline_outputs
               ? cli_usage(cli, "--metric %s compares with a float model: add --baseline MODEL or --baseline-outputs FILE", given)
               : 0;
}

/* ---- tables ---- */

enum { CELL = 32, METRIC_COLUMNS = 8 };

static void cell(char out[CELL], const char *format, double value)
{
    snprintf(out, CELL, format, value);
    if (!isfinite(value)) {
        out[0] = '\0';
    }
}

/* One line of figures; NaN leaves a cell empty. */
typedef struct FigureRow {
    const char *name, *format, *change_format;
    double baseline, model, error, change, low, high, p;
} FigureRow;

static void add_figures(FbTable *table, const FigureRow *row)
{
    char cells[METRIC_COLUMNS][CELL];
    cell(cells[1], row->format, row->baseline);
    cell(cells[2], row->format, row->model);
    cell(cells[3], row->format, row->error);
    cell(cells[4], row->change_format, row->change);
    cell(cells[5], row->change_format, row->low);
    cell(cells[6], row->change_format, row->high);
    cell(cells[7], "%.3g", row->p);
    fb_table_add(table, (const char *const[]){row->name, cells[1], cells[2], cells[3], cells[4], cells[5], cells[6], cells[7]});
}

static void add_token_rows(FbTable *table, const FbTokenStatistics *t, const LanguageChoice *choice, int has_baseline)
{
    const double z = 1.959963984540054;
    if (choice->shown[METRIC_PERPLEXITY]) {
        const double reach = z * t->difference.error;
        add_figures(table, &(FigureRow){"perplexity", "%.4f", "%+.4f", t->baseline_perplexity.value, t->perplexity.value, t->perplexity.error,
                                        t->difference.value, t->difference.value - reach, t->difference.value + reach, t->p_value});
    }
    if (choice->shown[METRIC_PERPLEXITY] && has_baseline) {
        const double reach = z * t->log_ratio.error, ratio = t->log_ratio.value;
        add_figures(table, &(FigureRow){"perplexity ratio %", "%.3f", "%+.3f", NAN, 100 * t->ratio.value, 100 * t->ratio.error, 100 * expm1(ratio),
                                        100 * expm1(ratio - reach), 100 * expm1(ratio + reach), NAN});
    }
    if (choice->shown[METRIC_KLD] && has_baseline) {
        const double reach = z * t->kld.error;
        add_figures(table, &(FigureRow){"KLD", "%.6f", "%.6f", NAN, t->kld.mean, t->kld.error, NAN, t->kld.mean - reach, t->kld.mean + reach, NAN});
        add_figures(table, &(FigureRow){"RMS of dp %", "%.3f", "%.3f", NAN, 100 * t->probability_rms.value, 100 * t->probability_rms.error, NAN, NAN,
                                        NAN, NAN});
    }
    if (choice->shown[METRIC_SAME_TOP] && has_baseline) {
        add_figures(table, &(FigureRow){"same top %", "%.3f", "%.3f", NAN, 100 * t->same_top, NAN, NAN, 100 * t->same_top_low,
                                        100 * t->same_top_high, NAN});
    }
}

static void add_choice_row(FbTable *table, const char *name, const FbPaired *p, double low, double high, int has_baseline)
{
    FigureRow row = {name, "%.2f", "%+.2f", 100 * p->baseline, 100 * p->model, NAN, 100 * p->difference, 100 * p->low, 100 * p->high, p->p_value};
    if (!has_baseline) { /* the interval of the figure itself */
        row.change_format = "%.2f";
        row.low = 100 * low;
        row.high = 100 * high;
    }
    add_figures(table, &row);
}

static int print_figures(Cli *cli, const FbLanguageEvaluation *e, const LanguageChoice *choice)
{
    static const FbColumn columns[METRIC_COLUMNS] = {{"metric", 0}, {"baseline", 1}, {"model", 1}, {"error", 1},
                                                     {"change", 1}, {"low", 1},      {"high", 1},  {"p", 1}};
    FbTable *table = NULL;
    FbError err;
    if (fb_table_create(cli->context, columns, METRIC_COLUMNS, &table, &err) != FB_OK) {
        return cli_error(cli, &err);
    }
    if (e->is_choice) {
        const FbChoiceStatistics *c = &e->choices;
        add_choice_row(table, "accuracy, normalized %", &c->normalized, c->normalized_low, c->normalized_high, e->has_baseline);
        add_choice_row(table, "accuracy %", &c->accuracy, c->low, c->high, e->has_baseline);
    } else {
        add_token_rows(table, &e->tokens, choice, e->has_baseline);
    }
    int exit_code = cli_table(cli, table, NULL, 1);
    fb_table_free(table);
    return exit_code;
}

static void add_spread(FbTable *table, const char *name, double kld, double probability)
{
    char cells[2][CELL];
    cell(cells[0], "%.6f", kld);
    cell(cells[1], "%+.3f", 100 * probability);
    fb_table_add(table, (const char *const[]){name, cells[0], cells[1]});
}

/* Percentiles from the largest down, the median in its place. */
static int print_spread(Cli *cli, const FbTokenStatistics *t)
{
    static const FbColumn columns[] = {{"per token", 0}, {"KLD", 1}, {"dp %", 1}};
    FbTable *table = NULL;
    FbError err;
    if (fb_table_create(cli->context, columns, 3, &table, &err) != FB_OK) {
        return cli_error(cli, &err);
    }
    add_spread(table, "largest", t->kld.maximum, t->probability.maximum);
    for (size_t i = 0; i < FB_PERCENTILE_COUNT; i++) {
        char name[CELL];
        if (i > 0 && fb_percentile_fraction(i - 1) > 0.5 && fb_percentile_fraction(i) < 0.5) {
            add_spread(table, "median", t->kld.median, t->probability.median);
        }
        snprintf(name, sizeof name, "%g %%", 100 * fb_percentile_fraction(i));
        add_spread(table, name, t->kld.percentiles[i], t->probability.percentiles[i]);
    }
    add_spread(table, "smallest", t->kld.minimum, t->probability.minimum);
    int exit_code = cli_table(cli, table, NULL, 0);
    fb_table_free(table);
    return exit_code;
}

static void print_lines(Cli *cli, const FbLanguageEvaluation *e)
{
    static const char *const units[] = {"% of perplexity", "nats of divergence", "points of normalized accuracy"};
    const char *path = cli->options.save_outputs;
    if (e->is_choice) {
        cli_line(cli, "%s questions", cli_grouped(e->choices.questions));
    } else {
        cli_line(cli, "%s of %s tokens scored: the second half of %s windows of %zu%s", cli_grouped(e->tokens.tokens), cli_grouped(e->text_tokens),
                 cli_grouped(e->windows), e->context, e->added_bos ? ", each begun with BOS" : "");
    }
    if (e->has_baseline && !e->is_choice) {
        cli_line(cli, "correlation of the tokens' losses: %.2f %%", 100 * e->tokens.correlation);
        if (cli->options.baseline_outputs) {
            cli_line(cli, "the stored baseline adds an error of %.2g to the mean KLD", e->tokens.kld_stored_error);
        }
    }
    if (e->saved_bytes) {
        cli_line(cli, "%s: %s, 1/%.0f of the logits in 2 bytes each", cli_shown(path), cli_bytes(e->saved_bytes),
                 (double)e->full_bytes / (double)e->saved_bytes);
    }
    if (e->has_loss && e->gate != FB_GATE_KLD) {
        cli_line(cli, "verdict: %s (loss %.2f %s, 95 %% between %.2f and %.2f)", fb_verdict_of_loss(e->loss)->name, e->loss, units[e->gate], e->loss_low,
                 e->loss_high);
    }
    if (e->gate_set) {
        cli_line(cli, "gate: %s (loss %.4g, allowed less than %g %s)", e->gate_passed ? "passed" : "FAILED", e->loss, e->gate_threshold, units[e->gate]);
        if (e->samples_needed) {
            cli_line(cli, "this text cannot decide that, about %s %s needed", cli_grouped(e->samples_needed), e->is_choice ? "questions" : "scored tokens");
        }
    }
}

static int print_json(Cli *cli, const FbLanguageEvaluation *evaluation)
{
    char *text = NULL;
    FbError err;
    FbStatus status = fb_language_evaluation_json(cli->context, evaluation, &text, &err);
    return status == FB_OK ? cli_print_result(cli, text) : cli_error(cli, &err);
}

static int print_all(Cli *cli, const FbLanguageEvaluation *e, const LanguageChoice *choice)
{
    int exit_code;
    if (cli->options.format == CLI_FORMAT_JSON) {
        exit_code = print_json(cli, e);
    } else {
        exit_code = print_figures(cli, e, choice);
        if (!exit_code && e->has_baseline && !e->is_choice && choice->shown[METRIC_KLD]) {
            exit_code = print_spread(cli, &e->tokens);
        }
        print_lines(cli, e);
    }
    return exit_code ? exit_code : e->gate_set && !e->gate_passed ? CLI_EXIT_GATE : CLI_EXIT_OK;
}

/* ---- running ---- */

static void warn_of_context(Cli *cli, const FbModel *model)
{
    const FbLanguageInfo *info = fb_language_info(model);
    if (info && cli->options.positions > info->context_length) {
        cli_warn(cli, "long-context", "the model was made for %lld tokens, the windows have %lld", (long long)info->context_length,
                 (long long)cli->options.positions);
    }
}

static int check_options(Cli *cli, LanguageChoice *choice)
{
    const CliOptions *options = &cli->options;
    if (!options->data) {
        return cli_usage(cli, "name the text: --data text.txt");
    }
    if (options->baseline && options->baseline_outputs) {
        return cli_usage(cli, "--baseline and --baseline-outputs: give one of them");
    }
    if (options->max_loss >= 0 && !options->baseline && !options->baseline_outputs) {
        return cli_usage(cli, "--max-loss compares with a float model: add --baseline MODEL or --baseline-outputs FILE");
    }
    if (options->save_inputs || options->judged_output) {
        return cli_usage(cli, "--save-inputs and --output are for other models than language models");
    }
    int exit_code = read_metrics(cli, choice);
    return !exit_code && options->save_outputs ? cli_check_output(cli, options->save_outputs, options->force) : exit_code;
}

int cli_evaluate_language(Cli *cli)
{
    const CliOptions *options = &cli->options;
    LanguageChoice choice;
    FbModel *model = NULL, *baseline = NULL;
    FbTokenizer *tokenizer = NULL;
    FbLanguageEvaluation evaluation;
    int exit_code = check_options(cli, &choice);
    if (!exit_code) {
        exit_code = cli_load_language(cli, cli->context, cli->operands[0], options->positions, &model);
    }
    if (!exit_code && options->baseline) {
        exit_code = cli_load_language(cli, cli->context, options->baseline, options->positions, &baseline);
    }
    if (!exit_code) {
        warn_of_context(cli, model);
        exit_code = cli_load_tokenizer(cli, cli->operands[0], cli_may_hold_ids(options->data), &tokenizer);
    }
    if (!exit_code) {
        cli_check_tokenizer(cli, tokenizer, model);
    }
    if (!exit_code) {
        FbLanguageEvaluateOptions wanted = {.struct_bytes = sizeof wanted,
                                            .mode = cli_mode(cli, FB_MODE_INTEGER),
                                            .baseline = baseline,
                                            .baseline_outputs = options->baseline_outputs,
                                            .save_outputs = options->save_outputs,
                                            .overwrite = options->force,
                                            .context = (size_t)options->positions,
                                            .windows = (size_t)options->windows,
                                            .gate = choice.gate,
                                            .max_loss = options->max_loss};
        FbError err;
        FbStatus status = fb_evaluate_language(cli->context, model, tokenizer, options->data, &wanted, &evaluation, &err);
        exit_code = status == FB_OK ? print_all(cli, &evaluation, &choice) : cli_error(cli, &err);
    }
    fb_tokenizer_free(tokenizer);
    fb_model_free(baseline);
    fb_model_free(model);
    return exit_code;
}
