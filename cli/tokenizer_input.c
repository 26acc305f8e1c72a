/* Tokenizers: in a model, beside it, or named; see tokenizer_input.h. */
#include "tokenizer_input.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "console.h"
#include "fewbit/language.h"

enum { PATH_BYTES = 4096 };

static int ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* The folder of a file, or "."; 0: too long, or the path is a folder, which has nothing beside it. */
static int folder_of(const char *path, char folder[PATH_BYTES])
{
    struct stat info;
    const char *slash = strrchr(path, '/');
    int length = slash ? snprintf(folder, PATH_BYTES, "%.*s", (int)(slash - path + (slash == path)), path) : snprintf(folder, PATH_BYTES, ".");
    return length >= 0 && length < PATH_BYTES && !(stat(path, &info) == 0 && S_ISDIR(info.st_mode));
}

/* Files of llama2.c's tokenizers beside a model of it: tokenizer.bin, tok512.bin and the like; how many, and the path of one. */
static size_t find_beside(const char *model_path, char found[PATH_BYTES])
{
    char folder[PATH_BYTES];
    const char *slash = strrchr(model_path, '/'), *own = slash ? slash + 1 : model_path;
    DIR *open = folder_of(model_path, folder) ? opendir(folder) : NULL;
    size_t count = 0;
    for (const struct dirent *entry = open ? readdir(open) : NULL; entry; entry = readdir(open)) {
        const char *name = entry->d_name;
        if (strncmp(name, "tok", 3) == 0 && ends_with(name, ".bin") && strcmp(name, own) != 0) {
            int length = snprintf(found, PATH_BYTES, "%.*s%s", (int)(own - model_path), model_path, name);
            count += length > 0 && length < PATH_BYTES;
        }
    }
    if (open) {
        closedir(open);
    }
    return count;
}

/* llama2.c keeps models and tokenizers in files of their own, both named .bin. */
static FbStatus open_beside(Cli *cli, const char *model_path, FbTokenizer **tokenizer, FbError *err)
{
    char found[PATH_BYTES];
    size_t count = find_beside(model_path, found);
    if (count == 1) {
        return fb_tokenizer_open(cli->context, found, tokenizer, err);
    }
    err->status = FB_ERR_ARGUMENT;
    if (count > 1) {
        snprintf(err->message, sizeof err->message, "%s: %zu tokenizers lie beside it (tok*.bin)", cli_shown(model_path), count);
    } else {
        snprintf(err->message, sizeof err->message, "%s: no tokenizer lies beside it (tokenizer.bin, tok*.bin)", cli_shown(model_path));
    }
    return err->status;
}

static FbStatus open_own(Cli *cli, const char *model_path, FbTokenizer **tokenizer, FbError *err)
{
    FbError second;
    char folder[PATH_BYTES];
    FbStatus status = fb_tokenizer_open(cli->context, model_path, tokenizer, err);
    if (status == FB_OK || !folder_of(model_path, folder) || fb_tokenizer_open(cli->context, folder, tokenizer, &second) != FB_OK) {
        return status;
    }
    if (status == FB_ERR_UNSUPPORTED) { /* the model has one, and it is not this one */
        cli_warn(cli, "other-tokenizer", "%s; the tokenizer beside it is taken instead", err->message);
    }
    return FB_OK;
}

/* Naming a tokenizer helps where the model itself can be opened; otherwise what is wrong with that is said. */
static int explain(Cli *cli, const char *model_path, const FbError *err)
{
    FbCheckpoint *checkpoint = NULL;
    FbError broken;
    if (!fb_checkpoint_recognized(cli->context, model_path)) {
        return cli_error(cli, err);
    }
    if (fb_checkpoint_open(cli->context, model_path, &checkpoint, &broken) != FB_OK) {
        return cli_error(cli, &broken);
    }
    fb_checkpoint_free(checkpoint);
    int exit_code = cli_error(cli, err);
    cli_note(cli, "--tokenizer FILE names a tokenizer%s", cli->command == &cli_generate ? "; --ids 1,2,3 needs none" : "");
    return exit_code;
}

int cli_load_tokenizer(Cli *cli, const char *model_path, int missing_ok, FbTokenizer **tokenizer)
{
    const char *named = cli->options.tokenizer;
    FbError err;
    *tokenizer = NULL;
    if (named) {
        return fb_tokenizer_open(cli->context, named, tokenizer, &err) == FB_OK ? 0 : cli_error(cli, &err);
    }
    int apart = ends_with(model_path, ".bin") && fb_checkpoint_recognized(cli->context, model_path);
    FbStatus status = apart ? open_beside(cli, model_path, tokenizer, &err) : open_own(cli, model_path, tokenizer, &err);
    if (status == FB_OK || !missing_ok) {
        return status == FB_OK ? 0 : explain(cli, model_path, &err);
    }
    if (status != FB_ERR_FORMAT && status != FB_ERR_ARGUMENT) { /* there is one, which does not serve */
        cli_warn(cli, "no-tokenizer", "%s; no tokenizer is used", err.message);
    }
    return 0;
}

void cli_check_tokenizer(Cli *cli, const FbTokenizer *tokenizer, const FbModel *model)
{
    if (!tokenizer) {
        return;
    }
    const long long tokens = (long long)fb_tokenizer_count(tokenizer), vocabulary = (long long)fb_language_info(model)->vocabulary;
    if (tokens > vocabulary) {
        cli_warn(cli, "tokenizer-size", "the tokenizer has %lld tokens, the model %lld: it may be another model's", tokens, vocabulary);
    }
}

int cli_parse_ids(Cli *cli, const char *list, int32_t **ids, size_t *count)
{
    size_t most = strlen(list) / 2 + 1;
    *ids = malloc(most * sizeof **ids);
    *count = 0;
    if (!*ids) {
        return cli_error(cli, &(FbError){FB_ERR_NO_MEMORY, "out of memory: token ids"});
    }
    for (const char *at = list;; at++) {
        char *end;
        errno = 0;
        long id = strtol(at, &end, 10);
        if (end == at || errno || id < 0 || id > INT32_MAX || (*end && *end != ',') || *count == most) {
            return cli_usage(cli, "--ids must be token ids, as in 1,2,3; not '%s'", cli_shown(list));
        }
        (*ids)[(*count)++] = (int32_t)id;
        at = end;
        if (!*end) {
            return 0;
        }
    }
}
