/* Opening what the person named as a language model. */
#include "language_input.h"

#include <stdio.h>
#include <string.h>

#include "console.h"
#include "model_input.h"

int cli_is_language(Cli *cli, const char *path)
{
    return fb_checkpoint_recognized(cli->context, path);
}

int cli_load_language(Cli *cli, FbContext *context, const char *path, int64_t positions, FbModel **model)
{
    FbLanguageOptions options = {.struct_bytes = sizeof options, .context = positions};
    FbCheckpoint *checkpoint = NULL;
    FbError err;
    *model = NULL;
    if (!fb_checkpoint_recognized(context, path)) {
        int exit_code = cli_load_model(cli, path, model); /* says what it is, or why it cannot be read */
        if (!exit_code) {
            exit_code = cli_usage(cli, "%s: no language model; name a Hugging Face folder, a safetensors or GGUF file, or a .bin of llama2.c",
                                  cli_shown(path));
            fb_model_free(*model);
            *model = NULL;
        }
        return exit_code;
    }
    FbStatus status = fb_checkpoint_open(context, path, &checkpoint, &err);
    if (status == FB_OK) {
        status = fb_language_build(context, checkpoint, &options, model, &err);
    }
    fb_checkpoint_free(checkpoint);
    return status == FB_OK ? 0 : cli_error(cli, &err);
}

int cli_may_hold_ids(const char *data)
{
    size_t length = strlen(data);
    return length > 6 && strcmp(data + length - 6, ".jsonl") == 0;
}

static const char *const cache_names[] = {"f32", "f16", "q8_0"}; /* in the order of FbCacheType */
enum { CACHE_COUNT = sizeof cache_names / sizeof cache_names[0] };

const char *cli_cache_name(FbCacheType type)
{
    return cache_names[type];
}

int cli_cache_type(Cli *cli, FbCacheType *type)
{
    const char *name = cli->options.cache_type ? cli->options.cache_type : "f16";
    for (int i = 0; i < CACHE_COUNT; i++) {
        if (strcmp(name, cache_names[i]) == 0) {
            *type = (FbCacheType)i;
            return 0;
        }
    }
    return cli_usage(cli, "--cache-type is f32, f16 or q8_0, not '%s'", cli_shown(name));
}
