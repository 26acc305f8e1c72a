/* Decoding and resampling against Pillow: PNG exactly, JPEG within 2 codes (decoders differ in chroma rounding), resize within 1 code. */
#include "data_test.h"

#include <stdlib.h>

#include "data/resize.h"

static void load_picture(FbContext *context, const char *file, FbImage *image)
{
    FbError err = {0};
    char *bytes = NULL, relative[128];
    size_t count = 0;
    snprintf(relative, sizeof relative, "fixtures/%s", file);
    assert_ok(fb_file_read_all(context, test_path(relative), 1 << 20, &bytes, &count, &err));
    assert_ok(fb_image_decode(context, file, (const uint8_t *)bytes, count, image, &err));
    fb_free(context, bytes);
}

static int largest_difference(const uint8_t *a, const uint8_t *b, size_t count)
{
    int largest = 0;
    for (size_t i = 0; i < count; i++) {
        int difference = abs(a[i] - b[i]);
        largest = difference > largest ? difference : largest;
    }
    return largest;
}

static void decode_like_pillow(void **state)
{
    (void)state;
    FbContext *context = test_context();
    FbArrays *arrays = test_arrays(context, "fixtures/pictures.npz");
    assert_int_equal(fb_arrays_count(arrays), 15);
    for (size_t i = 0; i < fb_arrays_count(arrays); i++) {
        const FbArrayInfo *info = fb_arrays_info(arrays, i);
        size_t count = 0;
        uint8_t *want = test_array(context, arrays, info->name, &count);
        FbImage image = {0};
        load_picture(context, info->name, &image);
        assert_int_equal(image.height, info->dims[0]);
        assert_int_equal(image.width, info->dims[1]);
        assert_int_equal(image.channels, 3);
        int allowed = strstr(info->name, ".jpg") != NULL ? 2 : 0;
        int difference = largest_difference(image.pixels, want, count);
        if (difference > allowed) {
            fail_msg("%s differs by %d codes", info->name, difference);
        }
        fb_image_reset(context, &image);
        fb_free(context, want);
    }
    fb_arrays_free(arrays);
    assert_int_equal(fb_context_memory_now(context), 0);
    fb_context_free(context);
}

/* A compressed text chunk of 30 MB is skipped, the picture is read, memory stays small. */
static void text_bomb(void **state)
{
    (void)state;
    FbContext *context = test_context();
    FbImage image = {0};
    load_picture(context, "text_bomb.png", &image);
    assert_int_equal(image.width, 23);
    assert_true(fb_context_memory_peak(context) < 8 << 20);
    fb_image_reset(context, &image);
    fb_context_free(context);
}

static void resize_like_pillow(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        FbFilter filter;
    } filters[] = {{"nearest", FB_FILTER_NEAREST}, {"bilinear", FB_FILTER_BILINEAR}, {"bicubic", FB_FILTER_BICUBIC}};
    static const int sizes[][2] = {{7, 5}, {23, 8}, {9, 19}, {40, 31}, {224, 3}, {1, 1}};
    FbContext *context = test_context();
    FbArrays *arrays = test_arrays(context, "fixtures/resized.npz");
    FbError err = {0};
    size_t count = 0;
    FbImage from = {.width = 23, .height = 19, .channels = 3, .pixels = test_array(context, arrays, "source", &count)};
    for (size_t f = 0; f < 3; f++) {
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            char name[64];
            FbImage to = {0};
            snprintf(name, sizeof name, "%s_%dx%d", filters[f].name, sizes[s][0], sizes[s][1]);
            uint8_t *want = test_array(context, arrays, name, &count);
            assert_ok(fb_image_resize(context, name, &from, sizes[s][0], sizes[s][1], filters[f].filter, true, &to, &err));
            assert_int_equal(count, (size_t)to.width * (size_t)to.height * 3);
            int difference = largest_difference(to.pixels, want, count);
            if (difference > (f == 0 ? 0 : 1)) {
                fail_msg("%s differs by %d codes", name, difference);
            }
            fb_image_reset(context, &to);
            fb_free(context, want);
        }
    }
    fb_image_reset(context, &from);
    fb_arrays_free(arrays);
    fb_context_free(context);
}

/* Without antialias, hand-computed: 4 pixels to 2 look at centres 1 and 3, halfway between neighbours; 2 to 4 at 0.5 steps. */
static void resize_without_antialias(void **state)
{
    (void)state;
    FbContext *context = test_context();
    FbError err = {0};
    FbImage to = {0};
    uint8_t four[4] = {0, 100, 50, 250}, two[2] = {0, 100};
    FbImage from = {.width = 4, .height = 1, .channels = 1, .pixels = four};
    assert_ok(fb_image_resize(context, "four", &from, 2, 1, FB_FILTER_BILINEAR, false, &to, &err));
    assert_int_equal(to.pixels[0], 50);
    assert_int_equal(to.pixels[1], 150);
    fb_image_reset(context, &to);
    FbImage small = {.width = 2, .height = 1, .channels = 1, .pixels = two};
    assert_ok(fb_image_resize(context, "two", &small, 4, 1, FB_FILTER_BILINEAR, false, &to, &err));
    assert_int_equal(to.pixels[0], 0);
    assert_int_equal(to.pixels[1], 25);
    assert_int_equal(to.pixels[2], 75);
    assert_int_equal(to.pixels[3], 100);
    fb_image_reset(context, &to);
    fb_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decode_like_pillow),
        cmocka_unit_test(text_bomb),
        cmocka_unit_test(resize_like_pillow),
        cmocka_unit_test(resize_without_antialias),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
