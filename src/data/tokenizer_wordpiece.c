/* A word to tokens by WordPiece: the longest token that it begins with, then the longest continuing one, and so on; one unknown token when that
 * comes to no end. */
#include "data/tokenizer_parts.h"
#include "data/tokenizer_unicode.h"

FbStatus fb_encode_wordpiece(FbTokenWork *work, const char *word, size_t bytes)
{
    const FbWordModel *model = &work->tokenizer->model;
    size_t first = work->ids.count, characters = 0, at = 0;
    for (size_t i = 0; i < bytes && characters <= model->longest_word; i++) {
        characters += ((uint8_t)word[i] & 0xc0) != 0x80;
    }
    while (at < bytes && characters <= model->longest_word) {
        size_t length = 0;
        int32_t id = fb_trie_longest(at == 0 ? &model->pieces : &model->continuing, word + at, bytes - at, &length);
        if (id < 0) {
            break;
        }
        FB_TRY(fb_work_add(work, id));
        at += length;
    }
    if (at == bytes) {
        return FB_OK;
    }
    work->ids.count = first;
    return model->unknown >= 0 ? fb_work_add(work, model->unknown) : FB_OK;
}
