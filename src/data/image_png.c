/* PNG through libpng, from memory, with its limits set and its errors turned into ours. */
#include "data/image.h"

#include <inttypes.h>
#include <png.h>
#include <setjmp.h>
#include <string.h>

enum { PNG_ANCILLARY_BYTES_MAX = 1 << 20, PNG_ANCILLARY_CHUNKS_MAX = 64, DEFLATE_RATIO_MAX = 1040 };

typedef struct PngReader {
    FbContext *context;
    const char *what;
    const uint8_t *bytes;
    size_t count, position;
    FbImage *image;
    png_structp png;
    png_infop info;
    FbStatus status;
    bool refused; /* an allocation: what libpng reports next is not the file's fault */
    FbError *err;
} PngReader;

static png_voidp png_allocate(png_structp png, png_alloc_size_t bytes)
{
    PngReader *r = png_get_mem_ptr(png);
    void *pointer = fb_alloc(r->context, bytes);
    r->refused = r->refused || pointer == NULL;
    return pointer;
}

static void png_release(png_structp png, png_voidp pointer)
{
    PngReader *r = png_get_mem_ptr(png);
    fb_free(r->context, pointer);
}

static void png_failed(png_structp png, png_const_charp message)
{
    PngReader *r = png_get_error_ptr(png);
    if (r->status == FB_OK) {
        r->status = r->refused ? fb_error_memory(r->context, r->err, r->what, 0)
                               : fb_error_set(r->err, FB_ERR_FORMAT, "%s: damaged PNG: %s", r->what, message);
    }
    png_longjmp(png, 1);
}

static void png_warned(png_structp png, png_const_charp message)
{
    (void)png; /* libpng warns of ancillary chunks only; they do not touch the pixels */
    (void)message;
}

static void png_feed(png_structp png, png_bytep out, size_t bytes)
{
    PngReader *r = png_get_io_ptr(png);
    if (bytes > r->count - r->position) {
        png_error(png, "the file ends early");
    }
    memcpy(out, r->bytes + r->position, bytes);
    r->position += bytes;
}

static void png_transforms(PngReader *r)
{
    int colour = png_get_color_type(r->png, r->info);
    if (png_get_bit_depth(r->png, r->info) == 16) {
        png_set_strip_16(r->png);
    }
    if (colour == PNG_COLOR_TYPE_PALETTE) {
        png_set_palette_to_rgb(r->png);
    }
    if (colour == PNG_COLOR_TYPE_GRAY || colour == PNG_COLOR_TYPE_GRAY_ALPHA) {
        png_set_expand_gray_1_2_4_to_8(r->png);
        png_set_gray_to_rgb(r->png);
    }
    png_set_strip_alpha(r->png); /* also what palette expansion made of a tRNS chunk */
    png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
}

/* Runs under setjmp: only writes through r, holds nothing in locals that must survive. */
static void png_run(PngReader *r)
{
    png_set_user_limits(r->png, FB_IMAGE_SIDE_MAX, FB_IMAGE_SIDE_MAX);
    png_set_chunk_malloc_max(r->png, PNG_ANCILLARY_BYTES_MAX);
    png_set_chunk_cache_max(r->png, PNG_ANCILLARY_CHUNKS_MAX);
    png_set_keep_unknown_chunks(r->png, PNG_HANDLE_CHUNK_NEVER, NULL, 0);
    png_set_read_fn(r->png, r, png_feed);
    png_read_info(r->png, r->info);
    uint64_t width = png_get_image_width(r->png, r->info), height = png_get_image_height(r->png, r->info);
    uint64_t bits = (uint64_t)png_get_bit_depth(r->png, r->info) * png_get_channels(r->png, r->info);
    /* Deflate cannot expand more than this, so a header that promises more pixels than the file can hold is refused before memory. */
    if (width * height * bits / 8 / DEFLATE_RATIO_MAX > r->count) {
        r->status = fb_error_set(r->err, FB_ERR_FORMAT, "%s: %" PRIu64 " x %" PRIu64 " pixels cannot come from %zu bytes", r->what, width,
                                 height, r->count);
        return;
    }
    r->status = fb_image_alloc(r->context, r->what, width, height, FB_IMAGE_CHANNELS, r->image, r->err);
    if (r->status != FB_OK) {
        return;
    }
    int passes = png_get_interlace_type(r->png, r->info) == PNG_INTERLACE_ADAM7 ? 7 : 1;
    png_transforms(r);
    if (png_get_rowbytes(r->png, r->info) != (size_t)width * FB_IMAGE_CHANNELS) {
        png_error(r->png, "unexpected row size");
    }
    for (int pass = 0; pass < passes; pass++) {
        for (uint64_t y = 0; y < height; y++) {
            png_read_row(r->png, r->image->pixels + y * width * FB_IMAGE_CHANNELS, NULL);
        }
    }
    png_read_end(r->png, NULL); /* a file cut before its end is an error */
}

FbStatus fb_image_decode_png(FbContext *context, const char *what, const uint8_t *bytes, size_t count, FbImage *image, FbError *err)
{
    PngReader r = {.context = context, .what = what, .bytes = bytes, .count = count, .image = image, .status = FB_OK, .err = err};
    r.png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &r, png_failed, png_warned, &r, png_allocate, png_release);
    if (r.png != NULL) {
        r.info = png_create_info_struct(r.png);
    }
    if (r.info == NULL) {
        png_destroy_read_struct(&r.png, NULL, NULL);
        return r.status != FB_OK ? r.status : fb_error_memory(context, err, what, sizeof r);
    }
    if (setjmp(png_jmpbuf(r.png)) == 0) {
        png_run(&r);
    }
    png_destroy_read_struct(&r.png, &r.info, NULL);
    if (r.status == FB_OK && r.refused) {
        return fb_error_memory(context, err, what, count); /* libpng does without some chunks; an allocation that fails is still an error */
    }
    return r.status;
}
