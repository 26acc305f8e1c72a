/* How each family of byte-level BPE cuts text into words. The expressions are those of the models' own tokenizer.json. */
#include "data/tokenizer_gguf_patterns.h"

#include <stddef.h>
#include <string.h>

#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define SHORT_FORMS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define CL100K(digits) \
    SHORT_FORMS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED(forms) "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" forms "|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*" forms
#define O200K CASED(SHORT_FORMS "?") "|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define TEKKEN CASED("") "|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define BLOOM " ?[^(\\s|.,!?\\x{2026}\\x{3002}\\x{ff0c}\\x{3001}\\x{0964}\\x{06d4}\\x{060c})]+"
#define DEEPSEEK3                                                                                                                          \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|"         \
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define HAN_KANA "[\\x{4e00}-\\x{9fa5}\\x{3040}-\\x{309f}\\x{30a0}-\\x{30ff}]+"
#define NAMES(...) (const char *const[]) { __VA_ARGS__, NULL }

static const FbGgufPattern rows[] = {
    {.names = NAMES("gpt-2", "phi-2", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "jina-v1-en", "jina-v2-code", "roberta-bpe", "a.x-4.0",
                    "mellum", "modern-bert", "mpt", "olmo", "jais", "exaone4", "trillion", "granite-docling"),
     .patterns = {GPT2}},
    {.names = NAMES("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone"), .patterns = {"\\p{N}", GPT2}},
    {.names = NAMES("minerva-7b"), .patterns = {"\\p{N}", GPT2}, .add_bos = true},
    {.names = NAMES("llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"),
     .patterns = {CL100K("\\p{N}{1,3}")}, .whole_words = true, .add_bos = true},
    {.names = NAMES("dbrx", "smaug-bpe"), .patterns = {CL100K("\\p{N}{1,3}")}},
    {.names = NAMES("glm4", "chatglm-bpe"), .patterns = {CL100K("\\p{N}{1,3}")}, .whole_words = true},
    {.names = NAMES("qwen2", "deepseek-r1-qwen", "megrez"), .patterns = {CL100K("\\p{N}")}, .compose = true},
    {.names = NAMES("stablelm2", "hunyuan"), .patterns = {CL100K("\\p{N}")}},
    {.names = NAMES("gpt-4o", "llama4"), .patterns = {O200K}, .whole_words = true},
    {.names = NAMES("tekken"), .patterns = {TEKKEN}, .whole_words = true, .add_bos = true},
    {.names = NAMES("deepseek-v3", "hunyuan-dense"), .patterns = {"\\p{N}{1,3}", HAN_KANA, DEEPSEEK3}},
    {.names = NAMES("bloom", "poro-chat", "gpt3-finnish"), .patterns = {BLOOM}},
    {.names = NAMES("viking"), .patterns = {BLOOM, "\\p{N}"}},
    {.names = NAMES("falcon"),
     .patterns = {"[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2, "[0-9][0-9][0-9]"}},
    {.names = NAMES("default"), .patterns = {"[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}},
};

const FbGgufPattern *fb_gguf_pattern(const char *name)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (const char *const *candidate = rows[i].names; *candidate != NULL; candidate++) {
            if (strcmp(*candidate, name) == 0) {
                return &rows[i];
            }
        }
    }
    return NULL;
}
