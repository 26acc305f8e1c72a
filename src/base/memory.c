/* Counted, capped, 64-byte aligned allocation. A header of one line before the block remembers what the allocator gave. */
#include <string.h>

#include "base/checked.h"
#include "base/context_private.h"

#if defined(__SANITIZE_ADDRESS__)
#define FB_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FB_ASAN 1
#endif
#endif
#ifdef FB_ASAN
#include <sanitizer/asan_interface.h>
#define FB_POISON(address, bytes) __asan_poison_memory_region((address), (bytes))
#define FB_UNPOISON(address, bytes) __asan_unpoison_memory_region((address), (bytes))
#else
#define FB_POISON(address, bytes) ((void)(address), (void)(bytes))
#define FB_UNPOISON(address, bytes) ((void)(address), (void)(bytes))
#endif

enum { LINE = 64 };

typedef struct Header {
    void *raw;     /* what the allocator returned */
    size_t total;  /* what it was asked for */
    size_t bytes;  /* what the caller asked for */
    uint64_t mark; /* catches a pointer that is not ours */
} Header;
_Static_assert(sizeof(Header) <= LINE, "the header fits one line");

static const uint64_t header_mark = 0x6665776269742121u;

static bool charge(FbContext *context, size_t total)
{
    uint64_t now = atomic_fetch_add(&context->bytes_now, total) + total;
    if (context->max_memory && now > context->max_memory) {
        atomic_fetch_sub(&context->bytes_now, total);
        atomic_store(&context->refused_by_cap, true);
        return false;
    }
    uint_fast64_t peak = atomic_load(&context->bytes_peak);
    while (now > peak && !atomic_compare_exchange_weak(&context->bytes_peak, &peak, now)) {
    }
    return true;
}

void *fb_alloc(FbContext *context, size_t bytes)
{
    size_t total;
    if (!fb_add_size(bytes, 2 * LINE, &total)) {
        atomic_store(&context->refused_by_cap, false);
        return NULL;
    }
    if (!charge(context, total)) {
        return NULL;
    }
    char *raw = context->allocator.allocate(context->allocator.user, total);
    if (!raw) {
        atomic_fetch_sub(&context->bytes_now, total);
        atomic_store(&context->refused_by_cap, false);
        return NULL;
    }
    /* At least one line for the header, at most one more to reach the alignment. */
    char *block = raw + LINE + (LINE - (uintptr_t)raw % LINE) % LINE;
    Header header = {raw, total, bytes, header_mark};
    memcpy(block - LINE, &header, sizeof header);
    FB_POISON(block + bytes, (size_t)(raw + total - (block + bytes)));
    return block;
}

void *fb_alloc_zero(FbContext *context, size_t bytes)
{
    void *block = fb_alloc(context, bytes);
    if (block) {
        memset(block, 0, bytes);
    }
    return block;
}

void *fb_alloc_array(FbContext *context, size_t count, size_t element)
{
    size_t bytes;
    if (!fb_mul_size(count, element, &bytes)) {
        atomic_store(&context->refused_by_cap, false);
        return NULL;
    }
    return fb_alloc(context, bytes);
}

void *fb_realloc_array(FbContext *context, void *pointer, size_t count, size_t element)
{
    void *block = fb_alloc_array(context, count, element);
    if (block && pointer) {
        Header header;
        memcpy(&header, (char *)pointer - LINE, sizeof header);
        size_t bytes = count * element;
        memcpy(block, pointer, header.bytes < bytes ? header.bytes : bytes);
        fb_free(context, pointer);
    }
    return block;
}

void fb_free(FbContext *context, void *pointer)
{
    if (!pointer) {
        return;
    }
    Header header;
    memcpy(&header, (char *)pointer - LINE, sizeof header);
    if (header.mark != header_mark) {
        return; /* not a block of ours: leaking it is the harmless choice */
    }
    FB_UNPOISON((char *)pointer + header.bytes, (size_t)((char *)header.raw + header.total - ((char *)pointer + header.bytes)));
    memset((char *)pointer - LINE, 0, sizeof header);
    atomic_fetch_sub(&context->bytes_now, header.total);
    context->allocator.release(context->allocator.user, header.raw, header.total);
}

char *fb_strdup(FbContext *context, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = fb_alloc(context, bytes);
    if (copy) {
        memcpy(copy, text, bytes);
    }
    return copy;
}

FbStatus fb_error_memory(FbContext *context, FbError *err, const char *what, uint64_t bytes)
{
    if (atomic_load(&context->refused_by_cap)) {
        return fb_error_set(err, FB_ERR_BUDGET,
                            "%s needs %llu bytes, which would pass the memory cap of %llu bytes (%llu in use); allow more with --max-memory", what,
                            (unsigned long long)bytes, (unsigned long long)context->max_memory,
                            (unsigned long long)atomic_load(&context->bytes_now));
    }
    return fb_error_set(err, FB_ERR_NO_MEMORY, "out of memory: %s needs %llu bytes", what, (unsigned long long)bytes);
}

uint64_t fb_context_memory_peak(const FbContext *context)
{
    return atomic_load(&context->bytes_peak);
}

uint64_t fb_context_memory_now(const FbContext *context)
{
    return atomic_load(&context->bytes_now);
}
