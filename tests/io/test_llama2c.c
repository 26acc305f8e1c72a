/* Files of llama2.c: recognized by their size alone, so every number must fit it. */
#include "context_test.h"
#include "io/checkpoint_test.h"
#include "fewbit/language.h"
#include "io/llama2c/llama2c.h"

enum { NUMBERS = 7, HIDDEN = 8, FEED = 12, LAYERS = 2, HEADS = 2, KV_HEADS = 1, VOCABULARY = 5, CONTEXT = 4 };

static const int32_t header[NUMBERS] = {HIDDEN, FEED, LAYERS, HEADS, KV_HEADS, VOCABULARY, CONTEXT};
static const size_t per_layer = 2 * HIDDEN + 2 * HIDDEN * HIDDEN + 2 * HIDDEN * HIDDEN / 2 + 3 * HIDDEN * FEED;
static FbError err;

/* Numbers 0, 1, 2, ... behind the header, changed at `changed`. */
static Bytes make(size_t changed, int32_t value, bool own_head, int extra)
{
    Bytes bytes = {0};
    size_t floats = VOCABULARY * HIDDEN * (own_head ? 2 : 1) + LAYERS * per_layer + HIDDEN + CONTEXT * HIDDEN / HEADS;
    for (size_t i = 0; i < NUMBERS; i++) {
        int32_t number = i == changed ? value : header[i];
        bytes_number(&bytes, (uint32_t)number, 4);
    }
    for (size_t i = 0; i < floats + (size_t)extra; i++) {
        float number = (float)i;
        bytes_add(&bytes, &number, 4);
    }
    return bytes;
}

static FbStatus open_bytes(Bytes bytes, FbCheckpoint **checkpoint)
{
    FbSource *source;
    assert_int_equal(fb_source_from_memory(context, bytes.data, bytes.count, &source, NULL), FB_OK);
    bool recognized;
    assert_int_equal(fb_llama2c_recognize(source, &recognized, &err), FB_OK);
    FbStatus status = fb_llama2c_open_source(context, source, "m.bin", checkpoint, &err);
    assert_true(recognized == (status == FB_OK) && (status == FB_OK || err.message[0] != '\0'));
    fb_source_release(source);
    free(bytes.data);
    return status;
}

static float first_of(const FbCheckpoint *checkpoint, const char *name)
{
    float value = -1;
    const FbTableTensor *tensor = fb_checkpoint_tensor(checkpoint, name);
    assert_non_null(tensor);
    assert_int_equal(fb_const_read_f32(context, &tensor->constant, 0, 1, &value, &err), FB_OK);
    return value;
}

static void test_places(void **state)
{
    (void)state;
    FbCheckpoint *checkpoint;
    FbModel *model;
    const float norms = VOCABULARY * HIDDEN, q = norms + LAYERS * HIDDEN, k = q + LAYERS * HIDDEN * HIDDEN, v = k + LAYERS * HIDDEN * HIDDEN / 2;
    const float out = v + LAYERS * HIDDEN * HIDDEN / 2, feed = out + LAYERS * HIDDEN * HIDDEN, gate = feed + LAYERS * HIDDEN;
    assert_int_equal(open_bytes(make(NUMBERS, 0, false, 0), &checkpoint), FB_OK);
    assert_int_equal(checkpoint->tensor_count, 2 + 9 * LAYERS);
    assert_true(first_of(checkpoint, "token_embd.weight") == 0);
    assert_true(first_of(checkpoint, "blk.1.attn_norm.weight") == norms + HIDDEN);
    assert_true(first_of(checkpoint, "blk.0.attn_q.weight") == q);
    assert_true(first_of(checkpoint, "blk.1.attn_k.weight") == k + HIDDEN * HIDDEN / 2);
    assert_true(first_of(checkpoint, "blk.0.attn_v.weight") == v);
    assert_true(first_of(checkpoint, "blk.0.attn_output.weight") == out);
    assert_true(first_of(checkpoint, "blk.0.ffn_norm.weight") == feed);
    assert_true(first_of(checkpoint, "blk.0.ffn_gate.weight") == gate);
    assert_true(first_of(checkpoint, "blk.1.ffn_down.weight") == gate + 3 * HIDDEN * FEED);
    assert_true(first_of(checkpoint, "blk.0.ffn_up.weight") == gate + 4 * HIDDEN * FEED);
    assert_true(first_of(checkpoint, "output_norm.weight") == gate + 6 * HIDDEN * FEED);
    assert_int_equal(fb_language_build(context, checkpoint, NULL, &model, &err), FB_OK);
    assert_int_equal(fb_language_info(model)->kv_heads, KV_HEADS);
    fb_model_free(model);
    fb_checkpoint_free(checkpoint);
    assert_int_equal(open_bytes(make(5, -VOCABULARY, true, 0), &checkpoint), FB_OK); /* a head of its own */
    assert_non_null(fb_checkpoint_tensor(checkpoint, "output.weight"));
    fb_checkpoint_free(checkpoint);
}

static void test_refused(void **state)
{
    (void)state;
    static const int32_t values[] = {0, -1, 1, 3, INT32_MAX, INT32_MIN};
    FbCheckpoint *checkpoint;
    assert_int_equal(open_bytes(make(NUMBERS, 0, false, 1), &checkpoint), FB_ERR_FORMAT);
    assert_int_equal(open_bytes(make(NUMBERS, 0, false, -1), &checkpoint), FB_ERR_FORMAT);
    assert_int_equal(open_bytes(make(5, -VOCABULARY, false, 0), &checkpoint), FB_ERR_FORMAT);
    assert_int_equal(open_bytes(make(NUMBERS, 0, true, 0), &checkpoint), FB_ERR_FORMAT);
    for (size_t n = 0; n < NUMBERS; n++) {
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            FbStatus wanted = values[v] == header[n] ? FB_OK : FB_ERR_FORMAT;
            assert_int_equal(open_bytes(make(n, values[v], false, 0), &checkpoint), wanted);
            fb_checkpoint_free(checkpoint);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_places), cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, context_setup, context_teardown);
}
