/* Stored baselines of language models: rows that are accepted have ids of the vocabulary and a finite divergence that is not negative beyond
 * rounding, and encode to the same bytes. */
#include <math.h>
#include <string.h>

#include "evaluate/logit_file.h"
#include "fuzz.h"

enum { ROWS = 3, VOCABULARY_MAX = 4096 };

static void use_row(FbContext *context, const FbShortRow *row, const FbLogitHeader *header)
{
    static float logits[VOCABULARY_MAX];
    FbLogitRow model;
    double variance;
    FUZZ_CHECK(fb_logit_row_init(&model, logits, header->vocabulary, fb_unary_f32_pick(fb_context_cpu(context), FB_UNARY_EXP)));
    double divergence = fb_short_row_divergence(row, &model, &variance);
    FUZZ_CHECK(isfinite(divergence) && divergence > -1e-6 && isfinite(variance) && variance >= 0);
}

static void use(FbContext *context, FbSource *source, const FbLogitHeader *header)
{
    FbLogitRows rows;
    uint64_t all = (uint64_t)header->windows * header->rows;
    size_t count = all < ROWS ? (size_t)all : ROWS, row_bytes = (size_t)fb_logit_row_bytes(header);
    if (fb_logit_rows_init(&rows, context, header, count, NULL) == FB_OK && fb_logit_rows_read(source, &rows, all - count, count, NULL) == FB_OK) {
        for (size_t i = 0; i < count; i++) {
            uint8_t *copy = fb_alloc(context, row_bytes);
            FUZZ_CHECK(copy != NULL);
            memcpy(copy, rows.bytes + i * row_bytes, row_bytes);
            if (fb_logit_rows_decode(&rows, i)) {
                use_row(context, &rows.rows[i], header);
                fb_logit_rows_encode(&rows, i);
                FUZZ_CHECK(memcmp(copy, rows.bytes + i * row_bytes, row_bytes) == 0);
            }
            fb_free(context, copy);
        }
    }
    fb_logit_rows_reset(&rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1, .max_memory = 64 << 20};
    FbContext *context = NULL;
    FbSource *source = NULL;
    FbLogitHeader header;
    if (size > 1 << 20 || fb_context_create(&options, &context, NULL) != FB_OK) {
        return 0;
    }
    if (fb_source_from_memory(context, data, size, &source, NULL) == FB_OK && fb_logit_header_read(source, &header, NULL) == FB_OK &&
        header.vocabulary <= VOCABULARY_MAX) {
        use(context, source, &header);
    }
    fb_source_release(source);
    FUZZ_CHECK(fb_context_memory_now(context) == 0);
    fb_context_free(context);
    return 0;
}
