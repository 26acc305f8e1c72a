/* Finds the inputs of a language model, and what its output and its tables hold. */
#include "run/language_ports.h"

#include <string.h>

#include "fewbit/language.h"

static const char *const port_names[FB_PORT_COUNT] = {"input_ids", "positions", "sequences", "output_rows"};

FbStatus fb_language_ports(const FbModel *model, FbLanguagePorts *ports, FbError *err)
{
    const FbLanguageInfo *info = fb_language_info(model);
    FbPort logits = {.rank = -1};
    if (fb_model_input_count(model) == FB_PORT_COUNT && fb_model_output_count(model) == 1) {
        logits = fb_model_output(model, 0);
    }
    bool found = logits.name != NULL;
    for (int i = 0; i < FB_PORT_COUNT && found; i++) {
        found = false;
        for (size_t p = 0; p < FB_PORT_COUNT && !found; p++) {
            FbPort port = fb_model_input(model, p);
            found = strcmp(port.name, port_names[i]) == 0 && port.dtype == FB_DTYPE_S64 && port.rank == 1;
            ports->index[i] = p;
        }
    }
    int64_t vocabulary = info != NULL ? info->vocabulary : logits.rank == 2 ? logits.dims[1] : -1;
    if (!found || vocabulary <= 0 || vocabulary > INT32_MAX) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "not a language model that fewbit runs: its inputs are not input_ids, positions, sequences and "
                            "output_rows (give a Hugging Face folder, a GGUF file or a llama2.c .bin)");
    }
    ports->vocabulary = (size_t)vocabulary;
    ports->positions = info != NULL && info->positions > 0 ? (uint64_t)info->positions : INT32_MAX;
    return FB_OK;
}
