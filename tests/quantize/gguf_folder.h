/* A folder for a test, in it one for a Hugging Face model; the file that becomes of that; what was warned of. */
#ifndef GGUF_FOLDER_H
#define GGUF_FOLDER_H

#define _POSIX_C_SOURCE 200809L /* mkdtemp */
#include "context_test.h"
#include "fewbit/gguf_quantize.h"
#include "io/checkpoint_test.h"

static FbError err;
static char folder[64], model[80], output[128], warnings[2000];

static void keep_warning(void *user, FbLogLevel level, const char *id, const char *message)
{
    (void)user;
    size_t used = strlen(warnings);
    if (level == FB_LOG_WARNING) {
        snprintf(warnings + used, sizeof warnings - used, "%s: %s\n", id, message);
    }
}

static int setup(void **state)
{
    (void)state;
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = 2, .log = keep_warning};
    strcpy(folder, "/tmp/fewbit-gguf-hf-XXXXXX");
    warnings[0] = '\0';
    if (mkdtemp(folder) == NULL || fb_context_create(&options, &context, NULL) != FB_OK) {
        return -1;
    }
    snprintf(model, sizeof model, "%s/tiny", folder);
    snprintf(output, sizeof output, "%s/out.gguf", folder);
    return mkdir(model, 0700);
}

static int teardown(void **state)
{
    remove_folder(model);
    remove_folder(folder);
    return context_teardown(state);
}

static void write_text(const char *name, const char *text) { write_file(model, name, text, strlen(text)); }

#endif
