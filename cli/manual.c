/* --help, manual pages and completion from one source: the tables of commands and options. */
#include "manual.h"

#include <string.h>

#include "options.h"

static const char *const exit_codes[] = {
    "0", "all is well",
    "1", "the quality gate failed (evaluate --max-loss)",
    "2", "wrong usage or configuration",
    "3", "a damaged or unreadable input file",
    "4", "a model feature that is not supported",
    "5", "an input or output error, no space",
    "6", "the memory budget would be exceeded",
    "7", "another process is writing the same output",
    "8", "NaN or infinity where none may be",
    "70", "an internal error",
    "130, 143", "interrupted; nothing half-written stands under the output's name",
};
enum { EXIT_CODE_COUNT = sizeof exit_codes / sizeof exit_codes[0] / 2 };

void cli_print_overview(FILE *out)
{
    fputs("fewbit: make neural networks smaller, and see what it cost\n\nusage: fewbit COMMAND ...\n       fewbit MODEL          same as fewbit inspect MODEL\n\n",
          out);
    for (size_t i = 0; i < cli_command_count; i++) {
        fprintf(out, "  %-10s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
    }
    fputs("\nexamples:\n"
          "  fewbit model.onnx                                    look inside\n"
          "  fewbit quantize model.onnx --calibration pictures/   8-bit model.int8.onnx\n"
          "  fewbit evaluate model.int8.onnx --baseline model.onnx --data pictures/ --max-loss 2\n"
          "\n'fewbit COMMAND --help' tells more.\n",
          out);
}

/* Words of `text` in lines of at most `width`, continued at `indent`; the first line is already indented. */
static void print_wrapped(FILE *out, const char *text, int indent, int width)
{
    int column = indent;
    for (const char *word = text; *word;) {
        int length = (int)strcspn(word, " ");
        if (column > indent && column + 1 + length > width) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
        }
        column += fprintf(out, "%s%.*s", column > indent ? " " : "", length, word);
        word += length;
        word += strspn(word, " ");
    }
    fputc('\n', out);
}

static void option_left(const CliOption *option, char *left, size_t bytes)
{
    int used = option->letter ? snprintf(left, bytes, "-%c, ", option->letter) : snprintf(left, bytes, "    ");
    snprintf(left + used, bytes - (size_t)used, "--%s%s%s", option->name, option->argument ? " " : "", option->argument ? option->argument : "");
}

void cli_print_help(FILE *out, const CliCommand *command)
{
    fprintf(out, "usage: fewbit %s %s\n\n", command->name, command->operands);
    print_wrapped(out, command->description, 0, 100);
    fputs("\noptions:\n", out);
    for (size_t i = 0; i < cli_option_count; i++) {
        if (cli_options[i].mask & command->mask) {
            char left[64];
            option_left(&cli_options[i], left, sizeof left);
            fprintf(out, "  %-26s ", left);
            print_wrapped(out, cli_options[i].help, 29, 100);
        }
    }
    if (command->examples && command->examples[0]) {
        fputs("\nexamples:\n", out);
        for (size_t i = 0; command->examples[i]; i += 2) {
            fprintf(out, "  %s\n      %s\n", command->examples[i], command->examples[i + 1]);
        }
    }
}

/* Text in roff: backslashes and leading dots or quotes would be commands, '-' would become a hyphen. */
static void print_roff(FILE *out, const char *text)
{
    for (const char *c = text; *c; c++) {
        if (c == text && (*c == '.' || *c == '\'')) {
            fputs("\\&", out);
        }
        if (*c == '\\') {
            fputs("\\e", out);
        } else if (*c == '-') {
            fputs("\\-", out);
        } else if (*c == '"') {
            fputs("\\(dq", out); /* also inside a quoted argument of a macro */
        } else {
            fputc(*c, out);
        }
    }
}

static void roff_line(FILE *out, const char *macro, const char *text)
{
    fputs(macro, out);
    print_roff(out, text);
    fputc('\n', out);
}

static void man_examples(FILE *out, const CliCommand *command)
{
    fputs(".SH EXAMPLES\n", out);
    for (size_t i = 0; command->examples[i]; i += 2) {
        fputs(".TP\n.B \"", out);
        print_roff(out, command->examples[i]);
        fputs("\"\n", out);
        roff_line(out, "", command->examples[i + 1]);
    }
}

static void man_options(FILE *out, const CliCommand *command)
{
    fputs(".SH OPTIONS\n", out);
    for (size_t i = 0; i < cli_option_count; i++) {
        const CliOption *option = &cli_options[i];
        if (option->mask & command->mask) {
            fputs(".TP\n", out);
            if (option->letter) {
                fprintf(out, "\\fB\\-%c\\fR, ", option->letter);
            }
            fputs("\\fB\\-\\-", out);
            print_roff(out, option->name);
            if (option->argument) {
                fprintf(out, "\\fR \\fI%s", option->argument);
            }
            fputs("\\fR\n", out);
            roff_line(out, "", option->help);
        }
    }
}

/* Options of every command; what is no option is a file, but for the commands themselves. */
void cli_print_completion(FILE *out)
{
    fputs("# Completes fewbit's commands and options. Made by: fewbit help --completion bash\n"
          "_fewbit() {\n"
          "    local word=${COMP_WORDS[COMP_CWORD]} commands=\"", out);
    for (size_t i = 0; i < cli_command_count; i++) {
        fprintf(out, "%s%s", i ? " " : "", cli_commands[i]->name);
    }
    fputs("\" options\n    case ${COMP_WORDS[1]} in\n", out);
    for (size_t i = 0; i < cli_command_count; i++) {
        fprintf(out, "    %s) options=\"", cli_commands[i]->name);
        for (size_t o = 0, first = 1; o < cli_option_count; o++) {
            if (cli_options[o].mask & cli_commands[i]->mask) {
                fprintf(out, "%s--%s", first ? "" : " ", cli_options[o].name);
                first = 0;
            }
        }
        fputs("\" ;;\n", out);
    }
    fputs("    *) options=\"--help --version\" ;;\n"
          "    esac\n"
          "    COMPREPLY=()\n"
          "    if [[ $word == -* ]]; then\n"
          "        COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n"
          "    elif [[ $COMP_CWORD == 1 || ${COMP_WORDS[1]} == help ]]; then\n"
          "        COMPREPLY=($(compgen -W \"$commands\" -- \"$word\"))\n"
          "    fi\n"
          "}\n"
          "complete -o default -F _fewbit fewbit\n", out);
}

void cli_print_man(FILE *out, const CliCommand *command)
{
    fprintf(out, ".TH FEWBIT%s%s 1 \"\" \"fewbit %s\" \"User Commands\"\n.SH NAME\n", command ? "\\-" : "", command ? command->name : "", fb_version());
    if (command) {
        fprintf(out, "fewbit\\-%s \\- ", command->name);
        roff_line(out, "", command->summary);
        fprintf(out, ".SH SYNOPSIS\n.B fewbit %s\n", command->name);
        roff_line(out, "", command->operands);
        if (command->examples && command->examples[0]) {
            man_examples(out, command);
        }
        fputs(".SH DESCRIPTION\n", out);
        roff_line(out, "", command->description);
        man_options(out, command);
    } else {
        fputs("fewbit \\- make neural networks smaller, and see what it cost\n.SH SYNOPSIS\n.B fewbit\n.I COMMAND ...\n.SH COMMANDS\n", out);
        for (size_t i = 0; i < cli_command_count; i++) {
            fprintf(out, ".TP\n.B %s\n", cli_commands[i]->name);
            roff_line(out, "", cli_commands[i]->summary);
        }
    }
    fputs(".SH EXIT STATUS\n", out);
    for (size_t i = 0; i < EXIT_CODE_COUNT; i++) {
        fprintf(out, ".TP\n.B %s\n", exit_codes[2 * i]);
        roff_line(out, "", exit_codes[2 * i + 1]);
    }
    if (command) {
        fputs(".SH SEE ALSO\n.BR fewbit (1)\n", out);
    }
}
