/* Llama and Mistral: root mean square norms, gated SiLU, rotary embeddings, shared key heads; Mistral's layers may have a window.
 *
 * Source: Touvron et al. 2023 (arXiv:2302.13971), Jiang et al. 2023 (arXiv:2310.06825). */
#include "io/huggingface/language_config.h"
#include "io/huggingface/language_family.h"

static FbStatus read_llama(FbLanguageConfig *config, FbLanguageSpec *spec, FbError *err)
{
    FB_TRY(fb_config_common(config, spec, err));
    FB_TRY(fb_config_rotary(config, spec, "full_attention", 10000.0, 1.0, &spec->rotary[0], err));
    spec->interleaved = config->json == NULL; /* rows of such files are permuted so that neighbours are a pair */
    return fb_config_sliding(config, spec, 1, 0, err);
}

static const char *const architectures[] = {"llama", "mistral", NULL};

const FbLanguageFamily fb_family_llama = {
    .name = "llama",
    .summary = "Llama 1 to 3, Mistral, SmolLM: gated SiLU, rotary embeddings",
    .architectures = architectures,
    .read = read_llama,
    .names = fb_language_llama_names,
};
