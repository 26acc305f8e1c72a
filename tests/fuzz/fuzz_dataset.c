/* A DATA file of any kind (.jsonl, .npz, .npy, told by content) for a model of two inputs: every sample that is read has the inputs' shapes. */
#include <errno.h>
#include <string.h>

#include "data/dataset.h"
#include "fuzz.h"

typedef struct Bytes {
    const uint8_t *data;
    size_t size;
} Bytes;

/* A file system of one regular file. */
static int open_bytes(void *user, const char *path, void **handle)
{
    (void)path;
    *handle = user;
    return 0;
}

static int kind_of_bytes(void *user, const char *path, int *kind, uint64_t *bytes)
{
    (void)path;
    *kind = FB_FILE_REGULAR;
    *bytes = ((Bytes *)user)->size;
    return 0;
}

static int read_bytes(void *user, void *handle, uint64_t offset, void *buffer, size_t bytes, size_t *done)
{
    const Bytes *file = handle;
    (void)user;
    *done = offset >= file->size ? 0 : file->size - (size_t)offset < bytes ? file->size - (size_t)offset : bytes;
    memcpy(buffer, file->data + (*done > 0 ? offset : 0), *done);
    return 0;
}

static int size_of_bytes(void *user, void *handle, uint64_t *bytes)
{
    (void)user;
    *bytes = ((Bytes *)handle)->size;
    return 0;
}

static int close_bytes(void *user, void *handle)
{
    (void)user;
    (void)handle;
    return 0;
}

static void check_sample(const FbSample *sample, const FbPort *ports, size_t count)
{
    FUZZ_CHECK(sample->input_count == count && sample->label >= -1 && sample->position >= -1);
    for (size_t i = 0; i < count; i++) {
        const FbTensor *tensor = &sample->inputs[i];
        FUZZ_CHECK(tensor->dtype == ports[i].dtype && tensor->rank == ports[i].rank);
        volatile uint8_t sum = 0;
        for (size_t k = 0; k < tensor->bytes; k++) {
            sum = (uint8_t)(sum + ((const uint8_t *)tensor->data)[k]);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const FbPort ports[2] = {{"ids", FB_DTYPE_S64, 2, {-1, -2}}, {"image", FB_DTYPE_F32, 4, {-1, 1, -2, 3}}};
    Bytes file = {data, size};
    FbFileHooks hooks = {.user = &file, .open_read = open_bytes, .read_at = read_bytes, .size = size_of_bytes, .close = close_bytes,
                         .kind = kind_of_bytes};
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1, .max_memory = 64 << 20, .files = &hooks};
    for (size_t count = 1; count <= 2; count++) { /* with one input, and with both */
        FbContext *context = NULL;
        FbDataset *dataset = NULL;
        FbError err;
        if (fb_context_create(&options, &context, &err) != FB_OK) {
            return 0;
        }
        if (fb_dataset_open_ports(context, ports, count, "data", NULL, &dataset, &err) == FB_OK) {
            for (size_t i = 0; i < fb_dataset_count(dataset) && i < 20; i++) {
                FbSample sample;
                if (fb_dataset_read(dataset, i, &sample, &err) == FB_OK) {
                    check_sample(&sample, ports, count);
                }
            }
        }
        fb_dataset_free(dataset);
        FUZZ_CHECK(fb_context_memory_now(context) == 0);
        fb_context_free(context);
    }
    return 0;
}
