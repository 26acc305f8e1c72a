/* A word to tokens by a unigram model: of all ways to cut it into tokens, the one with the largest sum of scores (Viterbi). */
#include "data/tokenizer_parts.h"
#include "data/tokenizer_unicode.h"

enum { NOWHERE = -2 }; /* no way leads here */

static double kept(const FbWordModel *model, double score) { return model->single_scores ? (double)(float)score : score; }

/* Every way on from `at`, shortest first; a character that is no token is the unknown one. */
static void extend(FbTokenWork *work, const char *word, size_t bytes, size_t at)
{
    const FbTokenizer *tokenizer = work->tokenizer;
    const FbTrie *trie = &tokenizer->model.pieces;
    FbBest *best = work->best.items;
    size_t next = at;
    (void)fb_utf8_next(word, &next);
    bool single = false;
    uint32_t node = 0;
    for (size_t i = at; i < bytes; i++) {
        node = fb_trie_step(trie, node, (uint8_t)word[i]);
        if (node == 0) {
            break;
        }
        int32_t id = trie->value[node];
        if (id >= 0) {
            double score = kept(&tokenizer->model, best[at].score + tokenizer->vocabulary.pieces.items[id].score);
            if (best[i + 1].id == NOWHERE || score > best[i + 1].score) {
                best[i + 1] = (FbBest){score, (uint32_t)at, id};
            }
            single = single || i + 1 == next;
        }
    }
    if (!single) {
        double score = kept(&tokenizer->model, best[at].score + tokenizer->model.unknown_score);
        if (best[next].id == NOWHERE || score > best[next].score) {
            best[next] = (FbBest){score, (uint32_t)at, tokenizer->model.unknown};
        }
    }
}

/* An unknown stretch: its bytes, where they have tokens. */
static FbStatus add_unknown(FbTokenWork *work, const char *data, size_t bytes)
{
    const FbWordModel *model = &work->tokenizer->model;
    bool all = model->byte_fallback;
    for (size_t i = 0; i < bytes && all; i++) {
        all = model->bytes[(uint8_t)data[i]] >= 0;
    }
    for (size_t i = 0; i < bytes && all; i++) {
        FB_TRY(fb_work_add(work, model->bytes[(uint8_t)data[i]]));
    }
    return all || model->unknown < 0 ? FB_OK : fb_work_add(work, model->unknown);
}

FbStatus fb_encode_unigram(FbTokenWork *work, const char *word, size_t bytes)
{
    int32_t unknown = work->tokenizer->model.unknown;
    bool fuse = work->tokenizer->model.fuse_unknown;
    while (work->best.capacity < bytes + 2) {
        work->best.count = work->best.capacity;
        if (!fb_array_grow(work->context, &work->best)) {
            return fb_work_memory(work, "ways to cut a word");
        }
    }
    FbBest *best = work->best.items;
    for (size_t i = 0; i <= bytes; i++) {
        best[i] = (FbBest){0, 0, NOWHERE};
    }
    for (size_t at = 0; at < bytes; (void)fb_utf8_next(word, &at)) {
        extend(work, word, bytes, at);
    }
    /* Backwards to find the way, turning it round: `id` of a begin becomes that of the token that begins there, `from` its end. */
    size_t end = bytes;
    int32_t following = NOWHERE;
    uint32_t following_end = (uint32_t)bytes;
    while (end > 0) {
        FbBest here = best[end];
        best[end].id = following;
        best[end].from = following_end;
        following = here.id;
        following_end = (uint32_t)end;
        end = here.from;
    }
    for (size_t at = 0; at < bytes;) {
        int32_t id = at == 0 ? following : best[at].id;
        size_t stop = at == 0 ? following_end : best[at].from;
        if (id != unknown) {
            FB_TRY(fb_work_add(work, id));
            at = stop;
            continue;
        }
        while (fuse && stop < bytes && best[stop].id == unknown) {
            stop = best[stop].from;
        }
        FB_TRY(add_unknown(work, word + at, stop - at));
        at = stop;
    }
    return FB_OK;
}
