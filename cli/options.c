/* Options: the table, and reading a command line with popt. */
#include "options.h"

#include <errno.h>
#include <math.h>
#include <popt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console.h"

#define AT(field) offsetof(CliOptions, field)

const CliOption cli_options[] = {
    {"output", 'o', "FILE", "where to write the result; an existing file needs --force", CLI_TEXT, AT(output), CLI_QUANTIZE | CLI_CALIBRATE},
    {"preset", 'p', "NAME", "a ready-made recipe; see 'fewbit list presets'", CLI_TEXT, AT(preset), CLI_QUANTIZE},
    {"recipe", 'r', "FILE", "a recipe of your own (JSON)", CLI_TEXT, AT(recipe), CLI_QUANTIZE},
    {"calibration", 'c', "DATA", "samples that show the ranges of the activations: a folder of pictures, .npz, .npy, .jsonl, or test_data_set folders",
     CLI_TEXT, AT(calibration), CLI_QUANTIZE},
    {"statistics", 0, "FILE", "ranges from 'fewbit calibrate' instead of --calibration", CLI_TEXT, AT(statistics), CLI_QUANTIZE},
    {"target", 't', "RUNTIME", "which runtime will load the file: onnxruntime or openvino", CLI_TEXT, AT(target), CLI_QUANTIZE},
    {"calibrator", 0, "NAME", "how ranges are chosen; see 'fewbit list methods'", CLI_TEXT, AT(calibrator), CLI_QUANTIZE},
    {"percentile", 0, "P", "share of values inside the range, for --calibrator percentile (99.99)", CLI_NUMBER, AT(percentile), CLI_QUANTIZE},
    {"activations", 0, "CODE", "integer type of activations: u8 or s8", CLI_TEXT, AT(activations), CLI_QUANTIZE},
    {"layout", 0, "FORM", "how the file says it: qdq or qoperator", CLI_TEXT, AT(layout), CLI_QUANTIZE},
    {"exclude", 'x', "PATTERN", "keep these nodes in float: a name pattern ('*/head*'), type:OP, first or last; of a language model: weights by name; may be repeated", CLI_TEXTS,
     AT(excluded), CLI_QUANTIZE},
    {"set", 0, "KEY=VALUE", "override another setting of the recipe; of a language model PATTERN=TYPE, the type of weights by their name in the "
     "result; may be repeated", CLI_TEXTS, AT(settings), CLI_QUANTIZE},
    {"imatrix", 0, "FILE", "language models: how much each column of the weights matters, GGUF or the older .dat form", CLI_TEXT, AT(imatrix), CLI_QUANTIZE},
    {"pure", 0, NULL, "language models: the preset's own type for all weights, no mix", CLI_FLAG, AT(pure), CLI_QUANTIZE},
    {"dry-run", 'n', NULL, "do everything but write the file", CLI_FLAG, AT(dry_run), CLI_QUANTIZE},
    {"data", 'd', "DATA", "samples: a folder of pictures, .npz, .npy, .jsonl, or test_data_set folders; of a language model a text (.txt), or .jsonl with "
     "texts or token ids", CLI_TEXT, AT(data), CLI_CALIBRATE},
    {"data", 'd', "DATA", "samples: a folder of pictures, .npz, .npy, .jsonl, or test_data_set folders; of a language model a text (.txt), or .jsonl with "
     "texts, token ids or questions", CLI_TEXT, AT(data), CLI_EVALUATE},
    {"metric", 0, "NAME,...", "language models: perplexity, kld, same_top, accuracy (default: all that can be had, as always with --json); the first is what --max-loss looks at",
     CLI_TEXT, AT(metric), CLI_EVALUATE},
    {"context", 0, "N", "language models: tokens of a window (default 512)", CLI_COUNT, AT(positions), CLI_EVALUATE | CLI_CALIBRATE},
    {"windows", 0, "N", "language models: how many windows of the text (default: all)", CLI_COUNT, AT(windows), CLI_EVALUATE | CLI_CALIBRATE},
    {"evaluation", 0, "DATA", "the samples used for evaluation: shared ones are warned of", CLI_TEXT, AT(evaluation), CLI_CALIBRATE},
    {"merge", 0, "FILE", "add these statistics, or importance matrices, of the same model; may be repeated", CLI_TEXTS, AT(merged), CLI_CALIBRATE},
    {"samples", 's', "N", "how many calibration samples (0: all)", CLI_COUNT, AT(samples), CLI_QUANTIZE | CLI_CALIBRATE},
    {"selection", 0, "HOW", "which samples: first, random, or stratified (equally many of each class)", CLI_TEXT, AT(selection),
     CLI_QUANTIZE | CLI_CALIBRATE},
    {"batch", 0, "N", "samples per run; results do not depend on it", CLI_COUNT, AT(batch), CLI_QUANTIZE | CLI_CALIBRATE},
    {"preprocess", 0, "NAME", "how pictures become inputs: a name or a JSON file (default: preprocess.json beside the data)", CLI_TEXT,
     AT(preprocess), CLI_QUANTIZE | CLI_CALIBRATE | CLI_EVALUATE},
    {"baseline", 'b', "MODEL", "the float model to compare with, on the same samples", CLI_TEXT, AT(baseline), CLI_EVALUATE | CLI_BENCH},
    {"baseline-outputs", 0, "FILE", "outputs of a float model that --save-outputs wrote, instead of --baseline", CLI_TEXT, AT(baseline_outputs), CLI_EVALUATE},
    {"max-loss", 'm', "POINTS", "the gate: exit with 1 unless the loss is smaller (2 = two percentage points, or 2 % of perplexity; KLD: nats)", CLI_NUMBER, AT(max_loss),
     CLI_EVALUATE},
    {"output", 0, "NAME", "which output of the model is judged (default: the first)", CLI_TEXT, AT(judged_output), CLI_EVALUATE},
    {"save-outputs", 0, "FILE", "write what the model answered (.npz; of a language model its log-probabilities in short); serves as --baseline-outputs of "
     "another run", CLI_TEXT, AT(save_outputs), CLI_EVALUATE},
    {"save-inputs", 0, "FILE", "write what the model saw (.npz), to compare with another runtime", CLI_TEXT, AT(save_inputs), CLI_EVALUATE},
    {"runs", 0, "N", "how many timed runs (default: one second, at least 7)", CLI_COUNT, AT(runs), CLI_BENCH},
    {"shape", 0, "NAME=DIMS", "size of an input, as in input=1x3x224x224; may be repeated", CLI_TEXTS, AT(shapes), CLI_BENCH | CLI_INSPECT},
    {"batch", 0, "N,N,...", "samples, or texts, per run, one row for each: the first axis of inputs where the model leaves it open", CLI_COUNTS, AT(batches), CLI_BENCH},
    {"prompt", 'p', "TEXT", "the text to go on from; may be repeated", CLI_TEXTS, AT(prompts), CLI_GENERATE},
    {"prompt", 'p', "TEXT", "a text; may be repeated", CLI_TEXTS, AT(prompts), CLI_TOKENIZE},
    {"prompts", 0, "FILE", "prompts from a file, one per line (-: standard input)", CLI_TEXT, AT(prompt_file), CLI_GENERATE},
    {"ids", 0, "N,N,...", "a prompt as token ids; may be repeated", CLI_TEXTS, AT(ids), CLI_GENERATE},
    {"ids", 0, "N,N,...", "tokens; may be repeated", CLI_TEXTS, AT(ids), CLI_TOKENIZE},
    {"chat", 0, NULL, "talk: lines of the terminal in the model's chat form", CLI_FLAG, AT(chat), CLI_GENERATE},
    {"system", 0, "TEXT", "with --chat: what the model is told before", CLI_TEXT, AT(system), CLI_GENERATE},
    {"tokens", 'n', "N", "make at most so many tokens per prompt (128, with --chat 1,024; 0: until the text or the context ends)", CLI_COUNT,
     AT(token_limit), CLI_GENERATE},
    {"temperature", 0, "T", "draw tokens: logits are divided by T (0, the default: always the most probable one)", CLI_NUMBER, AT(temperature), CLI_GENERATE},
    {"top-k", 0, "K", "draw from the K most probable tokens only", CLI_COUNT, AT(top_k), CLI_GENERATE},
    {"top-p", 0, "P", "draw from the most probable tokens that have probability P together", CLI_NUMBER, AT(top_p), CLI_GENERATE},
    {"min-p", 0, "P", "draw from tokens of at least P times the best one's probability", CLI_NUMBER, AT(min_p), CLI_GENERATE},
    {"tokenizer", 0, "FILE", "the tokenizer, where it does not lie in or beside the model", CLI_TEXT, AT(tokenizer),
     CLI_GENERATE | CLI_EVALUATE | CLI_TOKENIZE | CLI_CALIBRATE},
    {"prompt", 0, "N,N,...", "language models: time prompts of so many tokens (512)", CLI_COUNTS, AT(prompt_sizes), CLI_BENCH},
    {"generate", 0, "N,N,...", "language models: time the making of so many tokens (64)", CLI_COUNTS, AT(generate_sizes), CLI_BENCH},
    {"context", 0, "N", "positions per sequence (default: what the model was made for, at most 4,096)", CLI_COUNT, AT(positions), CLI_BENCH | CLI_GENERATE},
    {"context", 0, "N", "of a language model: what a context of N tokens takes of memory", CLI_COUNT, AT(positions), CLI_INSPECT},
    {"memory", 0, "SIZE", "with --context: whether that fits into 12G, 800M, and which context would", CLI_SIZE, AT(memory), CLI_INSPECT},
    {"cache-type", 0, "TYPE", "how keys and values are kept: f32, f16 (default) or q8_0", CLI_TEXT, AT(cache_type), CLI_BENCH | CLI_INSPECT | CLI_GENERATE},
    {"mode", 0, "HOW", "integer (default), simulated (integers imitated in float) or float", CLI_TEXT, AT(mode), CLI_BENCH | CLI_INSPECT},
    {"mode", 0, "HOW", "integer (default): activations are rounded to 8 bits for low-bit weights; float: they are not", CLI_TEXT, AT(mode), CLI_GENERATE},
    {"mode", 0, "HOW", "simulated (default), or integer: both, and how many outputs differ; language models: integer (default) or float", CLI_TEXT, AT(mode), CLI_EVALUATE},
    {"profile", 0, NULL, "also the time of every step", CLI_FLAG, AT(profile), CLI_BENCH},
    {"plan", 0, NULL, "list the steps that would run: kernel, integer or float and why, shapes, MACs, bytes", CLI_FLAG, AT(plan), CLI_INSPECT},
    {"force", 'f', NULL, "replace an existing output file", CLI_FLAG, AT(force), CLI_QUANTIZE | CLI_CALIBRATE | CLI_EVALUATE},
    {"threads", 'j', "N", "threads to use (default: one per core); results do not depend on it", CLI_COUNT, AT(threads), (CLI_MODEL & ~CLI_BENCH) | CLI_CPU},
    {"threads", 'j', "N,N,...", "threads to use, one row for each (default: one per core)", CLI_COUNTS, AT(thread_counts), CLI_BENCH},
    {"max-memory", 0, "SIZE", "stop rather than use more: 800M, 4G", CLI_SIZE, AT(max_memory), CLI_MODEL},
    {"seed", 0, "N", "seed of everything random (default 0)", CLI_COUNT, AT(seed), CLI_MODEL},
    {"isa", 0, "NAME", "use no newer instructions than these; see 'fewbit cpu'", CLI_TEXT, AT(isa), CLI_MODEL | CLI_CPU},
    {"format", 0, "FORM", "form of the result: table, md, csv or json", CLI_TEXT, AT(format_name), CLI_ALL & ~CLI_HELP},
    {"json", 0, NULL, "same as --format json", CLI_FLAG, AT(json), CLI_ALL & ~CLI_HELP},
    {"quiet", 'q', NULL, "no progress and no notes", CLI_FLAG, AT(quiet), CLI_ALL & ~CLI_HELP},
    {"man", 0, NULL, "as manual page source", CLI_FLAG, AT(man), CLI_HELP},
    {"completion", 0, "SHELL", "a script that completes commands and options: bash", CLI_TEXT, AT(completion), CLI_HELP},
    {"help", 'h', NULL, "show this help", CLI_FLAG, AT(help), CLI_ALL},
    {"version", 0, NULL, "show the version", CLI_FLAG, AT(version), CLI_ALL},
};
const size_t cli_option_count = sizeof cli_options / sizeof cli_options[0];

enum { OPTION_MAX = sizeof cli_options / sizeof cli_options[0] };

/* "800M", "4G", "1000": bytes in units of 1,024. */
static int read_size(const char *text, uint64_t *out)
{
    char *end;
    errno = 0;
    double number = strtod(text, &end);
    const char *units = "KMGT", *unit = *end ? strchr(units, *end & ~0x20) : NULL;
    double factor = 1;
    if (unit) {
        for (const char *u = units; u <= unit; u++) {
            factor *= 1024;
        }
        end++;
        if (strcmp(end, "iB") == 0 || strcmp(end, "B") == 0) {
            end += strlen(end);
        }
    }
    double bytes = number * factor;
    if (end == text || *end || !(bytes >= 1) || bytes > 1e18) {
        return 0;
    }
    *out = (uint64_t)bytes;
    return 1;
}

static int read_count(const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (end == text || *end || errno || number < 0) {
        return 0;
    }
    *out = number;
    return 1;
}

/* "1,8": whole numbers from 1 on. */
static int read_counts(const char *text, CliCounts *out)
{
    char *end;
    for (out->count = 0; out->count < CLI_COUNTS_MAX; text = end + 1) {
        errno = 0;
        long long number = strtoll(text, &end, 10);
        if (end == text || errno || number < 1 || (*end && *end != ',')) {
            return 0;
        }
        out->items[out->count++] = number;
        if (!*end) {
            return 1;
        }
    }
    return 0;
}

static int read_number(const char *text, double *out)
{
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end || !isfinite(number)) {
        return 0;
    }
    *out = number;
    return 1;
}

/* Stores one option; text stays in argv, which outlives everything. */
static int store(Cli *cli, const CliOption *option, const char *text)
{
    void *field = (char *)&cli->options + option->offset;
    switch (option->kind) {
    case CLI_FLAG:
        *(int *)field = 1;
        return 0;
    case CLI_TEXT:
        *(const char **)field = text;
        return 0;
    case CLI_TEXTS: {
        CliList *list = field;
        if (list->count == CLI_LIST_MAX) {
            return cli_usage(cli, "--%s is given more than %d times", option->name, CLI_LIST_MAX);
        }
        list->items[list->count++] = text;
        return 0;
    }
    case CLI_COUNT:
        return read_count(text, field) ? 0 : cli_usage(cli, "--%s must be a whole number from 0 on, not '%s'", option->name, cli_shown(text));
    case CLI_COUNTS:
        return read_counts(text, field) ? 0
                                        : cli_usage(cli, "--%s must be at most %d whole numbers from 1 on, as in 1,2; not '%s'", option->name,
                                                    CLI_COUNTS_MAX, cli_shown(text));
    case CLI_NUMBER:
        return read_number(text, field) ? 0 : cli_usage(cli, "--%s must be a number, not '%s'", option->name, cli_shown(text));
    case CLI_SIZE:
        return read_size(text, field) ? 0
                                      : cli_usage(cli, "--%s must be a size like 800M or 4G, not '%s'", option->name, cli_shown(text));
    }
    return 0;
}

static int unknown_option(Cli *cli, const char *given)
{
    const char *names[OPTION_MAX];
    char name[80];
    size_t count = 0;
    for (size_t i = 0; i < cli_option_count; i++) {
        if (cli_options[i].mask & cli->command->mask) {
            names[count++] = cli_options[i].name;
        }
    }
    snprintf(name, sizeof name, "%s", given + strspn(given, "-"));
    name[strcspn(name, "=")] = '\0';
    const char *near = fb_suggest(name, names, count);
    if (near) {
        return cli_usage(cli, "unknown option '%s'; did you mean '--%s'?", cli_shown(given), near);
    }
    for (size_t i = 0; i < cli_option_count; i++) {
        if (strcmp(cli_options[i].name, name) == 0) {
            return cli_usage(cli, "'fewbit %s' has no option '--%s'; see 'fewbit %s --help'", cli->command->name, name, cli->command->name);
        }
    }
    return cli_usage(cli, "unknown option '%s'; see 'fewbit %s --help'", cli_shown(given), cli->command->name);
}

static const char *const mode_names[] = {"simulated", "float", "integer"}; /* in the order of FbMode */
enum { MODE_COUNT = sizeof mode_names / sizeof mode_names[0] };

const char *cli_mode_name(FbMode mode)
{
    return mode_names[mode];
}

FbMode cli_mode(const Cli *cli, FbMode otherwise)
{
    for (int i = 0; cli->options.mode && i < MODE_COUNT; i++) {
        if (strcmp(cli->options.mode, mode_names[i]) == 0) {
            return (FbMode)i;
        }
    }
    return otherwise;
}

static int check_mode(Cli *cli)
{
    const char *mode = cli->options.mode;
    for (int i = 0; mode && i < MODE_COUNT; i++) {
        if (strcmp(mode, mode_names[i]) == 0) {
            mode = NULL;
        }
    }
    if (!mode) {
        return 0;
    }
    const char *near = fb_suggest(mode, mode_names, MODE_COUNT);
    return cli_usage(cli, "--mode is integer, simulated or float, not '%s'%s%s%s", cli_shown(mode), near ? "; did you mean '" : "", near ? near : "",
                     near ? "'?" : "");
}

static int check_values(Cli *cli)
{
    static const char *const formats[] = {"table", "md", "csv", "json"};
    CliOptions *options = &cli->options;
    if (options->json) {
        options->format = CLI_FORMAT_JSON;
    }
    if (options->format_name) {
        size_t i = 0;
        while (i < 4 && strcmp(options->format_name, formats[i]) != 0) {
            i++;
        }
        if (i == 4) {
            const char *near = fb_suggest(options->format_name, formats, 4);
            return cli_usage(cli, "--format is table, md, csv or json, not '%s'%s%s%s", cli_shown(options->format_name),
                             near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
        }
        if (options->json && i != CLI_FORMAT_JSON) {
            return cli_usage(cli, "--json and --format %s contradict each other", formats[i]);
        }
        options->format = (CliFormat)i;
    }
    if (options->help || options->version) {
        return 0;
    }
    int bad_mode = check_mode(cli);
    if (bad_mode) {
        return bad_mode;
    }
    if (cli->operand_count < cli->command->least_operands || cli->operand_count > cli->command->most_operands) {
        return cli_usage(cli, "%s; usage: fewbit %s %s", cli->operand_count < cli->command->least_operands ? "an argument is missing"
                                                                                                          : "too many arguments",
                         cli->command->name, cli->command->operands);
    }
    return 0;
}

int cli_parse(Cli *cli, int argc, const char **argv, int first)
{
    struct poptOption table[OPTION_MAX + 1];
    size_t used = 0;
    memset(table, 0, sizeof table);
    for (size_t i = 0; i < cli_option_count; i++) {
        if (cli_options[i].mask & cli->command->mask) {
            table[used].longName = cli_options[i].name;
            table[used].shortName = cli_options[i].letter;
            table[used].argInfo = cli_options[i].kind == CLI_FLAG ? POPT_ARG_NONE : POPT_ARG_STRING;
            table[used].val = (int)i + 1;
            used++;
        }
    }
    /* popt skips the first word, which is the name of the program or of the command. */
    poptContext popt = poptGetContext("fewbit", argc - first, argv + first, table, 0);
    if (!popt) {
        return cli_usage(cli, "out of memory");
    }
    int exit_code = 0, found;
    while (exit_code == 0 && (found = poptGetNextOpt(popt)) > 0) {
        const CliOption *option = &cli_options[found - 1];
        char *text = option->kind == CLI_FLAG ? NULL : poptGetOptArg(popt);
        exit_code = store(cli, option, text);
        if (exit_code || (option->kind != CLI_TEXT && option->kind != CLI_TEXTS)) {
            free(text); /* other texts are kept until the process ends: the options point to them */
        }
    }
    if (exit_code == 0 && found < -1) {
        const char *bad = poptBadOption(popt, POPT_BADOPTION_NOALIAS);
        exit_code = found == POPT_ERROR_BADOPT  ? unknown_option(cli, bad)
                    : found == POPT_ERROR_NOARG ? cli_usage(cli, "option '%s' needs a value", cli_shown(bad))
                                                : cli_usage(cli, "option '%s': %s", cli_shown(bad), poptStrerror(found));
    }
    const char *operand;
    while (exit_code == 0 && (operand = poptGetArg(popt)) != NULL) {
        if (cli->operand_count == CLI_LIST_MAX) {
            exit_code = cli_usage(cli, "too many arguments");
            break;
        }
        for (int i = first; i < argc; i++) { /* popt frees its own copy */
            if (strcmp(argv[i], operand) == 0) {
                cli->operands[cli->operand_count++] = argv[i];
                break;
            }
        }
    }
    poptFreeContext(popt);
    return exit_code ? exit_code : check_values(cli);
}
