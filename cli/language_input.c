/* Opening what the person named as a language model. */
#define _POSIX_C_SOURCE 200809L /* stat */
#include "language_input.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "console.h"
#include "model_input.h"

int cli_is_language(Cli *cli, const char *path)
{
    return fb_checkpoint_recognized(cli->context, path);
}

/* Says what it is instead. */
static int refuse(Cli *cli, FbContext *context, const char *path)
{
    static const char known[] = "name a Hugging Face folder, a safetensors or GGUF file, or a .bin of llama2.c";
    struct stat info;
    FbModel *model = NULL;
    FbError err;
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode)) {
        int exit_code = cli_load_model(cli, path, &model); /* knows folders and names of hubs */
        fb_model_free(model);
        return exit_code ? exit_code : cli_usage(cli, "%s: no language model; %s", cli_shown(path), known);
    }
    FbStatus status = fb_model_load(context, path, &model, &err);
    fb_model_free(model);
    if (status != FB_OK && (status != FB_ERR_FORMAT || !strstr(err.message, "damaged or not an ONNX file"))) {
        return cli_error(cli, &err); /* a file of a known kind */
    }
    err = (FbError){.status = status == FB_OK ? FB_ERR_ARGUMENT : FB_ERR_FORMAT};
    snprintf(err.message, sizeof err.message, "%s: %s; %s", cli_shown(path),
             status == FB_OK ? "a model with a graph (ONNX), no language model" : "no language model that is known", known);
    return cli_error(cli, &err);
}

int cli_load_language(Cli *cli, FbContext *context, const char *path, int64_t positions, FbModel **model)
{
    FbLanguageOptions options = {.struct_bytes = sizeof options, .context = positions};
    FbCheckpoint *checkpoint = NULL;
    FbError err;
    *model = NULL;
    if (!fb_checkpoint_recognized(context, path)) {
        return refuse(cli, context, path);
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
