/* The command `fewbit`: chooses the command, reads its options, runs it. */
#define _POSIX_C_SOURCE 200809L /* stat */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "console.h"
#include "manual.h"
#include "options.h"

const CliCommand *const cli_commands[] = {&cli_inspect, &cli_quantize, &cli_calibrate, &cli_evaluate, &cli_bench, &cli_generate, &cli_tokenize, &cli_list, &cli_cpu, &cli_help};
const size_t cli_command_count = sizeof cli_commands / sizeof cli_commands[0];

/* The command of the first word, or NULL after the error was printed. A first word that is no command but a path means `inspect`. */
static const CliCommand *choose(Cli *cli, const char *word, int *first)
{
    const char *names[16];
    struct stat info;
    for (size_t i = 0; i < cli_command_count; i++) {
        names[i] = cli_commands[i]->name;
        if (strcmp(word, names[i]) == 0) {
            *first = 1;
            return cli_commands[i];
        }
    }
    *first = 0;
    if (word[0] == '-' || strpbrk(word, "./") || stat(word, &info) == 0) {
        return &cli_inspect;
    }
    const char *near = fb_suggest(word, names, cli_command_count);
    if (near) {
        cli_usage(cli, "unknown command '%s'; did you mean '%s'?", cli_shown(word), near);
    } else {
        cli_usage(cli, "unknown command '%s'; see 'fewbit --help'", cli_shown(word));
    }
    return NULL;
}

static int run(Cli *cli, int argc, const char **argv)
{
    int first = 0;
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        cli_print_overview(argc < 2 ? stderr : stdout);
        return argc < 2 ? CLI_EXIT_USAGE : CLI_EXIT_OK;
    }
    cli->command = choose(cli, argv[1], &first);
    if (!cli->command) {
        return CLI_EXIT_USAGE;
    }
    int exit_code = cli_parse(cli, argc, argv, first);
    if (exit_code) {
        return exit_code;
    }
    if (cli->options.version) {
        printf("fewbit %s\n", fb_version());
        return CLI_EXIT_OK;
    }
    if (cli->options.help) {
        cli_print_help(stdout, cli->command);
        return CLI_EXIT_OK;
    }
    exit_code = cli_open_context(cli);
    if (exit_code == 0) {
        exit_code = cli->command->run(cli);
        fb_context_free(cli->context);
    }
    return exit_code;
}

int main(int argc, char **argv)
{
    static Cli cli; /* static: option texts stay reachable until the end */
    cli.started = cli_seconds();
    cli.options.max_loss = -1;
    cli.options.token_limit = -1;
    cli_console_start(&cli);
    return cli_console_finish(&cli, run(&cli, argc, (const char **)argv));
}
