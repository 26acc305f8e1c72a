/* The open sets behind `fewbit list`, and small helpers of the command that need the inside. */
#include "base/text.h"
#include "calibrate/observer.h"
#include "fewbit/language.h"
#include "fewbit/report.h"
#include "ops/op.h"
#include "quantize/gguf_mix.h"
#include "quantize/recipe.h"
#include "tensor/encoding.h"

static const FbListRow formats[] = {
    {"onnx", "ONNX files, operator sets 7 and up, external data; read and written"},
    {"gguf", "GGUF files, versions 2 and 3, split ones too; read and written"},
    {"safetensors", "safetensors files and folders of Hugging Face; read"},
    {"llama2.c", "the .bin files of llama2.c; read"},
};

static const FbListRow metrics[] = {
    {"top1", "share of samples whose first answer is the label"},
    {"top5", "share of samples whose label is among the first five answers"},
    {"agreement", "share of samples with the baseline's first answer; needs no labels"},
    {"sqnr", "signal-to-noise ratio of an output against the baseline's, in dB"},
    {"cosine", "mean cosine between an output and the baseline's"},
    {"difference", "mean and largest difference of an output from the baseline's"},
    {"perplexity", "language models: exp of the mean loss per token, windows and halves as llama.cpp has them"},
    {"kld", "language models: divergence of the probabilities of the next token from the baseline's"},
    {"same_top", "language models: share of tokens with the baseline's most probable one"},
    {"accuracy", "language models: questions whose right choice is the most probable, by sum and per character"},
};

static const char *const isa_summary = "a cap for --isa";

#define COUNT(rows) (sizeof rows / sizeof rows[0])

int fb_list_row(FbListKind kind, size_t index, FbListRow *row)
{
    switch (kind) {
    case FB_LIST_PRESETS:
        if (index < fb_preset_count) {
            *row = (FbListRow){fb_presets[index].name, fb_presets[index].summary};
            return 1;
        }
        index -= fb_preset_count;
        return index < fb_gguf_preset_count ? (*row = (FbListRow){fb_gguf_presets[index].name, fb_gguf_presets[index].summary}, 1) : 0;
    case FB_LIST_METHODS:
        return index < fb_observer_count ? (*row = (FbListRow){fb_observers[index].name, fb_observers[index].summary}, 1) : 0;
    case FB_LIST_FORMATS:
        return index < COUNT(formats) ? (*row = formats[index], 1) : 0;
    case FB_LIST_OPERATORS:
        return index < fb_op_count() ? (*row = (FbListRow){fb_op_at(index)->name, fb_op_at(index)->summary}, 1) : 0;
    case FB_LIST_METRICS:
        return index < COUNT(metrics) ? (*row = metrics[index], 1) : 0;
    case FB_LIST_ENCODINGS:
        return index < fb_code_count ? (*row = (FbListRow){fb_codes[index].name, fb_codes[index].summary}, 1) : 0;
    case FB_LIST_FAMILIES:
        row->name = fb_language_family(index, &row->summary);
        return row->name != NULL;
    case FB_LIST_ISA: {
        const char *const *names = fb_cpu_names();
        for (size_t i = 0; names[i]; i++) {
            if (i == index) {
                *row = (FbListRow){names[i], isa_summary};
                return 1;
            }
        }
        return 0;
    }
    }
    return 0;
}

const char *fb_show_name(const char *name, char *out, size_t out_bytes)
{
    return fb_escape(name, out, out_bytes);
}

const char *fb_suggest(const char *name, const char *const *candidates, size_t count)
{
    return fb_nearest_name(name, candidates, count);
}
