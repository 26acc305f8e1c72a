/* Preprocessing: documents good and bad, named rows, geometry by hand, values by the formula. */
#include "data_test.h"

#include "data/preprocess.h"

static const FbPort nchw = {"image", FB_DTYPE_F32, 4, {-1, 3, 4, 6}};
static const FbPort nhwc = {"image", FB_DTYPE_U8, 4, {1, 4, 6, 3}};
static const FbPort grey = {"Input3", FB_DTYPE_F32, 4, {1, 1, 28, 28}};
static const FbPort open_size = {"image", FB_DTYPE_F32, 4, {-1, 3, -2, -3}};

static FbStatus parse(const char *text, FbPreprocess *out, FbError *err)
{
    json_t *document = NULL;
    FbStatus status = fb_json_parse(text, strlen(text), 65536, "p.json", &document, err);
    if (status == FB_OK) {
        status = fb_preprocess_parse(document, "p.json", &nchw, out, err);
        json_decref(document);
    }
    return status;
}

static void whole_document(void **state)
{
    (void)state;
    FbPreprocess p;
    FbError err = {0};
    assert_ok(parse("{\"schema\":\"fewbit.preprocess/1\",\"steps\":[{\"resize\":{\"short\":256,\"filter\":\"bicubic\",\"antialias\":false}},"
                    "{\"center_crop\":[224,200]},{\"letterbox\":{\"size\":[416,410],\"value\":114,\"align\":\"topleft\"}},"
                    "{\"resize\":{\"size\":[10,20]}}],\"order\":\"BGR\",\"scale\":0.5,\"mean\":[1,2,3],\"std\":[4,5,6],\"layout\":\"NHWC\"}",
                    &p, &err));
    assert_int_equal(p.step_count, 4);
    assert_int_equal(p.steps[0].kind, FB_PREPROCESS_RESIZE_SHORT);
    assert_int_equal(p.steps[0].height, 256);
    assert_int_equal(p.steps[0].filter, FB_FILTER_BICUBIC);
    assert_false(p.steps[0].antialias);
    assert_int_equal(p.steps[1].kind, FB_PREPROCESS_CENTER_CROP);
    assert_int_equal(p.steps[1].width, 200);
    assert_int_equal(p.steps[2].value, 114);
    assert_false(p.steps[2].centred);
    assert_int_equal(p.steps[3].filter, FB_FILTER_BILINEAR);
    assert_true(p.steps[3].antialias);
    assert_int_equal(p.order, FB_ORDER_BGR);
    assert_int_equal(p.layout, FB_LAYOUT_NHWC);
    assert_true(p.scale == 0.5 && p.mean[2] == 3 && p.std[1] == 5);
}

static void bad_documents(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{\"schema\":\"fewbit.preprocess/1\",\"means\":[0]}", "mean"},
        {"{\"schema\":\"fewbit.preprocess/2\"}", "schema"},
        {"{}", "schema"},
        {"[]", "object"},
        {"{\"schema\":\"fewbit.preprocess/1\",\"steps\":[{\"centre_crop\":[1,1]}]}", "center_crop"},
        {"{\"schema\":\"fewbit.preprocess/1\",\"steps\":[{\"resize\":{\"short\":0}}]}", "resize"},
        {"{\"schema\":\"fewbit.preprocess/1\",\"steps\":[{\"resize\":{}}]}", "size"},
        {"{\"schema\":\"fewbit.preprocess/1\",\"steps\":[{\"resize\":{\"short\":1,\"filter\":\"lanczos\"}}]}", "bicubic"},
        {"{\"schema\":\"fewbit.preprocess/1\",\"steps\":[{\"center_crop\":[1,1],\"resize\":{\"short\":1}}]}", "one key"},
        {"{\"schema\":\"fewbit.preprocess/1\",\"steps\":[{\"letterbox\":{\"size\":[1,1],\"value\":256}}]}", "value"},
        {"{\"schema\":\"fewbit.preprocess/1\",\"std\":[1,0,1]}", "std"},
        {"{\"schema\":\"fewbit.preprocess/1\",\"mean\":[1,2]}", "mean"},
        {"{\"schema\":\"fewbit.preprocess/1\",\"mean\":\"x\"}", "mean"},
        {"{\"schema\":\"fewbit.preprocess/1\",\"order\":\"rgb\"}", "RGB"},
        {"{\"schema\":\"fewbit.preprocess/1\",\"scale\":true}", "scale"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        FbPreprocess p;
        FbError err = {0};
        FbStatus status = parse(cases[i][0], &p, &err);
        if (status == FB_OK || fb_status_exit_code(status) > 3 || strstr(err.message, cases[i][1]) == NULL) {
            fail_msg("%s: %s (%s)", cases[i][0], fb_status_name(status), err.message);
        }
    }
}

static void template_is_valid(void **state)
{
    (void)state;
    char text[400];
    FbPreprocess p;
    FbError err = {0};
    fb_preprocess_template(&nchw, text, sizeof text);
    assert_ok(parse(text, &p, &err));
    assert_int_equal(p.steps[1].height, 4);
    assert_int_equal(p.steps[1].width, 6);
    fb_preprocess_template(&grey, text, sizeof text);
    assert_ok(parse(text, &p, &err));
    assert_int_equal(p.order, FB_ORDER_GRAY);
}

static void names(void **state)
{
    (void)state;
    FbPreprocess p;
    FbError err = {0};
    assert_ok(fb_preprocess_from_name("imagenet", &nchw, &p, &err));
    assert_true(p.mean[1] == 0.456 && p.std[2] == 0.225 && p.scale == 1 / 255.0);
    assert_int_equal(p.steps[0].height, 7); /* 6 / 0.875, rounded */
    assert_ok(fb_preprocess_from_name("0..255", &nhwc, &p, &err));
    assert_int_equal(p.layout, FB_LAYOUT_NHWC);
    assert_ok(fb_preprocess_from_name("0..1", &grey, &p, &err));
    assert_int_equal(p.order, FB_ORDER_GRAY);
    assert_int_equal(fb_preprocess_from_name("imagenet", &grey, &p, &err), FB_ERR_ARGUMENT);
    assert_int_equal(fb_preprocess_from_name("0..1", &open_size, &p, &err), FB_ERR_ARGUMENT);
    assert_int_equal(fb_preprocess_from_name("imagnet", &nchw, &p, &err), FB_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "did you mean 'imagenet'"));
    const char *summary = NULL;
    size_t count = 0;
    while (fb_preprocess_name(count, &summary) != NULL) {
        assert_non_null(summary);
        assert_ok(fb_preprocess_from_name(fb_preprocess_name(count, NULL), &nchw, &p, &err));
        count++;
    }
    assert_int_equal(count, 6);
}

/* A 6 x 4 picture that already fits: value = pixel / 127.5 - 1, rounded once. BGR and channel order checked on single pixels. */
static void values(void **state)
{
    (void)state;
    FbContext *context = test_context();
    FbError err = {0};
    FbPreprocess p;
    uint8_t pixels[4 * 6 * 3];
    float out[4 * 6 * 3];
    for (size_t i = 0; i < sizeof pixels; i++) {
        pixels[i] = (uint8_t)(i * 3);
    }
    FbImage image = {.width = 6, .height = 4, .channels = 3, .pixels = pixels}, ready = {0};
    assert_ok(fb_preprocess_from_name("-1..1", &nchw, &p, &err));
    assert_ok(fb_preprocess_geometry(context, "p", &p, &nchw, &image, &ready, &err));
    assert_memory_equal(ready.pixels, pixels, sizeof pixels);
    FbTensor tensor;
    assert_ok(fb_preprocess_shape("p", &p, &nchw, &ready, &tensor, &err));
    assert_int_equal(tensor.bytes, sizeof out);
    assert_int_equal(tensor.dims[1], 3);
    tensor.data = out;
    assert_ok(fb_preprocess_values("p", &p, &nchw, &ready, &tensor, &err));
    for (size_t c = 0; c < 3; c++) {
        for (size_t i = 0; i < 24; i++) {
            double want = pixels[i * 3 + c] / 127.5 - 1;
            assert_true(out[c * 24 + i] - want < 1e-7 && want - out[c * 24 + i] < 1e-7);
        }
    }
    p.order = FB_ORDER_BGR;
    p.mean[0] = 0.5; /* of the first channel of the result: blue */
    assert_ok(fb_preprocess_values("p", &p, &nchw, &ready, &tensor, &err));
    assert_true(out[0] == (float)(pixels[2] * (1 / 127.5) - 0.5));
    assert_true(out[48] == (float)(pixels[0] * (1 / 127.5) - 1));
    fb_image_reset(context, &ready);

    uint8_t bytes[4 * 6 * 3];
    assert_ok(fb_preprocess_from_name("0..255", &nhwc, &p, &err));
    FbTensor u8;
    assert_ok(fb_preprocess_shape("p", &p, &nhwc, &image, &u8, &err));
    u8.data = bytes;
    assert_ok(fb_preprocess_values("p", &p, &nhwc, &image, &u8, &err));
    assert_memory_equal(bytes, pixels, sizeof pixels);

    FbImage wrong = {.width = 5, .height = 4, .channels = 3, .pixels = pixels};
    assert_int_equal(fb_preprocess_shape("p", &p, &nhwc, &wrong, &u8, &err), FB_ERR_ARGUMENT);
    fb_context_free(context);
}

/* letterbox of 4 x 2 into 6 x 6 with ratio 1.5: inner 6 x 3; at the top left, and centred with 1 row above (3 / 2 cut). */
static void geometry(void **state)
{
    (void)state;
    FbContext *context = test_context();
    FbError err = {0};
    uint8_t pixels[8];
    memset(pixels, 200, sizeof pixels);
    FbImage image = {.width = 4, .height = 2, .channels = 1, .pixels = pixels}, ready = {0};
    FbPreprocess p = {.step_count = 1, .scale = 1, .std = {1, 1, 1}};
    p.steps[0] = (FbPreprocessStep){.kind = FB_PREPROCESS_LETTERBOX, .height = 6, .width = 6, .filter = FB_FILTER_BILINEAR, .value = 114};
    assert_ok(fb_preprocess_geometry(context, "p", &p, &nchw, &image, &ready, &err));
    assert_int_equal(ready.pixels[0], 200);
    assert_int_equal(ready.pixels[2 * 6 + 5], 200);
    assert_int_equal(ready.pixels[3 * 6], 114);
    fb_image_reset(context, &ready);
    p.steps[0].centred = true;
    assert_ok(fb_preprocess_geometry(context, "p", &p, &nchw, &image, &ready, &err));
    assert_int_equal(ready.pixels[0], 114);
    assert_int_equal(ready.pixels[6], 200);
    assert_int_equal(ready.pixels[4 * 6], 114);
    fb_image_reset(context, &ready);
    p.steps[0] = (FbPreprocessStep){.kind = FB_PREPROCESS_CENTER_CROP, .height = 3, .width = 3};
    assert_int_equal(fb_preprocess_geometry(context, "p", &p, &nchw, &image, &ready, &err), FB_ERR_ARGUMENT);
    p.steps[0] = (FbPreprocessStep){.kind = FB_PREPROCESS_RESIZE_SHORT, .height = 3, .width = 3, .filter = FB_FILTER_BILINEAR, .antialias = true};
    assert_ok(fb_preprocess_geometry(context, "p", &p, &nchw, &image, &ready, &err));
    assert_int_equal(ready.width, 6);
    assert_int_equal(ready.height, 3);
    fb_image_reset(context, &ready);
    assert_int_equal(fb_context_memory_now(context), 0);
    fb_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_document), cmocka_unit_test(bad_documents), cmocka_unit_test(template_is_valid),
        cmocka_unit_test(names),          cmocka_unit_test(values),        cmocka_unit_test(geometry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
