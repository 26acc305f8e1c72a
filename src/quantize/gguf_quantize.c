/* fb_gguf_quantize: plan, key-values, tensors, report. */
#include <string.h>

#include "base/option_struct.h"
#include "base/text.h"
#include "fewbit/gguf_quantize.h"
#include "io/gguf/hf_model.h"
#include "io/gguf/imatrix.h"
#include "quantize/gguf_plan.h"

enum { QUANTIZATION_VERSION = 2 };

int fb_gguf_preset_known(const char *name) { return fb_gguf_preset_find(name) != NULL; }

const char *fb_gguf_preset_label(const char *name)
{
    static const char *const labels[] = {"F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q2_K_S", "Q3_K_S", "Q3_K_M",
                                         "Q3_K_L", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K", "IQ4_NL", "IQ4_XS", "TQ1_0", "TQ2_0", "MXFP4_MOE"};
    const FbGgufPreset *preset = fb_gguf_preset_find(name);
    return preset != NULL ? labels[preset - fb_gguf_presets] : NULL;
}

static FbStatus find_preset(const char *name, const FbGgufPreset **out, FbError *err)
{
    char shown[80];
    *out = fb_gguf_preset_find(name);
    if (*out != NULL) {
        return FB_OK;
    }
    const char *nearest = fb_gguf_preset_nearest(name);
    return fb_error_set(err, FB_ERR_ARGUMENT, "preset '%s' is unknown%s%s%s; 'fewbit list presets' has them all", fb_escape(name, shown, sizeof shown),
                        nearest != NULL ? "; did you mean '" : "", nearest != NULL ? nearest : "", nearest != NULL ? "'" : "");
}

/* Keys whose values the file gets anew, or that belong to files in several parts. */
static bool is_replaced(const char *key)
{
    if (strncmp(key, "quantize.imatrix.", 17) == 0) {
        return true; /* of an earlier quantization */
    }
    static const char *const keys[] = {"general.quantization_version", "general.file_type", "split.no", "split.count", "split.tensors.count"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (strcmp(key, keys[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* `hf` is NULL for a GGUF file, whose keys are carried. */
static FbStatus put_keys(const FbGgufPlan *plan, const FbCheckpoint *checkpoint, const FbHfModel *hf, FbGgufWriter *writer, FbError *err)
{
    if (hf != NULL) {
        FB_TRY(fb_hf_put_keys(hf, writer, err));
    }
    for (size_t i = 0; i < checkpoint->metadata_count && hf == NULL; i++) {
        if (!is_replaced(checkpoint->metadata[i].key)) {
            FB_TRY(fb_gguf_put_meta(writer, &checkpoint->metadata[i], err));
        }
    }
    FB_TRY(fb_gguf_put_u32(writer, "general.quantization_version", QUANTIZATION_VERSION, err));
    return fb_gguf_put_u32(writer, "general.file_type", plan->preset->file_type, err);
}

/* Where the importance came from, under llama-quantize's keys; of the file the name only, so that the result does not depend on its place. */
static FbStatus put_importance_keys(const FbImatrix *imatrix, const char *path, FbGgufWriter *writer, FbError *err)
{
    const char *slash = strrchr(path, '/');
    char shown[200];
    FB_TRY(fb_gguf_put_text(writer, "quantize.imatrix.file", fb_escape(slash != NULL ? slash + 1 : path, shown, sizeof shown), err));
    if (imatrix->dataset_count > 0) {
        FB_TRY(fb_gguf_put_text(writer, "quantize.imatrix.dataset", fb_escape((const char *)imatrix->datasets[0].data, shown, sizeof shown), err));
    }
    FB_TRY(fb_gguf_put_u32(writer, "quantize.imatrix.entries_count", (uint32_t)imatrix->row_count, err));
    return imatrix->chunks > 0 ? fb_gguf_put_u32(writer, "quantize.imatrix.chunks_count", (uint32_t)imatrix->chunks, err) : FB_OK;
}

static FbStatus put_tensors(const FbGgufPlan *plan, FbGgufWriter *writer, FbError *err)
{
    for (size_t i = 0; i < plan->count; i++) {
        FB_TRY(fb_gguf_put_tensor(writer, plan->choices[i].tensor.name, &plan->choices[i].tensor.shape, plan->choices[i].type, err));
    }
    return FB_OK;
}

/* ---- report ---- */

static FbStatus fill_report(const FbGgufPlan *plan, FbGgufReport *report, FbError *err)
{
    uint64_t bits = 0, elements = 0;
    report->preset = plan->preset->name;
    report->architecture = plan->facts.architecture;
    report->weights = fb_arena_array(plan->arena, plan->count + 1, sizeof *report->weights);
    if (report->weights == NULL) {
        return fb_error_memory(plan->context, err, "a report", plan->count * sizeof *report->weights);
    }
    for (size_t i = 0; i < plan->count; i++) {
        const FbGgufChoice *choice = &plan->choices[i];
        FbGgufWeight *weight = &report->weights[i];
        *weight = (FbGgufWeight){.name = fb_arena_strdup(plan->arena, choice->tensor.name), /* the checkpoint may go before the report */
                                 .rank = choice->tensor.shape.rank, .bytes_before = choice->bytes_before,
                                 .bytes_after = choice->bytes_after, .reason = choice->reason};
        if (weight->name == NULL) {
            return fb_error_memory(plan->context, err, "a report", plan->count * sizeof *report->weights);
        }
        weight->type_before = fb_ggml_type_name(choice->tensor.number);
        weight->type_after = fb_ggml_type_name(choice->type);
        for (int axis = 0; axis < weight->rank && axis < 4; axis++) {
            weight->shape[axis] = choice->tensor.shape.dims[axis];
        }
        report->weight_bytes_before += weight->bytes_before;
        report->weight_bytes_after += weight->bytes_after;
        if (fb_ggml_type_quantized(choice->type)) {
            report->quantized_count++;
            bits += 8 * weight->bytes_after;
            elements += (uint64_t)(fb_gguf_rows(&choice->tensor) * fb_gguf_columns(&choice->tensor));
        }
    }
    report->weight_count = plan->count;
    report->effective_bits = elements > 0 ? (double)bits / (double)elements : 0.0;
    return FB_OK;
}

void fb_gguf_report_free(FbContext *context, FbGgufReport *report)
{
    (void)context;
    if (report->owner != NULL) {
        fb_arena_free(report->owner);
    }
    *report = (FbGgufReport){0};
}

/* ---- all of it ---- */

static FbStatus write_file(const FbGgufPlan *plan, FbGgufWriter *writer, const char *output, const FbGgufOptions *options, FbGgufReport *report,
                           FbError *err)
{
    report->bytes_after = fb_gguf_file_bytes(writer);
    if (options->dry_run) {
        return FB_OK;
    }
    FB_TRY(fb_gguf_start(writer, output, options->overwrite != 0, err));
    FB_TRY(fb_gguf_write_strips(plan, writer, &report->zeroed_blocks, err));
    if (report->zeroed_blocks > 0) {
        fb_log(plan->context, FB_LOG_WARNING, "zeroed-blocks", "%llu blocks have elements so small that their scale is stored as 0",
               (unsigned long long)report->zeroed_blocks);
    }
    return fb_gguf_commit(writer, report->sha256, err);
}

typedef struct FbGgufJob {
    const FbCheckpoint *checkpoint;
    FbHfModel *hf;             /* NULL: a GGUF file */
    FbImatrix *imatrix;        /* NULL: none */
    const char *output;
    const FbGgufOptions *options;
    FbGgufReport *report;
} FbGgufJob;

static FbStatus write_planned(FbGgufPlan *plan, FbGgufJob *job, FbGgufWriter *writer, FbError *err)
{
    FB_TRY(put_keys(plan, job->checkpoint, job->hf, writer, err));
    if (job->imatrix != NULL) {
        FB_TRY(put_importance_keys(job->imatrix, job->options->importance, writer, err));
    }
    if (job->hf != NULL) {
        fb_hf_close(job->hf); /* a vocabulary as JSON is large, and not needed any more */
    }
    FB_TRY(put_tensors(plan, writer, err));
    return write_file(plan, writer, job->output, job->options, job->report, err);
}

static FbStatus plan_and_write(FbGgufPlan *plan, FbGgufJob *job, FbError *err)
{
    FbGgufWriter *writer;
    FB_TRY(fb_gguf_plan_types(plan, job->options, err));
    if (job->options->importance != NULL) {
        FB_TRY(fb_imatrix_read(plan->context, job->options->importance, &job->imatrix, err));
        FB_TRY(fb_gguf_plan_importance(plan, job->imatrix, err));
    }
    FB_TRY(fill_report(plan, job->report, err));
    job->report->bytes_before = job->checkpoint->file_bytes;
    FB_TRY(fb_gguf_writer_create(plan->context, &writer, err));
    FbStatus status = write_planned(plan, job, writer, err);
    fb_gguf_writer_free(writer);
    return status;
}

static FbStatus quantize(FbGgufPlan *plan, FbGgufJob *job, FbError *err)
{
    FbHfModel hf;
    FB_TRY(find_preset(job->options->preset != NULL ? job->options->preset : "q4_k_m", &plan->preset, err));
    if (strcmp(job->checkpoint->format, "gguf") == 0) {
        FB_TRY(fb_gguf_plan_facts(plan, job->checkpoint, err));
        FB_TRY(fb_gguf_plan_tensors(plan, job->checkpoint, err));
        return plan_and_write(plan, job, err);
    }
    if (strcmp(job->checkpoint->format, "safetensors") != 0) { /* llama2.c's: no key of it has a form that a runtime would read */
        char shown[200];
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "%s: GGUF is made from safetensors and GGUF files, not from those of %s",
                            fb_escape(job->checkpoint->path, shown, sizeof shown), job->checkpoint->format);
    }
    FB_TRY(fb_hf_open(&hf, plan->context, plan->arena, job->checkpoint, err));
    plan->facts = hf.facts;
    job->hf = &hf;
    FbStatus status = fb_gguf_plan_mapped(plan, hf.tensors, hf.tensor_count, err);
    status = status == FB_OK ? plan_and_write(plan, job, err) : status;
    fb_hf_close(&hf);
    job->hf = NULL;
    return status;
}

FbStatus fb_gguf_quantize(FbContext *context, const FbCheckpoint *checkpoint, const char *output, const FbGgufOptions *options,
                          FbGgufReport *report, FbError *err)
{
    FbGgufReport unused;
    FbGgufOptions all = {.struct_bytes = sizeof all};
    FbGgufReport *to = report != NULL ? report : &unused;
    *to = (FbGgufReport){.owner = NULL};
    FB_TRY(fb_options_read(&all, sizeof all, options, "FbGgufOptions", err));
    FbGgufPlan plan = {.context = context, .arena = fb_arena_create(context)};
    to->owner = plan.arena;
    if (plan.arena == NULL) {
        return fb_error_memory(context, err, "a plan", 0);
    }
    FbGgufJob job = {.checkpoint = checkpoint, .output = output, .options = &all, .report = to};
    FbStatus status = quantize(&plan, &job, err);
    fb_imatrix_free(job.imatrix);
    if (status != FB_OK || report == NULL) {
        fb_gguf_report_free(context, to);
    }
    return status;
}
