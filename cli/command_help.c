/* fewbit help [COMMAND] [--man] [--completion bash] */
#include <stdio.h>
#include <string.h>

#include "console.h"
#include "manual.h"

static int run(Cli *cli)
{
    const CliCommand *about = NULL;
    if (cli->operand_count) {
        const char *names[16];
        for (size_t i = 0; i < cli_command_count; i++) {
            names[i] = cli_commands[i]->name;
            about = strcmp(names[i], cli->operands[0]) == 0 ? cli_commands[i] : about;
        }
        if (!about) {
            const char *near = fb_suggest(cli->operands[0], names, cli_command_count);
            return cli_usage(cli, "no command '%s'%s%s%s", cli_shown(cli->operands[0]), near ? "; did you mean '" : "", near ? near : "",
                             near ? "'?" : "");
        }
    }
    if (cli->options.completion) {
        if (strcmp(cli->options.completion, "bash") != 0) {
            return cli_usage(cli, "--completion is bash, not '%s'", cli_shown(cli->options.completion));
        }
        cli_print_completion(stdout);
    } else if (cli->options.man) {
        cli_print_man(stdout, about);
    } else if (about) {
        cli_print_help(stdout, about);
    } else {
        cli_print_overview(stdout);
    }
    return CLI_EXIT_OK;
}

static const char *const examples[] = {"fewbit help quantize", "the same as fewbit quantize --help",
                                       "eval \"$(fewbit help --completion bash)\"", "commands and options completed by the Tab key, in this shell", NULL};

const CliCommand cli_help = {.name = "help",
                             .summary = "help on a command",
                             .operands = "[COMMAND]",
                             .mask = CLI_HELP,
                             .most_operands = 1,
                             .run = run,
                             .description = "Shows the commands, or the options and examples of one.",
                             .examples = examples};
