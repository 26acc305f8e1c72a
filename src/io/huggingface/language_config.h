/* Typed look-ups in a configuration. Every setting has a key in config.json and one in GGUF files (after "ARCHITECTURE."); NULL: not there. An
 * absent key, or null, leaves *out alone; a wrong type or range is an error that names the key. */
#ifndef FB_IO_HUGGINGFACE_LANGUAGE_CONFIG_H
#define FB_IO_HUGGINGFACE_LANGUAGE_CONFIG_H

#include "io/huggingface/language_spec.h"

FbStatus fb_config_int(const FbLanguageConfig *config, const char *hf, const char *gguf, int64_t low, int64_t high, int64_t *out, FbError *err);
FbStatus fb_config_number(const FbLanguageConfig *config, const char *hf, const char *gguf, double *out, FbError *err);
FbStatus fb_config_bool(const FbLanguageConfig *config, const char *hf, const char *gguf, bool *out, FbError *err);
FbStatus fb_config_text(const FbLanguageConfig *config, const char *hf, const char *gguf, const char **out, FbError *err);
/* The same where the key must be there. */
FbStatus fb_config_need_int(const FbLanguageConfig *config, const char *hf, const char *gguf, int64_t low, int64_t high, int64_t *out, FbError *err);
FbStatus fb_config_need_number(const FbLanguageConfig *config, const char *hf, const char *gguf, double *out, FbError *err);
bool fb_config_has(const FbLanguageConfig *config, const char *hf, const char *gguf);
/* FB_ERR_UNSUPPORTED when config.json's boolean `key` is not `understood`. */
FbStatus fb_config_only(const FbLanguageConfig *config, const char *key, bool understood, FbError *err);

/* The settings that nearly every family calls alike: sizes, heads, context, activation and its gate, windows, tied head, rotary embedding, the
 * root mean square's epsilon. Call first; families then put right what is different. */
FbStatus fb_config_common(FbLanguageConfig *config, FbLanguageSpec *spec, FbError *err);
/* Sizes under other keys of config.json. */
typedef struct FbConfigKeys {
    const char *layers, *hidden, *feed_forward, *q_heads, *kv_heads, *context, *epsilon, *activation, *gguf_epsilon;
    int64_t widening; /* feed_forward is so many times hidden where no key says it; 0: a key must */
} FbConfigKeys;
FbStatus fb_config_sizes(FbLanguageConfig *config, const FbConfigKeys *keys, FbLanguageSpec *spec, FbError *err);
/* A list of one flag per layer. */
FbStatus fb_config_layers(FbLanguageConfig *config, const FbLanguageSpec *spec, bool value, bool **list, FbError *err);
/* Every layer's feed-forward part is a mixture of experts; the keys of config.json with their number and width (NULL: as wide as a dense one). */
FbStatus fb_config_mixture(FbLanguageConfig *config, const char *experts, const char *width, FbLanguageSpec *spec, FbError *err);

/* The rotary embedding of full attention, or of sliding attention where that has its own. `theta` is the base when no key says it. */
FbStatus fb_config_rotary(FbLanguageConfig *config, const FbLanguageSpec *spec, const char *layer_type, double theta, double partial,
                          FbRotarySpec *rotary, FbError *err);
/* That of sliding attention, with a base of its own and never scaled, unless config.json has an object for it. */
FbStatus fb_config_local_rotary(FbLanguageConfig *config, FbLanguageSpec *spec, double theta, FbError *err);
/* Which layers have sliding attention: by "layer_types" where it is there, otherwise every layer but each `period`-th (1: all but none, 0: none),
 * from layer `first` on. */
FbStatus fb_config_sliding(FbLanguageConfig *config, FbLanguageSpec *spec, int64_t period, int64_t first, FbError *err);

#endif
