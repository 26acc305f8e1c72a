/* Importance matrices in both forms: of an accepted one every mean is a finite number >= 0 or a quotient of such, the same of it added to
 * itself, and all memory comes back. */
#include <math.h>

#include "fuzz.h"
#include "io/gguf/imatrix.h"

static void use(FbContext *context, const FbImatrix *imatrix)
{
    for (size_t i = 0; i < imatrix->row_count; i++) {
        const FbImatrixRow *row = &imatrix->rows[i];
        FUZZ_CHECK(fb_imatrix_find(imatrix, row->name) == row && row->columns > 0 && row->matrices > 0);
        float *means = fb_alloc_array(context, row->columns * row->matrices, sizeof *means);
        if (means == NULL) {
            continue;
        }
        fb_imatrix_means(row, means);
        for (size_t j = 0; j < row->columns * row->matrices; j++) {
            FUZZ_CHECK(!isnan(means[j]) && means[j] >= 0.0f);
        }
        fb_free(context, means);
    }
}

static void add_to_itself(FbContext *context, const FbImatrix *imatrix)
{
    FbImatrix *sum;
    if (fb_imatrix_create(context, &sum, NULL) != FB_OK) {
        return;
    }
    if (fb_imatrix_merge(sum, imatrix, 512, NULL) == FB_OK && fb_imatrix_merge(sum, imatrix, 512, NULL) == FB_OK) {
        FUZZ_CHECK(sum->row_count == imatrix->row_count && sum->dataset_count == 2 * imatrix->dataset_count && !sum->counts_chunks);
        use(context, sum);
    }
    fb_imatrix_free(sum);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1, .max_memory = 64 << 20};
    FbContext *context = NULL;
    FbSource *source = NULL;
    FbImatrix *imatrix = NULL;
    if (fb_context_create(&options, &context, NULL) != FB_OK) {
        return 0;
    }
    if (fb_source_from_memory(context, data, size, &source, NULL) == FB_OK &&
        fb_imatrix_read_source(context, source, "m.imatrix", &imatrix, NULL) == FB_OK) {
        use(context, imatrix);
        add_to_itself(context, imatrix);
    }
    fb_imatrix_free(imatrix);
    fb_source_release(source);
    FUZZ_CHECK(fb_context_memory_now(context) == 0);
    fb_context_free(context);
    return 0;
}
