/* Merges of BPE by scores (SentencePiece's BPE models, llama2.c): two neighbours become one when together they are a token, the one with the best
 * score first. Written as a table of pairs this is the same as BPE by merges. */
#include <stdlib.h>
#include <string.h>

#include "data/tokenizer_parts.h"
#include "data/tokenizer_unicode.h"

typedef struct ScoreWork {
    FbTokenizer *tokenizer;
    FbTrie backward;          /* pieces and characters, from their ends */
    FbTrieEntry *entries;
    char *reversed;
    uint32_t *ranks;          /* by id: place of its score among all scores */
    int32_t *left;            /* of the current piece: the symbol that its first i bytes are */
    FB_ARRAY(FbMerge) merges;
    FbError *err;
} ScoreWork;

typedef struct Scored {
    double score;
    uint32_t id;
} Scored;

static int by_score(const void *left, const void *right)
{
    const Scored *a = left, *b = right;
    return a->score != b->score ? (a->score > b->score ? -1 : 1) : (a->id > b->id) - (a->id < b->id);
}

static FbStatus no_memory(const ScoreWork *work) { return fb_error_memory(work->tokenizer->context, work->err, "merges of a vocabulary", 0); }

static bool is_model(const FbTokenizer *tokenizer, uint32_t id) { return (tokenizer->vocabulary.pieces.items[id].flags & FB_PIECE_MODEL) != 0; }

/* Characters inside pieces that are no piece themselves get symbols behind the last id. */
static FbStatus add_characters(ScoreWork *work)
{
    FbTokenizer *tokenizer = work->tokenizer;
    FbVocabulary *vocabulary = &tokenizer->vocabulary;
    uint32_t total = tokenizer->id_count;
    uint8_t *seen = fb_alloc_zero(tokenizer->context, 0x110000 / 8);
    FbStatus status = seen != NULL ? FB_OK : no_memory(work);
    for (uint32_t id = 0; status == FB_OK && id < total; id++) {
        uint32_t bytes = vocabulary->pieces.items[id].bytes;
        for (size_t at = 0; status == FB_OK && is_model(tokenizer, id) && at < bytes;) {
            uint32_t code;
            const char *data = fb_piece_data(vocabulary, id) + at;
            size_t length = fb_utf8_take(data, bytes - at, &code);
            if (length == 0) {
                status = fb_error_set(work->err, FB_ERR_FORMAT, "token %u is no UTF-8", (unsigned)id);
                break;
            }
            at += length;
            if ((seen[code / 8] >> (code % 8) & 1) == 0 && fb_trie_find(&tokenizer->model.pieces, data, length) < 0) {
                char copy[4];
                memcpy(copy, data, length); /* the pool may move */
                status = fb_vocabulary_add(vocabulary, (uint32_t)vocabulary->pieces.count, copy, length, 0, 0, work->err);
            }
            seen[code / 8] |= (uint8_t)(1u << (code % 8));
        }
    }
    fb_free(tokenizer->context, seen);
    FB_TRY(status);
    size_t count = vocabulary->pieces.count - total;
    for (size_t i = 0; i < count; i++) {
        const FbPiece *piece = &vocabulary->pieces.items[total + i];
        work->entries[i] = (FbTrieEntry){vocabulary->pool.data + piece->at, piece->bytes, (int32_t)(total + i)};
    }
    return fb_trie_build(tokenizer->context, work->entries, count, &tokenizer->model.characters, work->err);
}

static FbStatus build_backward(ScoreWork *work)
{
    FbTokenizer *tokenizer = work->tokenizer;
    FbVocabulary *vocabulary = &tokenizer->vocabulary;
    size_t count = 0, used = 0;
    work->reversed = fb_alloc(tokenizer->context, vocabulary->pool.length + 1);
    if (work->reversed == NULL) {
        return no_memory(work);
    }
    for (uint32_t id = 0; id < vocabulary->pieces.count; id++) {
        const FbPiece *piece = &vocabulary->pieces.items[id];
        if (id >= tokenizer->id_count || is_model(tokenizer, id)) {
            const char *data = fb_piece_data(vocabulary, id);
            for (uint32_t i = 0; i < piece->bytes; i++) {
                work->reversed[used + i] = data[piece->bytes - 1 - i];
            }
            work->entries[count++] = (FbTrieEntry){work->reversed + used, piece->bytes, (int32_t)id};
            used += piece->bytes;
        }
    }
    return fb_trie_build(tokenizer->context, work->entries, count, &work->backward, work->err);
}

static FbStatus rank_scores(ScoreWork *work)
{
    FbTokenizer *tokenizer = work->tokenizer;
    uint32_t count = tokenizer->id_count, rank = 0;
    Scored *scored = fb_alloc_array(tokenizer->context, count, sizeof *scored);
    work->ranks = fb_alloc_array(tokenizer->context, count, sizeof *work->ranks);
    if (scored == NULL || work->ranks == NULL) {
        fb_free(tokenizer->context, scored);
        return no_memory(work);
    }
    for (uint32_t id = 0; id < count; id++) {
        scored[id] = (Scored){tokenizer->vocabulary.pieces.items[id].score, id};
    }
    qsort(scored, count, sizeof *scored, by_score);
    for (uint32_t i = 0; i < count; i++) {
        rank += i > 0 && scored[i].score != scored[i - 1].score;
        work->ranks[scored[i].id] = rank;
    }
    fb_free(tokenizer->context, scored);
    return FB_OK;
}

/* Both halves of each cut of a piece, by one walk from its start and one from its end. */
static FbStatus cut_piece(ScoreWork *work, uint32_t id)
{
    const FbWordModel *model = &work->tokenizer->model;
    const char *data = fb_piece_data(&work->tokenizer->vocabulary, id);
    uint32_t bytes = work->tokenizer->vocabulary.pieces.items[id].bytes;
    size_t first = fb_utf8_take(data, bytes, NULL);
    uint32_t node = 0;
    for (uint32_t i = 0; i < bytes; i++) {
        node = i > 0 && node == 0 ? 0 : fb_trie_step(&model->pieces, node, (uint8_t)data[i]);
        work->left[i] = node != 0 ? model->pieces.value[node] : -1;
    }
    if (work->left[first - 1] < 0) {
        work->left[first - 1] = fb_trie_find(&model->characters, data, first);
    }
    node = 0;
    for (uint32_t i = bytes; i-- > 1;) {
        node = fb_trie_step(&work->backward, node, (uint8_t)data[i]);
        if (node == 0) {
            break;
        }
        int32_t right = work->backward.value[node];
        if (right >= 0 && work->left[i - 1] >= 0) {
            if (!fb_array_grow(work->tokenizer->context, &work->merges)) {
                return no_memory(work);
            }
            work->merges.items[work->merges.count++] = (FbMerge){(uint32_t)work->left[i - 1], (uint32_t)right, id, work->ranks[id]};
        }
    }
    return FB_OK;
}

/* Where no token has the mark behind another character, merges never cross the start of a word. */
static bool crosses(const FbTokenizer *tokenizer, const FbBytes *mark)
{
    for (uint32_t id = 0; id < tokenizer->id_count; id++) {
        const char *data = fb_piece_data(&tokenizer->vocabulary, id);
        uint32_t bytes = tokenizer->vocabulary.pieces.items[id].bytes;
        bool other = false;
        for (size_t at = 0; is_model(tokenizer, id) && at < bytes;) {
            bool here = bytes - at >= mark->count && memcmp(data + at, mark->data, mark->count) == 0;
            if (here && other) {
                return true;
            }
            other = !here;
            at += here ? mark->count : 1;
        }
    }
    return false;
}

void fb_tokenizer_find_cuts(FbTokenizer *tokenizer, FbBytes mark)
{
    bool known = fb_trie_find(&tokenizer->model.pieces, (const char *)mark.data, mark.count) >= 0;
    if (known && !crosses(tokenizer, &mark)) {
        tokenizer->model.cut_before = mark;
    }
}

static FbStatus run(ScoreWork *work)
{
    FbTokenizer *tokenizer = work->tokenizer;
    size_t most = 0;
    for (uint32_t id = 0; id < tokenizer->id_count; id++) {
        uint32_t bytes = tokenizer->vocabulary.pieces.items[id].bytes;
        most = bytes > most ? bytes : most;
    }
    /* Every character that a vocabulary can miss, and every piece. */
    size_t characters = tokenizer->vocabulary.pool.length < 0x110000 ? tokenizer->vocabulary.pool.length : 0x110000;
    work->entries = fb_alloc_array(tokenizer->context, characters + tokenizer->id_count + 1, sizeof *work->entries);
    work->left = fb_alloc_array(tokenizer->context, most + 1, sizeof *work->left);
    if (work->entries == NULL || work->left == NULL) {
        return no_memory(work);
    }
    FB_TRY(add_characters(work));
    FB_TRY(build_backward(work));
    FB_TRY(rank_scores(work));
    for (uint32_t id = 0; id < tokenizer->id_count; id++) {
        if (is_model(tokenizer, id) && tokenizer->vocabulary.pieces.items[id].bytes > 1) {
            FB_TRY(cut_piece(work, id));
        }
    }
    return fb_tokenizer_set_merges(tokenizer, work->merges.items, work->merges.count, work->err);
}

FbStatus fb_tokenizer_merges_from_scores(FbTokenizer *tokenizer, FbError *err)
{
    ScoreWork work = {.tokenizer = tokenizer, .err = err};
    FbStatus status = run(&work);
    fb_trie_reset(tokenizer->context, &work.backward);
    fb_free(tokenizer->context, work.entries);
    fb_free(tokenizer->context, work.reversed);
    fb_free(tokenizer->context, work.ranks);
    fb_free(tokenizer->context, work.left);
    fb_array_free(tokenizer->context, &work.merges);
    return status;
}
