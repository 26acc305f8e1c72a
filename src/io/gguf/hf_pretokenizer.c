/* How a tokenizer.json cuts text before merging, and llama.cpp's name for it. The parts of the pre-tokenizer are written out as one line; the
 * table knows the lines. Patterns are those of the published tokenizers. */
#include <string.h>

#include "io/gguf/hf_model.h"

enum { LINE_ROOM = 2048 };

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define LATER " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define FRONT "[^\\r\\n\\p{L}\\p{N}]?"
#define SLASHED " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

typedef struct FbHfPretokenizer {
    const char *line, *name, *name_with_merges_ignored; /* the last for tokenizers that look a word up before they merge; NULL: the same */
} FbHfPretokenizer;

static const FbHfPretokenizer lines[] = {
    {"bytes+", "gpt-2", NULL},
    {"digits1 bytes+", "smollm", NULL},
    {"split:" CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|" LATER " bytes", "dbrx", "llama-bpe"},
    {"split:" CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|" LATER " bytes", "qwen2", NULL},
    {"split:" CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+ bytes", "qwen35", NULL},
    {"split:" FRONT UPPER "*" LOWER "+|" FRONT UPPER "+" LOWER "*|\\p{N}|" SLASHED " bytes", "tekken", NULL},
    {"split:" FRONT UPPER "*" LOWER "+" CONTRACTIONS "?|" FRONT UPPER "+" LOWER "*" CONTRACTIONS "?|\\p{N}{1,3}|" SLASHED " bytes", "gpt-4o", NULL},
    {"split:\\p{N}{1,3} split:[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-\xe3\x82\x9f\xe3\x82\xa0-\xe3\x83\xbf]+ split:[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"
     "[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+ bytes", "deepseek-v3", NULL},
    {"split:[\r\n] split:\\s?\\p{L}+ split:\\s?\\p{P}+ split:[\xe4\xb8\x80-\xe9\xbe\xa5\xe0\xa0\x80-\xe4\xb8\x80\xea\xb0\x80-\xed\x9f\xbf]+ digits1 bytes", "deepseek-coder", NULL},
    {"split: ?[^(\\s|[.,!?\xe2\x80\xa6\xe3\x80\x82\xef\xbc\x8c\xe3\x80\x81\xe0\xa5\xa4\xdb\x94\xd8\x8c])]+ bytes", "bloom", NULL},
    {"split: ?[^(\\s|[.,!?\xe2\x80\xa6\xe3\x80\x82\xef\xbc\x8c\xe3\x80\x81\xe0\xa5\xa4\xdb\x94\xd8\x8c])]+ digits1 bytes", "viking", NULL},
    {"punctuation bytes+ split:[0-9][0-9][0-9]", "falcon", NULL},
    {"punctuation bytes+ digits split:[0-9][0-9][0-9]", "falcon", NULL},
};

static void add(char *line, const char *text)
{
    size_t length = strlen(line), more = strlen(text);
    if (length + more + 2 < LINE_ROOM) {
        memcpy(line + length, text, more + 1);
    } else {
        line[0] = '?'; /* too long to be known */
        line[1] = '\0';
    }
}

static void add_part(char *line, const json_t *part)
{
    const char *type = json_string_value(json_object_get(part, "type"));
    const json_t *pattern = json_object_get(part, "pattern");
    const char *regex = json_string_value(json_object_get(pattern, "Regex")), *behavior = json_string_value(json_object_get(part, "behavior"));
    bool apart = behavior == NULL || strcmp(behavior, "Isolated") == 0;
    type = type != NULL ? type : "";
    add(line, line[0] != '\0' ? " " : "");
    if (strcmp(type, "ByteLevel") == 0) {
        add(line, json_is_false(json_object_get(part, "use_regex")) ? "bytes" : "bytes+"); /* absent: with the pattern of GPT-2 */
    } else if (strcmp(type, "Digits") == 0) {
        add(line, json_is_true(json_object_get(part, "individual_digits")) ? "digits1" : "digits");
    } else if (strcmp(type, "Punctuation") == 0) {
        add(line, "punctuation");
    } else if (strcmp(type, "Split") == 0 && regex != NULL && apart && !json_is_true(json_object_get(part, "invert"))) {
        add(line, "split:");
        add(line, regex);
    } else {
        add(line, "?");
        add(line, type);
    }
}

const char *fb_hf_pretokenizer(const json_t *tokenizer)
{
    char line[LINE_ROOM] = "";
    const json_t *whole = json_object_get(tokenizer, "pre_tokenizer");
    const json_t *parts = json_object_get(whole, "pretokenizers");
    bool ignored = json_is_true(json_object_get(json_object_get(tokenizer, "model"), "ignore_merges"));
    for (size_t i = 0; i < json_array_size(parts); i++) {
        add_part(line, json_array_get(parts, i));
    }
    if (parts == NULL && json_is_object(whole)) {
        add_part(line, whole);
    }
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        if (strcmp(lines[i].line, line) == 0) {
            return ignored && lines[i].name_with_merges_ignored != NULL ? lines[i].name_with_merges_ignored : lines[i].name;
        }
    }
    return NULL;
}
