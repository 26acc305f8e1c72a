/* Texts, token ids and questions for language models: what is accepted holds ids of the vocabulary, and choices that lie within them. */
#include <string.h>

#include "data/token_text.h"
#include "fuzz.h"

enum { VOCABULARY = 100 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1, .max_memory = 64 << 20};
    FbContext *context = NULL;
    FbTokenText text;
    if (size > 1 << 20 || fb_context_create(&options, &context, NULL) != FB_OK) {
        return 0;
    }
    char *copy = fb_alloc(context, size + 1);
    FUZZ_CHECK(copy != NULL);
    memcpy(copy, data, size);
    copy[size] = '\0';
    if (fb_token_text_parse(&text, context, NULL, "data.jsonl", copy, size, VOCABULARY, NULL) == FB_OK) {
        for (size_t i = 0; i < text.count; i++) {
            FUZZ_CHECK(text.ids[i] >= 0 && text.ids[i] < VOCABULARY);
        }
        for (size_t i = 0; i < text.choice_count; i++) {
            const FbTokenChoice *choice = &text.choices[i];
            FUZZ_CHECK(choice->answer > 0 && choice->answer < choice->count && choice->count <= text.count - choice->offset);
        }
    }
    fb_token_text_reset(&text);
    fb_free(context, copy);
    FUZZ_CHECK(fb_context_memory_now(context) == 0);
    fb_context_free(context);
    return 0;
}
