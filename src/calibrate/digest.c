/* A sample's identity: what makes duplicates and overlaps visible. */
#include "calibrate/digest.h"

#include "base/sha256.h"

static void add_number(FbSha256 *hash, int64_t number)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)((uint64_t)number >> (8 * i));
    }
    fb_sha256_add(hash, bytes, sizeof bytes);
}

static int digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

FbStatus fb_sample_digest(FbContext *context, const FbSample *sample, uint8_t digest[FB_DIGEST_BYTES], FbError *err)
{
    char hex[65];
    FbSha256 *hash = fb_sha256_create(context);
    if (hash == NULL) {
        return fb_error_memory(context, err, "hash", 0);
    }
    for (size_t i = 0; i < sample->input_count; i++) {
        const FbTensor *input = &sample->inputs[i];
        add_number(hash, (int64_t)input->dtype);
        add_number(hash, input->rank);
        for (int d = 0; d < input->rank; d++) {
            add_number(hash, input->dims[d]);
        }
        fb_sha256_add(hash, input->data, input->bytes);
    }
    fb_sha256_finish(hash, hex);
    for (size_t i = 0; i < FB_DIGEST_BYTES; i++) {
        digest[i] = (uint8_t)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
    }
    return FB_OK;
}
