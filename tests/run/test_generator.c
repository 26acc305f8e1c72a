/* Generation: draws from logits, and a small language model made here whose text must not depend on chunks, batches or what was forgotten. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "faults/faults.h"
#include "fewbit/generate.h"
#include "run/small_language_model.h"

enum { VOCABULARY = SMALL_VOCABULARY, CONTEXT = 96 };

/* ---- drawing ---- */

static int32_t draw(FbContext *context, FbSampling sampling, const float *logits, size_t count, uint64_t number)
{
    FbSampler *sampler;
    int32_t id = -7;
    assert_int_equal(fb_sampler_create(context, &sampling, count, &sampler, NULL), FB_OK);
    assert_int_equal(fb_sampler_draw(sampler, logits, 0, number, &id, NULL), FB_OK);
    fb_sampler_free(sampler);
    return id;
}

static void greedy_takes_the_first_of_the_largest(void **state)
{
    FbContext *context = build_context(1);
    const float logits[] = {1, 5, -2, 5, 4.9f, 5};
    (void)state;
    assert_int_equal(draw(context, (FbSampling){0}, logits, 6, 0), 1);
    assert_int_equal(draw(context, (FbSampling){.temperature = 1, .top_k = 1, .seed = 3}, logits, 6, 9), 1);
    assert_int_equal(draw(context, (FbSampling){.temperature = 1, .top_p = 1e-6f}, logits, 6, 9), 1);
    assert_int_equal(draw(context, (FbSampling){.temperature = 0.001f, .seed = 5}, logits + 2, 3, 0), 1);
    fb_context_free(context);
}

/* How often each of five tokens is drawn, as shares. */
static void shares(FbSampling sampling, const float *logits, double share[5])
{
    enum { DRAWS = 20000 };
    FbContext *context = build_context(1);
    FbSampler *sampler;
    assert_int_equal(fb_sampler_create(context, &sampling, 5, &sampler, NULL), FB_OK);
    memset(share, 0, 5 * sizeof *share);
    for (uint64_t i = 0; i < DRAWS; i++) {
        int32_t id;
        assert_int_equal(fb_sampler_draw(sampler, logits, 2, i, &id, NULL), FB_OK);
        assert_in_range(id, 0, 4);
        share[id] += 1.0 / DRAWS;
    }
    fb_sampler_free(sampler);
    fb_context_free(context);
}

static void expect_shares(FbSampling sampling, const float *logits, const double wanted[5])
{
    double share[5];
    shares(sampling, logits, share);
    for (int i = 0; i < 5; i++) {
        if (wanted[i] == 0 ? share[i] != 0 : fabs(share[i] - wanted[i]) > 0.015) {
            fail_msg("token %d: share %g, expected %g", i, share[i], wanted[i]);
        }
    }
}

static void draws_follow_the_probabilities(void **state)
{
    (void)state;
    const float logits[5] = {logf(0.1f), logf(0.4f), logf(0.05f), logf(0.25f), logf(0.2f)};
    expect_shares((FbSampling){.temperature = 1}, logits, (double[]){0.1, 0.4, 0.05, 0.25, 0.2});
    expect_shares((FbSampling){.temperature = 1, .top_k = 2}, logits, (double[]){0, 0.4 / 0.65, 0, 0.25 / 0.65, 0});
    expect_shares((FbSampling){.temperature = 1, .top_k = 50}, logits, (double[]){0.1, 0.4, 0.05, 0.25, 0.2});
    expect_shares((FbSampling){.temperature = 1, .top_p = 0.7f}, logits, (double[]){0, 0.4 / 0.85, 0, 0.25 / 0.85, 0.2 / 0.85});
    expect_shares((FbSampling){.temperature = 1, .min_p = 0.55f}, logits, (double[]){0, 0.4 / 0.65, 0, 0.25 / 0.65, 0});
    expect_shares((FbSampling){.temperature = 1, .top_k = 3, .top_p = 0.7f}, logits, (double[]){0, 0.4 / 0.65, 0, 0.25 / 0.65, 0});
    const double cold = 0.01 + 0.16 + 0.0025 + 0.0625 + 0.04; /* temperature 1/2 squares them */
    expect_shares((FbSampling){.temperature = 0.5f}, logits,
                  (double[]){0.01 / cold, 0.16 / cold, 0.0025 / cold, 0.0625 / cold, 0.04 / cold});
}

static void draws_depend_on_the_seed(void **state)
{
    (void)state;
    FbContext *context = build_context(1);
    const float logits[5] = {0, 0, 0, 0, 0};
    int same = 0;
    for (uint64_t i = 0; i < 100; i++) {
        int32_t first = draw(context, (FbSampling){.temperature = 1, .seed = 4}, logits, 5, i);
        assert_int_equal(first, draw(context, (FbSampling){.temperature = 1, .seed = 4}, logits, 5, i));
        same += first == draw(context, (FbSampling){.temperature = 1, .seed = 5}, logits, 5, i);
    }
    assert_in_range(same, 5, 45);
    fb_context_free(context);
}

static void refuses_bad_sampling(void **state)
{
    (void)state;
    FbContext *context = build_context(1);
    FbSampler *sampler;
    const FbSampling bad[] = {{.temperature = -1}, {.temperature = NAN}, {.temperature = 1, .top_k = -1}, {.temperature = 1, .top_p = 1.5f},
                              {.temperature = 1, .min_p = -0.1f}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(fb_sampler_create(context, &bad[i], 5, &sampler, NULL), FB_ERR_ARGUMENT);
        assert_null(sampler);
    }
    assert_int_equal(fb_sampler_create(context, &(FbSampling){0}, 3, &sampler, NULL), FB_OK);
    int32_t id;
    assert_int_equal(fb_sampler_draw(sampler, (const float[]){1, NAN, 2}, 0, 0, &id, NULL), FB_ERR_NUMERIC);
    assert_int_equal(fb_sampler_draw(sampler, (const float[]){-INFINITY, -INFINITY, -INFINITY}, 0, 0, &id, NULL), FB_ERR_NUMERIC);
    assert_int_equal(fb_sampler_draw(sampler, (const float[]){-INFINITY, -INFINITY, 1}, 0, 0, &id, NULL), FB_OK);
    assert_int_equal(id, 2);
    fb_sampler_free(sampler);
    fb_context_free(context);
}

/* ---- generating ---- */

static FbGenerator *make_generator(FbContext *context, FbGeneratorOptions options)
{
    FbGenerator *generator = NULL;
    FbError err = {FB_OK, ""};
    FbModel *model = small_language_model(context, 0.4f);
    options.struct_bytes = sizeof options;
    options.context = options.context ? options.context : CONTEXT;
    if (fb_generator_create(context, model, &options, &generator, &err) != FB_OK) {
        fail_msg("%s", err.message);
    }
    fb_model_free(model);
    return generator;
}

static const int32_t prompts[3][20] = {{5, 9, 33, 60, 0, 1, 2, 8, 40, 41, 42, 43, 17, 18, 19, 20, 21, 22, 23, 24}, {7, 7, 7}, {1}};
static const size_t prompt_counts[3] = {20, 3, 1};

static void make_text(FbGenerator *generator, size_t sequence, size_t prompt, size_t steps)
{
    int32_t ids[8];
    assert_int_equal(fb_generator_feed(generator, sequence, prompts[prompt], prompt_counts[prompt], NULL), FB_OK);
    for (size_t i = 0; i < steps; i++) {
        assert_int_equal(fb_generator_step(generator, ids, NULL), FB_OK);
    }
}

static void expect_same_text(const FbGenerator *a, size_t first, const FbGenerator *b, size_t second, size_t count)
{
    const int32_t *ids, *others;
    assert_int_equal(fb_generator_tokens(a, first, &ids), count);
    assert_int_equal(fb_generator_tokens(b, second, &others), count);
    assert_memory_equal(ids, others, count * sizeof *ids);
}

static void text_does_not_depend_on_chunks_or_batch(void **state)
{
    (void)state;
    FbContext *context = build_context(2);
    const FbSampling sampling = {.temperature = 1.3f, .top_p = 0.9f, .seed = 6};
    for (int32_t chunk = 1; chunk <= 21; chunk += 5) {
        FbGenerator *batch = make_generator(context, (FbGeneratorOptions){.sequences = 3, .chunk = chunk});
        assert_int_equal(fb_generator_feed(batch, 1, prompts[1], prompt_counts[1], NULL), FB_OK);
        assert_int_equal(fb_generator_feed(batch, 2, prompts[2], prompt_counts[2], NULL), FB_OK);
        make_text(batch, 0, 0, 30);
        for (size_t p = 0; p < 3; p++) {
            FbGenerator *single = make_generator(context, (FbGeneratorOptions){0});
            make_text(single, 0, p, 30);
            expect_same_text(batch, p, single, 0, prompt_counts[p] + 30);
            fb_generator_free(single);
        }
        fb_generator_free(batch);
        FbGenerator *whole = make_generator(context, (FbGeneratorOptions){.sampling = sampling});
        FbGenerator *cut = make_generator(context, (FbGeneratorOptions){.sampling = sampling, .chunk = chunk});
        make_text(whole, 0, 0, 40);
        make_text(cut, 0, 0, 40);
        expect_same_text(whole, 0, cut, 0, 60);
        fb_generator_free(whole);
        fb_generator_free(cut);
    }
    fb_context_free(context);
}

static void forgetting_and_going_on(void **state)
{
    (void)state;
    FbContext *context = build_context(1);
    FbGenerator *once = make_generator(context, (FbGeneratorOptions){0}), *again = make_generator(context, (FbGeneratorOptions){.sequences = 2});
    const int32_t *ids;
    int32_t drawn[2];
    make_text(once, 0, 0, 25);
    make_text(again, 0, 0, 9);
    make_text(again, 1, 1, 1);
    fb_generator_cut(again, 0, 13);
    fb_generator_cut(again, 1, 2);
    assert_int_equal(fb_generator_step(again, drawn, NULL), FB_ERR_ARGUMENT);
    assert_int_equal(fb_generator_tokens(again, 0, &ids), 13);
    assert_int_equal(fb_generator_feed(again, 0, prompts[0] + 13, 7, NULL), FB_OK);
    for (int i = 0; i < 25; i++) {
        assert_int_equal(fb_generator_step(again, drawn, NULL), FB_OK);
        assert_true(drawn[0] >= 0);
        assert_int_equal(drawn[1], FB_NO_TOKEN);
    }
    expect_same_text(once, 0, again, 0, 45);
    fb_generator_free(once);
    fb_generator_free(again);
    fb_context_free(context);
}

static void a_full_context_ends_the_text(void **state)
{
    (void)state;
    FbContext *context = build_context(1);
    FbGenerator *generator = make_generator(context, (FbGeneratorOptions){.context = 22});
    FbError err = {FB_OK, ""};
    int32_t id;
    assert_int_equal(fb_generator_context(generator), 22);
    assert_int_equal(fb_generator_step(generator, &id, &err), FB_ERR_ARGUMENT);
    assert_int_equal(fb_generator_feed(generator, 0, prompts[0], 20, NULL), FB_OK);
    assert_int_equal(fb_generator_feed(generator, 0, prompts[0], 3, &err), FB_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "context of 22"));
    assert_int_equal(fb_generator_feed(generator, 0, (int32_t[]){VOCABULARY}, 1, &err), FB_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "token 0 is 61"));
    assert_int_equal(fb_generator_feed(generator, 0, (int32_t[]){-1}, 1, NULL), FB_ERR_ARGUMENT);
    assert_int_equal(fb_generator_feed(generator, 1, prompts[0], 1, NULL), FB_ERR_ARGUMENT);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fb_generator_step(generator, &id, NULL), FB_OK);
        assert_true(id >= 0);
    }
    assert_int_equal(fb_generator_tokens(generator, 0, NULL), 22);
    assert_int_equal(fb_generator_step(generator, &id, NULL), FB_ERR_ARGUMENT);
    fb_generator_free(generator);
    fb_context_free(context);
}

static void an_interrupted_step_goes_on(void **state)
{
    (void)state;
    volatile int cancel = 0;
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1, .cancel = &cancel};
    FbContext *context;
    assert_int_equal(fb_context_create(&options, &context, NULL), FB_OK);
    FbGenerator *once = make_generator(context, (FbGeneratorOptions){0}), *other = make_generator(context, (FbGeneratorOptions){0});
    int32_t id;
    make_text(once, 0, 0, 12);
    make_text(other, 0, 0, 4);
    cancel = 1;
    assert_int_equal(fb_generator_step(other, &id, NULL), FB_ERR_CANCELLED);
    cancel = 0;
    for (int i = 0; i < 8; i++) {
        assert_int_equal(fb_generator_step(other, &id, NULL), FB_OK);
    }
    expect_same_text(once, 0, other, 0, 32);
    fb_generator_free(once);
    fb_generator_free(other);
    fb_context_free(context);
}

static FbContext *counting_context(Faults *faults, int threads)
{
    const FbAllocator allocator = {.user = faults, .allocate = counted_allocate, .release = counted_release};
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = threads, .allocator = &allocator};
    FbContext *context;
    assert_int_equal(fb_context_create(&options, &context, NULL), FB_OK);
    return context;
}

static void a_token_allocates_nothing(void **state)
{
    (void)state;
    Faults faults = {0};
    FbContext *context = counting_context(&faults, 2);
    FbGenerator *generator = make_generator(context, (FbGeneratorOptions){.sequences = 2, .sampling = {.temperature = 1, .top_p = 0.9f}});
    int32_t ids[2];
    make_text(generator, 1, 1, 1);
    make_text(generator, 0, 0, 2);
    const uint64_t before = faults.allocations;
    for (int i = 0; i < 40; i++) {
        assert_int_equal(fb_generator_step(generator, ids, NULL), FB_OK);
    }
    assert_int_equal(faults.allocations, before);
    fb_generator_free(generator);
    fb_context_free(context);
    assert_int_equal(faults.live_bytes, 0);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    Faults faults = {0};
    FbContext *context = counting_context(&faults, 1);
    FbModel *model = small_language_model(context, 0.4f);
    const int64_t held = faults.live_bytes;
    FbGeneratorOptions options = {.struct_bytes = sizeof options, .context = CONTEXT, .sequences = 2, .sampling = {.temperature = 1}};
    FbStatus status = FB_ERR_NO_MEMORY;
    for (uint64_t n = 1; status != FB_OK; n++) {
        FbGenerator *generator = NULL;
        FbError err = {FB_OK, ""};
        int32_t ids[2];
        faults.allocation_fails_at = faults.allocations + n;
        status = fb_generator_create(context, model, &options, &generator, &err);
        status = status == FB_OK ? fb_generator_feed(generator, 0, prompts[0], 3, &err) : status;
        for (int i = 0; i < 3 && status == FB_OK; i++) {
            status = fb_generator_step(generator, ids, &err);
        }
        if (status != FB_OK) {
            assert_int_equal(status, FB_ERR_NO_MEMORY);
            assert_true(err.message[0] != '\0');
        }
        fb_generator_free(generator);
        assert_int_equal(faults.live_bytes, held);
        assert_in_range(n, 1, 100000);
    }
    fb_model_free(model);
    fb_context_free(context);
    assert_int_equal(faults.live_bytes, 0);
}

static void refuses_other_models(void **state)
{
    (void)state;
    FbContext *context = build_context(1);
    FbGenerator *generator;
    FbError err = {FB_OK, ""};
    FbModel *model = build_model(context);
    build_input(model->graph, "x", FB_DTYPE_F32, 1, (int64_t[]){3});
    build_node(model->graph, "Relu", 14, "x", "y");
    build_output(model->graph, "y");
    assert_int_equal(fb_generator_create(context, model, NULL, &generator, &err), FB_ERR_UNSUPPORTED);
    assert_null(generator);
    fb_model_free(model);
    model = small_language_model(context, 0.4f);
    FbGeneratorOptions bad = {.struct_bytes = sizeof bad + 1};
    assert_int_equal(fb_generator_create(context, model, &bad, &generator, NULL), FB_ERR_ARGUMENT);
    bad = (FbGeneratorOptions){.struct_bytes = sizeof bad, .cache_type = (FbCacheType)9};
    assert_int_equal(fb_generator_create(context, model, &bad, &generator, NULL), FB_ERR_ARGUMENT);
    fb_model_free(model);
    fb_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_takes_the_first_of_the_largest),
        cmocka_unit_test(draws_follow_the_probabilities),
        cmocka_unit_test(draws_depend_on_the_seed),
        cmocka_unit_test(refuses_bad_sampling),
        cmocka_unit_test(text_does_not_depend_on_chunks_or_batch),
        cmocka_unit_test(forgetting_and_going_on),
        cmocka_unit_test(a_full_context_ends_the_text),
        cmocka_unit_test(an_interrupted_step_goes_on),
        cmocka_unit_test(a_token_allocates_nothing),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(refuses_other_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
