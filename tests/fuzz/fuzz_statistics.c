/* Statistics files: what is accepted encodes to the same bytes and every observer gives a finite range. The checksum is made right first, so
 * that what lies behind it is reached. */
#include <math.h>
#include <string.h>

#include "base/sha256.h"
#include "calibrate/observer.h"
#include "fuzz.h"

static bool seal(FbContext *context, uint8_t *bytes, size_t count)
{
    char hex[65];
    FbSha256 *hash = fb_sha256_create(context);
    if (hash == NULL) {
        return false;
    }
    fb_sha256_add(hash, bytes, count - 32);
    fb_sha256_finish(hash, hex);
    for (size_t i = 0; i < 64; i++) {
        int digit = hex[i] <= '9' ? hex[i] - '0' : hex[i] - 'a' + 10;
        bytes[count - 32 + i / 2] = (uint8_t)(i % 2 == 0 ? digit << 4 : bytes[count - 32 + i / 2] | digit);
    }
    return true;
}

static void use(FbContext *context, const FbStatistics *statistics, const uint8_t *bytes, size_t count)
{
    uint8_t *again = NULL;
    size_t again_count = 0;
    FbObserverSettings settings = {.code = fb_code_find("u8"), .percentile = 99.9};
    FUZZ_CHECK(fb_statistics_encode(statistics, &again, &again_count, NULL) == FB_OK);
    FUZZ_CHECK(again_count == count && memcmp(again, bytes, count) == 0);
    fb_free(context, again);
    for (size_t v = 0; v < statistics->value_count && v < 2; v++) {
        const FbValueStatistics *value = &statistics->values[v];
        for (size_t o = 0; o < fb_observer_count && value->record->count > 0; o++) {
            double low = 0, high = 0;
            fb_observers[o].range(statistics, value, &settings, &low, &high);
            FUZZ_CHECK(isfinite(low) && isfinite(high) && low <= high);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1, .max_memory = 64 << 20};
    FbContext *context = NULL;
    FbStatistics *statistics = NULL;
    if (size < 32 || size > 1 << 20 || fb_context_create(&options, &context, NULL) != FB_OK) {
        return 0;
    }
    uint8_t *bytes = fb_alloc(context, size);
    if (bytes != NULL) {
        memcpy(bytes, data, size);
        if (seal(context, bytes, size) && fb_statistics_decode(context, bytes, size, "s.fbs", &statistics, NULL) == FB_OK) {
            use(context, statistics, bytes, size);
        }
    }
    fb_statistics_free(statistics);
    fb_free(context, bytes);
    FUZZ_CHECK(fb_context_memory_now(context) == 0);
    fb_context_free(context);
    return 0;
}
