/* JPEG through libjpeg, from memory. Missing or damaged data, which libjpeg paints grey with a warning, are errors here. */
#include "data/image.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h> /* needs stdio.h before it */
#include <jerror.h>

enum { JPEG_SCANS_MAX = 100 }; /* real progressive files have about 10; each scan costs a pass over all blocks */

typedef struct JpegReader {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    FbContext *context;
    const char *what;
    const uint8_t *bytes;
    size_t count;
    FbImage *image;
    uint8_t *row; /* one CMYK row */
    FbStatus status;
    FbError *err;
    jmp_buf jump;
} JpegReader;

static void jpeg_leave(JpegReader *r, FbStatus status, const char *why)
{
    if (r->status == FB_OK) {
        r->status = fb_error_set(r->err, status, "%s: damaged JPEG: %s", r->what, why);
    }
    longjmp(r->jump, 1);
}

static void jpeg_failed(j_common_ptr common)
{
    JpegReader *r = common->client_data;
    char message[JMSG_LENGTH_MAX];
    common->err->format_message(common, message);
    jpeg_leave(r, common->err->msg_code == JERR_OUT_OF_MEMORY ? FB_ERR_NO_MEMORY : FB_ERR_FORMAT, message);
}

static void jpeg_message(j_common_ptr common, int level)
{
    if (level >= 0) {
        return; /* a trace, no warning */
    }
    switch (common->err->msg_code) {
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_JPEG_EOF:
    case JWRN_NOT_SEQUENTIAL:
    case JWRN_MUST_RESYNC:
        jpeg_failed(common);
        break;
    default: /* junk between markers, unknown Adobe transform: the pixels are whole */
        break;
    }
}

static void jpeg_print(j_common_ptr common) { (void)common; /* a library never prints */ }

static void jpeg_no_source(j_decompress_ptr jpeg) { (void)jpeg; }

static boolean jpeg_end_of_data(j_decompress_ptr jpeg)
{
    jpeg_leave(jpeg->client_data, FB_ERR_FORMAT, "the file ends early");
    return FALSE;
}

static void jpeg_skip(j_decompress_ptr jpeg, long bytes)
{
    if (bytes > 0) {
        if ((unsigned long)bytes > jpeg->src->bytes_in_buffer) {
            jpeg_leave(jpeg->client_data, FB_ERR_FORMAT, "the file ends early");
        }
        jpeg->src->next_input_byte += bytes;
        jpeg->src->bytes_in_buffer -= (size_t)bytes;
    }
}

static void jpeg_monitor(j_common_ptr common)
{
    JpegReader *r = common->client_data;
    if (common->is_decompressor && r->jpeg.input_scan_number > JPEG_SCANS_MAX) {
        jpeg_leave(r, FB_ERR_BUDGET, "more than 100 scans");
    }
}

/* Adobe writes CMYK inverted: stored 255 is no ink. Without its marker, 255 is full ink. */
static void cmyk_to_rgb(const uint8_t *from, uint8_t *to, int width, bool inverted)
{
    for (int x = 0; x < width; x++, from += 4, to += 3) {
        unsigned black = inverted ? from[3] : 255U - from[3];
        for (int c = 0; c < 3; c++) {
            unsigned paper = inverted ? from[c] : 255U - from[c];
            to[c] = (uint8_t)((paper * black + 127) / 255);
        }
    }
}

/* Huffman coding spends at least a bit on each block of the first scan: a header that promises more than the file can hold is refused
 * before memory is taken for it. */
static bool jpeg_is_plausible(const struct jpeg_decompress_struct *jpeg, size_t bytes)
{
    uint64_t blocks = 0;
    for (int i = 0; i < jpeg->comps_in_scan; i++) {
        blocks += (uint64_t)jpeg->cur_comp_info[i]->width_in_blocks * jpeg->cur_comp_info[i]->height_in_blocks;
    }
    return jpeg->arith_code || blocks / 8 <= bytes;
}

/* Runs under setjmp: state lives in *r. */
static void jpeg_run(JpegReader *r)
{
    struct jpeg_decompress_struct *jpeg = &r->jpeg;
    jpeg_create_decompress(jpeg);
    jpeg->client_data = r;
    jpeg->src = &r->source;
    jpeg->progress = &r->progress;
    jpeg->mem->max_memory_to_use = (long)(FB_IMAGE_PIXELS_MAX * 12);
    (void)jpeg_read_header(jpeg, TRUE);
    if (!jpeg_is_plausible(jpeg, r->count)) {
        r->status = fb_error_set(r->err, FB_ERR_FORMAT, "%s: %u x %u pixels cannot come from %zu bytes", r->what, jpeg->image_width,
                                 jpeg->image_height, r->count);
        return;
    }
    bool cmyk = jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK;
    jpeg->out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    r->status = fb_image_alloc(r->context, r->what, jpeg->image_width, jpeg->image_height, FB_IMAGE_CHANNELS, r->image, r->err);
    if (r->status != FB_OK) {
        return;
    }
    if (cmyk) {
        r->row = fb_alloc(r->context, (size_t)jpeg->image_width * 4);
        if (r->row == NULL) {
            r->status = fb_error_memory(r->context, r->err, r->what, (size_t)jpeg->image_width * 4);
            return;
        }
    }
    (void)jpeg_start_decompress(jpeg);
    while (jpeg->output_scanline < jpeg->output_height) {
        uint8_t *out = r->image->pixels + (size_t)jpeg->output_scanline * jpeg->image_width * FB_IMAGE_CHANNELS;
        JSAMPROW row = cmyk ? r->row : out;
        if (jpeg_read_scanlines(jpeg, &row, 1) != 1) {
            jpeg_leave(r, FB_ERR_FORMAT, "the file ends early");
        }
        if (cmyk) {
            cmyk_to_rgb(r->row, out, r->image->width, jpeg->saw_Adobe_marker != FALSE);
        }
    }
    (void)jpeg_finish_decompress(jpeg);
}

FbStatus fb_image_decode_jpeg(FbContext *context, const char *what, const uint8_t *bytes, size_t count, FbImage *image, FbError *err)
{
    JpegReader *r = fb_alloc_zero(context, sizeof *r);
    if (r == NULL) {
        return fb_error_memory(context, err, what, sizeof *r);
    }
    r->context = context;
    r->what = what;
    r->bytes = bytes;
    r->count = count;
    r->image = image;
    r->err = err;
    r->jpeg.err = jpeg_std_error(&r->errors);
    r->jpeg.client_data = r;
    r->errors.error_exit = jpeg_failed;
    r->errors.emit_message = jpeg_message;
    r->errors.output_message = jpeg_print;
    r->source.next_input_byte = bytes;
    r->source.bytes_in_buffer = count;
    r->source.init_source = jpeg_no_source;
    r->source.fill_input_buffer = jpeg_end_of_data;
    r->source.skip_input_data = jpeg_skip;
    r->source.resync_to_restart = jpeg_resync_to_restart;
    r->source.term_source = jpeg_no_source;
    r->progress.progress_monitor = jpeg_monitor;
    if (setjmp(r->jump) == 0) {
        jpeg_run(r);
    }
    FbStatus status = r->status;
    jpeg_destroy_decompress(&r->jpeg);
    fb_free(context, r->row);
    fb_free(context, r);
    return status;
}
