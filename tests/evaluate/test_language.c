/* Evaluation of language models: windows, packing into runs, stored baselines and their malformed files, questions. */
#define _GNU_SOURCE /* mkdtemp */
#include <math.h>
#include <unistd.h>

#include "evaluate/language_choices.h"
#include "evaluate/language_run.h"
#include "fewbit/language_evaluate.h"
#include "run/small_language_model.h"

enum { TOKENS = 400 };

static char folder[] = "/tmp/fewbit-language-XXXXXX";

static const char *const names[] = {"text.jsonl", "other.jsonl", "base.fbl", "bad.fbl", "bad.jsonl"};
enum { NAME_COUNT = sizeof names / sizeof names[0] };

/* One of the names above in the test's folder. */
static const char *path_of(const char *name)
{
    static char paths[NAME_COUNT][128];
    size_t i = 0;
    while (strcmp(names[i], name) != 0) {
        i++;
    }
    snprintf(paths[i], sizeof paths[i], "%s/%s", folder, name);
    return paths[i];
}

static void write_file(const char *name, const void *bytes, size_t count)
{
    FILE *f = fopen(path_of(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, count, f), count);
    fclose(f);
}

static size_t read_file(const char *name, uint8_t *bytes, size_t most)
{
    FILE *f = fopen(path_of(name), "rb");
    assert_non_null(f);
    size_t count = fread(bytes, 1, most, f);
    fclose(f);
    return count;
}

static int32_t token(uint64_t stream, size_t i) { return (int32_t)fb_random_below(5, stream, i, SMALL_VOCABULARY); }

/* Token ids over two lines, which are joined. */
static const char *write_text(const char *name, uint64_t stream, size_t count)
{
    char text[8192] = "";
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%d", i == 0 ? "{\"ids\": [" : i == 100 ? "]}\n\n{\"ids\": [" : ",", token(stream, i));
    }
    used += (size_t)snprintf(text + used, sizeof text - used, "]}\n");
    assert_true(used < sizeof text);
    write_file(name, text, used);
    return path_of(name);
}

static FbStatus evaluate(FbContext *context, float scale, const char *data, FbLanguageEvaluateOptions options, FbLanguageEvaluation *out, FbError *err)
{
    FbModel *model = small_language_model(context, scale);
    options.struct_bytes = sizeof options;
    FbStatus status = fb_evaluate_language(context, model, NULL, data, &options, out, err);
    fb_model_free(model);
    return status;
}

static void near(const char *what, double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance)) {
        fail_msg("%s: got %.12g, want %.12g", what, got, want);
    }
}

static void uniform_model_has_the_vocabulary_as_perplexity(void **state)
{
    (void)state;
    FbContext *context = build_context(2);
    FbLanguageEvaluation got;
    const char *data = write_text("text.jsonl", 1, TOKENS);
    assert_int_equal(evaluate(context, 0, data, (FbLanguageEvaluateOptions){.context = 32, .max_loss = -1}, &got, NULL), FB_OK);
    near("perplexity", got.tokens.perplexity.value, SMALL_VOCABULARY, 1e-5);
    near("error", got.tokens.perplexity.error, 0, 1e-5);
    assert_int_equal(got.windows, TOKENS / 32);
    assert_int_equal(got.tokens.tokens, TOKENS / 32 * 15);
    assert_int_equal(got.text_tokens, TOKENS);
    assert_int_equal(got.added_bos, 0);
    fb_context_free(context);
}

/* Perplexity from a session that is run window by window, the definition. */
static double plain_perplexity(FbContext *context, float scale, size_t window, size_t windows)
{
    FbModel *model = small_language_model(context, scale);
    FbSession *session;
    FbSessionOptions options = {.struct_bytes = sizeof options, .mode = FB_MODE_FLOAT};
    double sum = 0;
    assert_int_equal(fb_session_create(context, model, &options, &session, NULL), FB_OK);
    for (size_t w = 0; w < windows; w++) {
        int64_t ids[64], positions[64], sequences[64] = {0};
        FbTensor inputs[4], logits;
        for (size_t i = 0; i < window; i++) {
            ids[i] = token(1, w * window + i);
            positions[i] = (int64_t)i;
        }
        void *const data[4] = {ids, positions, sequences, positions};
        for (int i = 0; i < 4; i++) {
            inputs[i] = (FbTensor){.dtype = FB_DTYPE_S64, .rank = 1, .dims = {(int64_t)window}, .data = data[i], .bytes = window * 8};
        }
        assert_int_equal(fb_session_run(session, inputs, 4, &logits, 1, NULL), FB_OK);
        for (size_t i = window / 2; i + 1 < window; i++) {
            const float *row = (const float *)logits.data + i * SMALL_VOCABULARY;
            double total = 0;
            for (int v = 0; v < SMALL_VOCABULARY; v++) {
                total += exp(row[v]);
            }
            sum += log(total) - row[ids[i + 1]];
        }
    }
    fb_session_free(session);
    fb_model_free(model);
    return exp(sum / (double)(windows * (window - window / 2 - 1)));
}

static void windows_are_those_of_the_definition(void **state)
{
    (void)state;
    FbContext *context = build_context(2);
    FbLanguageEvaluation got;
    const char *data = write_text("text.jsonl", 1, TOKENS);
    for (size_t window = 9; window <= 40; window += 31) {
        FbLanguageEvaluateOptions options = {.context = window, .windows = 7, .mode = FB_MODE_FLOAT, .max_loss = -1};
        assert_int_equal(evaluate(context, 0.4f, data, options, &got, NULL), FB_OK);
        near("perplexity", got.tokens.perplexity.value / plain_perplexity(context, 0.4f, window, 7), 1, 1e-8);
    }
    fb_context_free(context);
}

/* Rows do not depend on how sequences fall into runs. */
static void packing_changes_nothing(void **state)
{
    (void)state;
    FbContext *context = build_context(1);
    FbModel *model = small_language_model(context, 0.4f);
    int32_t ids[TOKENS];
    FbScoredSequence sequences[6] = {{ids, 50, 20}, {ids + 50, 2, 0}, {ids + 52, 70, 68}, {ids + 122, 5, 0}, {ids + 127, 31, 15}, {ids + 158, 90, 1}};
    size_t rows = 0;
    static float wanted[256][SMALL_VOCABULARY];
    for (size_t i = 0; i < TOKENS; i++) {
        ids[i] = token(3, i);
    }
    for (int kind = 0; kind < 4; kind++) {
        const size_t limits[4][3] = {{512, 512, 64}, {17, 512, 2}, {64, 3, 2}, {1, 1, 3}};
        FbTokenPack pack;
        FbTokenRunner runner;
        assert_int_equal(fb_token_pack_init(&pack, context, sequences, 6, SMALL_VOCABULARY, NULL), FB_OK);
        pack.token_limit = limits[kind][0];
        pack.row_limit = limits[kind][1];
        pack.slots = limits[kind][2];
        assert_int_equal(fb_token_runner_init(&runner, context, model, FB_MODE_FLOAT, &pack, NULL), FB_OK);
        while (fb_token_pack_next(&pack)) {
            const float *logits;
            assert_true(pack.tokens <= pack.token_limit && pack.rows <= pack.row_limit);
            assert_int_equal(fb_token_runner_run(&runner, &pack, &logits, NULL), FB_OK);
            for (size_t r = 0; r < pack.rows; r++) {
                float *row = wanted[pack.done_rows + r];
                if (kind == 0) {
                    memcpy(row, logits + r * SMALL_VOCABULARY, sizeof wanted[0]);
                }
                assert_memory_equal(row, logits + r * SMALL_VOCABULARY, sizeof wanted[0]);
            }
            rows = pack.done_rows + pack.rows;
        }
        assert_int_equal(rows, 29 + 1 + 1 + 4 + 15 + 88);
        assert_int_equal(pack.done_tokens, 49 + 1 + 69 + 4 + 30 + 89);
        fb_token_runner_reset(&runner);
        fb_token_pack_reset(&pack);
    }
    fb_model_free(model);
    fb_context_free(context);
}

/* A stored baseline says what the live one does: all of it where rows are stored whole, and within its stated error where not. */
static void stored_baseline_is_the_live_one(void **state)
{
    (void)state;
    FbContext *context = build_context(2);
    FbModel *baseline = small_language_model(context, 0.4f);
    FbLanguageEvaluation live, stored;
    const char *data = write_text("text.jsonl", 1, TOKENS);
    const FbLanguageEvaluateOptions compare = {.context = 32, .baseline = baseline, .gate = FB_GATE_KLD, .max_loss = 0.001};
    assert_int_equal(evaluate(context, 0.38f, data, compare, &live, NULL), FB_OK);
    assert_true(live.tokens.kld.mean > 0 && live.tokens.kld.minimum >= -1e-7);
    assert_true(live.has_loss && live.gate_set && live.gate_passed == (live.tokens.kld.mean < 0.001));
    for (int kind = 0; kind < 2; kind++) {
        FbLanguageEvaluateOptions save = {.context = 32, .save_outputs = path_of("base.fbl"), .overwrite = 1, .stored_tokens = kind ? 32 : 0, .max_loss = -1};
        assert_int_equal(evaluate(context, 0.4f, data, save, &stored, NULL), FB_OK);
        assert_true(stored.saved_bytes > 0);
        FbLanguageEvaluateOptions with = {.baseline_outputs = path_of("base.fbl"), .max_loss = -1};
        assert_int_equal(evaluate(context, 0.38f, data, with, &stored, NULL), FB_OK);
        near("kld", stored.tokens.kld.mean, live.tokens.kld.mean, 2e-4 + 4 * stored.tokens.kld_stored_error);
        near("baseline", stored.tokens.baseline_perplexity.value / live.tokens.baseline_perplexity.value, 1, 1e-6);
        near("ratio", stored.tokens.ratio.value, live.tokens.ratio.value, 1e-6);
        assert_int_equal(stored.tokens.same_top_count, live.tokens.same_top_count);
        assert_true(kind == 0 ? stored.tokens.kld_stored_error == 0 : stored.tokens.kld_stored_error > 0);
    }
    fb_model_free(baseline);
    fb_context_free(context);
}

/* A file of however few tokens per row can be read again. */
static void few_stored_tokens(void **state)
{
    (void)state;
    FbContext *context = build_context(1);
    FbLanguageEvaluation got;
    const char *data = write_text("text.jsonl", 1, TOKENS);
    for (size_t kept = 1; kept <= 4; kept++) {
        FbLanguageEvaluateOptions save = {.context = 32, .save_outputs = path_of("base.fbl"), .overwrite = 1, .stored_tokens = kept, .max_loss = -1};
        assert_int_equal(evaluate(context, 0.4f, data, save, &got, NULL), FB_OK);
        FbLanguageEvaluateOptions with = {.baseline_outputs = path_of("base.fbl"), .max_loss = -1};
        assert_int_equal(evaluate(context, 0.4f, data, with, &got, NULL), FB_OK);
        assert_int_equal(got.saved_bytes, 0);
        near("same top", got.tokens.same_top, 1, 0);
    }
    fb_context_free(context);
}

/* A line is looked at once, however many blank ones follow it. */
static void many_blank_lines(void **state)
{
    (void)state;
    enum { LINES = 8 << 20 };
    static const char first[] = "{\"ids\": [1, 2, 3]}\n";
    FbContext *context = build_context(1);
    char *data = malloc(sizeof first + LINES);
    FbTokenText text;
    memcpy(data, first, sizeof first - 1);
    memset(data + sizeof first - 1, '\n', LINES);
    data[sizeof first - 1 + LINES] = '\0';
    double start = fb_clock_seconds();
    assert_int_equal(fb_token_text_parse(&text, context, NULL, "a.jsonl", data, sizeof first - 1 + LINES, 10, NULL), FB_OK);
    assert_true(fb_clock_seconds() - start < 60); /* 0.1 s; 20 minutes when every line walks through all that follow */
    assert_int_equal(text.count, 3);
    fb_token_text_reset(&text);
    free(data);
    fb_context_free(context);
}

static void expect_refusal(FbContext *context, const char *data, FbLanguageEvaluateOptions options, FbStatus status, const char *words)
{
    FbLanguageEvaluation got;
    FbError err = {FB_OK, ""};
    options.max_loss = -1;
    FbStatus found = evaluate(context, 0.4f, data, options, &got, &err);
    if (found != status || strstr(err.message, words) == NULL) {
        fail_msg("expected status %d and '%s', got %d: %s", status, words, found, err.message);
    }
}

/* A field of the header is changed; what then happens. */
typedef struct HeaderCase {
    size_t offset;
    uint8_t value;
    FbStatus status;
    const char *words;
} HeaderCase;

static void malformed_baselines_are_refused(void **state)
{
    (void)state;
    static uint8_t bytes[1 << 20], changed[1 << 20];
    FbContext *context = build_context(1);
    FbLanguageEvaluation got;
    const char *data = write_text("text.jsonl", 1, TOKENS), *other = write_text("other.jsonl", 2, TOKENS);
    FbLanguageEvaluateOptions save = {.context = 32, .windows = 3, .save_outputs = path_of("base.fbl"), .overwrite = 1, .max_loss = -1};
    assert_int_equal(evaluate(context, 0.4f, data, save, &got, NULL), FB_OK);
    size_t count = read_file("base.fbl", bytes, sizeof bytes);
    assert_int_equal(count, 128 + 3 * 15 * (8 + 61 * 4));
    const HeaderCase cases[] = {
        {0, 'x', FB_ERR_FORMAT, "not stored"}, {8, 2, FB_ERR_UNSUPPORTED, "version"}, {12, 60, FB_ERR_FORMAT, "contradict"},
        {12, 62, FB_ERR_FORMAT, "contradict"}, {15, 255, FB_ERR_FORMAT, "contradict"}, {16, 33, FB_ERR_FORMAT, "contradict"},
        {20, 4, FB_ERR_FORMAT, "cut short"}, {20, 0, FB_ERR_FORMAT, "contradict"}, {24, 14, FB_ERR_FORMAT, "contradict"},
        {28, 0, FB_ERR_FORMAT, "contradict"}, {28, 60, FB_ERR_FORMAT, "contradict"}, {32, 1, FB_ERR_FORMAT, "contradict"},
        {36, 1, FB_ERR_FORMAT, "not zero"}, {100, 1, FB_ERR_FORMAT, "not zero"}, {64, 0, FB_ERR_ARGUMENT, "other tokens"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memcpy(changed, bytes, count);
        changed[cases[i].offset] = changed[cases[i].offset] == cases[i].value ? cases[i].value + 1 : cases[i].value;
        write_file("bad.fbl", changed, count);
        expect_refusal(context, data, (FbLanguageEvaluateOptions){.baseline_outputs = path_of("bad.fbl")}, cases[i].status, cases[i].words);
    }
    /* Damaged rows: an id outside the vocabulary, probabilities that are none. */
    for (int kind = 0; kind < 3; kind++) {
        memcpy(changed, bytes, count);
        memset(changed + 128 + 20 * 252 + (kind == 0 ? 8 : kind == 1 ? 130 : 4), 0xff, 2 + 2 * (kind == 2));
        write_file("bad.fbl", changed, count);
        expect_refusal(context, data, (FbLanguageEvaluateOptions){.baseline_outputs = path_of("bad.fbl")}, FB_ERR_FORMAT, "row 20 is damaged");
    }
    write_file("bad.fbl", bytes, count - 1);
    expect_refusal(context, data, (FbLanguageEvaluateOptions){.baseline_outputs = path_of("bad.fbl")}, FB_ERR_FORMAT, "cut short");
    write_file("bad.fbl", bytes, 100);
    expect_refusal(context, data, (FbLanguageEvaluateOptions){.baseline_outputs = path_of("bad.fbl")}, FB_ERR_FORMAT, "too small");
    /* A good file used otherwise than it was saved. */
    const char *good = path_of("base.fbl");
    expect_refusal(context, other, (FbLanguageEvaluateOptions){.baseline_outputs = good}, FB_ERR_ARGUMENT, "other tokens");
    expect_refusal(context, data, (FbLanguageEvaluateOptions){.baseline_outputs = good, .context = 16}, FB_ERR_ARGUMENT, "windows of 32");
    expect_refusal(context, data, (FbLanguageEvaluateOptions){.baseline_outputs = good, .windows = 2}, FB_ERR_ARGUMENT, "3 windows");
    expect_refusal(context, data, (FbLanguageEvaluateOptions){.save_outputs = good, .context = 32}, FB_ERR_ARGUMENT, "exists");
    fb_context_free(context);
}

static void malformed_texts_are_refused(void **state)
{
    (void)state;
    FbContext *context = build_context(1);
    const char *const lines[][2] = {
        {"{\"ids\": [1, 61]}", "61"},
        {"{\"ids\": [1, -1]}", "-1"},
        {"{\"ids\": [1, 2.5]}", "whole numbers"},
        {"{\"ids\": 3}", "line 1"},
        {"{\"text\": \"a\"}", "tokenizer"},
        {"{\"ids\": [1], \"text\": \"a\"}", "line 1"},
        {"{\"ids\": [1]}\n[2]", "line 2"},
        {"{\"ids\": [1]}\n{\"question\": \"a\", \"choices\": [\"b\", \"c\"], \"answer\": 0}", "do not mix"},
        {"{\"ids\": [1, 2, 3]}", "tokens (3)"},
        {"{\"question\": \"a\", \"choices\": [\"b\"], \"answer\": 0}", "2 to"},
        {"{\"question\": \"a\", \"choices\": [\"b\", \"c\"], \"answer\": 2}", "answer"},
        {"{\"question\": \"a\", \"choices\": [\"b\", \"c\"]}", "answer"},
        {"{\"choices\": [\"b\", \"c\"], \"answer\": 1}", "question"},
        {"{\"ids\": [1], \"labels\": 3}", "labels"},
        {"no json, and so a text", "tokenizer"},
        {"", "tokenizer"},
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        FbLanguageEvaluation got;
        FbError err = {FB_OK, ""};
        write_file("bad.jsonl", lines[i][0], strlen(lines[i][0]));
        FbStatus status = evaluate(context, 0.4f, path_of("bad.jsonl"), (FbLanguageEvaluateOptions){.max_loss = -1}, &got, &err);
        if (status == FB_OK || strstr(err.message, lines[i][1]) == NULL) {
            fail_msg("%s: status %d, message %s", lines[i][0], status, err.message);
        }
    }
    fb_context_free(context);
}

/* Two questions by hand: the longer answer loses by its sum and wins by its sum per character. */
static void choices_by_hand(void **state)
{
    (void)state;
    FbTokenChoice choices[5] = {{0, 3, 1, 2}, {3, 4, 2, 10}, {7, 2, 1, 1}, {9, 2, 1, 1}, {11, 3, 1, 4}};
    FbTokenQuestion questions[2] = {{0, 2, 1}, {2, 3, 2}};
    int32_t ids[14] = {0};
    FbContext *context = build_context(1);
    FbTokenText text = {.context = context, .ids = ids, .count = 14, .is_choice = true, .choices = choices, .choice_count = 5,
                        .questions = questions, .question_count = 2};
    const FbTokenScore scores[8] = {{1, 5, 0, 0, 0}, {2, 5, 0, 0, 0}, {2, 1, 0, 0, 0}, {2, 1, 0, 0, 0},
                                    {3, 1, 0, 0, 0}, {3, 2, 0, 0, 0}, {2, 4, 0, 0, 0}, {0.5, 4, 0, 0, 0}};
    FbScoredSequence *sequences;
    size_t count;
    FbChoiceStatistics got;
    assert_int_equal(fb_choice_sequences(&text, &sequences, &count, NULL), FB_OK);
    assert_int_equal(count, 5);
    assert_int_equal(sequences[1].first, 1);
    assert_int_equal(fb_choice_statistics(&text, sequences, scores, true, &got, NULL), FB_OK);
    near("accuracy", got.accuracy.model, 0.5, 0);            /* 3 < 4: wrong; 2.5 < 3: right */
    near("normalized", got.normalized.model, 1, 0);          /* 0.4 < 1.5; 0.625 < 3 */
    near("baseline", got.accuracy.baseline, 0.5, 0);         /* 2 < 10: right; 1 < 8: wrong */
    near("baseline, normalized", got.normalized.baseline, 0.5, 0); /* 0.2 < 5: right; 1 < 2: wrong */
    assert_int_equal(fb_choice_statistics(&text, sequences, scores, false, &got, NULL), FB_OK);
    assert_true(isnan(got.accuracy.baseline) && isnan(got.normalized.p_value));
    fb_free(context, sequences);
    fb_context_free(context);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    for (size_t i = 0; i < NAME_COUNT; i++) {
        remove(path_of(names[i]));
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uniform_model_has_the_vocabulary_as_perplexity),
        cmocka_unit_test(windows_are_those_of_the_definition),
        cmocka_unit_test(packing_changes_nothing),
        cmocka_unit_test(stored_baseline_is_the_live_one),
        cmocka_unit_test(few_stored_tokens),
        cmocka_unit_test(many_blank_lines),
        cmocka_unit_test(malformed_baselines_are_refused),
        cmocka_unit_test(malformed_texts_are_refused),
        cmocka_unit_test(choices_by_hand),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
