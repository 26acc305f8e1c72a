/* Opening what the person named as a model, with advice where it is none. The bytes of a file are judged by the library's loaders. */
#define _POSIX_C_SOURCE 200809L /* stat, access */
#include "model_input.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "console.h"

static int fail(Cli *cli, FbStatus status, const char *path, const char *text)
{
    FbError err = {.status = status};
    snprintf(err.message, sizeof err.message, "%s: %s", cli_shown(path), text);
    return cli_error(cli, &err);
}

int cli_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

int cli_same_file(const char *a, const char *b)
{
    struct stat first, second;
    return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

int cli_check_replaced(Cli *cli, const char *path)
{
    const CliOptions *o = &cli->options;
    const char *const read[] = {o->baseline, o->baseline_outputs, o->data, o->calibration, o->tokenizer, o->imatrix, o->recipe};
    for (size_t i = 0; i < cli->operand_count; i++) {
        if (cli_same_file(path, cli->operands[i])) {
            return cli_usage(cli, "%s: the output would replace the model that is being read; choose another name with -o", cli_shown(path));
        }
    }
    for (size_t i = 0; i < sizeof read / sizeof read[0]; i++) {
        if (read[i] && cli_same_file(path, read[i])) {
            return cli_usage(cli, "%s: the output would replace a file that is being read; choose another name", cli_shown(path));
        }
    }
    return 0;
}

int cli_check_output(Cli *cli, const char *path, int force)
{
    int exit_code = cli_check_replaced(cli, path);
    if (exit_code) {
        return exit_code;
    }
    if (strcmp(path, "-") == 0) {
        return cli_usage(cli, "-: results of this kind go to a file, not to standard output");
    }
    if (cli_exists(path) && !force) {
        return cli_usage(cli, "%s: exists already; --force replaces it, -o writes elsewhere", cli_shown(path));
    }
    char folder[4096] = ".";
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    if (slash && length < sizeof folder) {
        memcpy(folder, path, length + (length == 0));
        folder[length + (length == 0)] = '\0';
    }
    struct stat info;
    if (stat(folder, &info) != 0 || !S_ISDIR(info.st_mode)) {
        return fail(cli, FB_ERR_IO, path, "cannot write: the folder does not exist");
    }
    return access(folder, W_OK | X_OK) == 0 ? 0 : fail(cli, FB_ERR_IO, path, "cannot write: no permission to write in the folder");
}

/* "org/model": two parts of letters, digits and -_. without a file's suffix. */
static int looks_like_hub_name(const char *path)
{
    const char *slash = strchr(path, '/');
    if (!slash || slash == path || !slash[1] || strchr(slash + 1, '/') || path[0] == '.') {
        return 0;
    }
    for (const char *c = path; *c; c++) {
        if (!isalnum((unsigned char)*c) && !strchr("-_./", *c)) {
            return 0;
        }
    }
    static const char *const suffixes[] = {".onnx", ".pb", ".pt", ".bin", ".gguf", ".safetensors", ".tflite", ".npz", ".json"};
    size_t length = strlen(path);
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        size_t suffix = strlen(suffixes[i]);
        if (length > suffix && strcmp(path + length - suffix, suffixes[i]) == 0) {
            return 0;
        }
    }
    return 1;
}

static int has_entry(const char *folder, const char *name)
{
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    return length > 0 && (size_t)length < sizeof path && cli_exists(path);
}

static int refuse_folder(Cli *cli, const char *path)
{
    if (has_entry(path, "saved_model.pb")) {
        return fail(cli, FB_ERR_UNSUPPORTED, path,
                    "a TensorFlow SavedModel; convert it with: python -m tf2onnx.convert --saved-model FOLDER --output model.onnx");
    }
    if (has_entry(path, "model.onnx")) {
        return fail(cli, FB_ERR_ARGUMENT, path, "a folder; name the file in it: model.onnx");
    }
    if (has_entry(path, "config.json")) {
        return fail(cli, FB_ERR_UNSUPPORTED, path,
                    "a Hugging Face folder without safetensors files; a language model needs them, any other model becomes one file with: optimum-cli "
                    "export onnx --model FOLDER OUT, and use OUT/model.onnx");
    }
    return fail(cli, FB_ERR_ARGUMENT, path, "a folder without a model; name an ONNX or GGUF file, or a Hugging Face folder with safetensors files");
}

int cli_load_model(Cli *cli, const char *path, FbModel **model)
{
    struct stat info;
    *model = NULL;
    if (stat(path, &info) != 0 && looks_like_hub_name(path)) {
        char text[400];
        snprintf(text, sizeof text,
                 "no such file. fewbit never opens the network; if this is a model of a hub, fetch a language model with: hf download %s --local-dir OUT, "
                 "export any other with: optimum-cli export onnx --model %s OUT",
                 cli_shown(path), cli_shown(path));
        return fail(cli, FB_ERR_IO, path, text);
    }
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
        return refuse_folder(cli, path);
    }
    FbError err;
    return fb_model_load(cli->context, path, model, &err) == FB_OK ? 0 : cli_error(cli, &err);
}

json_t *cli_inspect_model(Cli *cli, const FbModel *model, int *exit_code)
{
    char *text = NULL;
    FbError err;
    if (fb_model_inspect(cli->context, model, &text, &err) != FB_OK) {
        *exit_code = cli_error(cli, &err);
        return NULL;
    }
    return cli_parse_result(cli, text, exit_code);
}
