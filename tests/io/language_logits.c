/* Prints the graph's facts, and writes the logits of all tokens of a prompt: language_logits MODEL TOKENS [OUT SPLIT [CONTEXT]].
 * TOKENS: a file of decimal ids. OUT: float32 [tokens, vocabulary]. SPLIT: tokens of the first run; the rest, if any, goes into a second run of the
 * same sequence. CONTEXT: positions of the tables. */
#include <stdio.h>
#include <stdlib.h>

#include "fewbit/fewbit.h"

enum { TOKENS_MAX = 4096 };

typedef struct Job {
    FbContext *context;
    FbModel *model;
    FbSession *session;
    int64_t ids[TOKENS_MAX];
    size_t count;
    FILE *out;
} Job;

static int fail(const FbError *err)
{
    fprintf(stderr, "language_logits: %s\n", err->message);
    return err->status == FB_ERR_UNSUPPORTED ? 4 : 1;
}

static FbStatus run_part(Job *job, size_t first, size_t count, FbError *err)
{
    int64_t positions[TOKENS_MAX], sequences[TOKENS_MAX] = {0}, rows[TOKENS_MAX];
    int64_t *data[] = {job->ids + first, positions, sequences, rows};
    FbTensor inputs[4], logits;
    for (size_t i = 0; i < count; i++) {
        positions[i] = (int64_t)(first + i);
        rows[i] = (int64_t)i;
    }
    for (size_t i = 0; i < 4; i++) {
        inputs[i] = (FbTensor){.dtype = FB_DTYPE_S64, .rank = 1, .dims = {(int64_t)count}, .data = data[i], .bytes = count * sizeof *data[i]};
    }
    FbStatus status = fb_session_run(job->session, inputs, 4, &logits, 1, err);
    if (status == FB_OK && fwrite(logits.data, 1, logits.bytes, job->out) != logits.bytes) {
        err->status = status = FB_ERR_IO;
        snprintf(err->message, sizeof err->message, "cannot write");
    }
    return status;
}

static FbStatus build(Job *job, const char *path, int64_t context, FbError *err)
{
    FbCheckpoint *checkpoint = NULL;
    FbLanguageOptions options = {.struct_bytes = sizeof options, .context = context};
    FbStatus status = fb_checkpoint_open(job->context, path, &checkpoint, err);
    if (status == FB_OK) {
        status = fb_language_build(job->context, checkpoint, &options, &job->model, err);
        fb_checkpoint_free(checkpoint);
    }
    return status;
}

static void read_tokens(Job *job, const char *path)
{
    FILE *file = fopen(path, "r");
    long long id;
    while (file != NULL && job->count < TOKENS_MAX && fscanf(file, "%lld", &id) == 1) {
        job->ids[job->count++] = id;
    }
    if (file != NULL) {
        fclose(file);
    }
}

static int run(Job *job, char **argv, int argc)
{
    FbError err = {FB_OK, ""};
    FbStatus status = build(job, argv[1], argc > 5 ? atoll(argv[5]) : 0, &err);
    if (status != FB_OK) {
        return fail(&err);
    }
    const FbLanguageInfo *info = fb_language_info(job->model);
    printf("%s %s layers=%lld vocabulary=%lld hidden=%lld positions=%lld\n", info->architecture, info->family, (long long)info->layers,
           (long long)info->vocabulary, (long long)info->hidden, (long long)info->positions);
    if (argc < 5) {
        return 0;
    }
    read_tokens(job, argv[2]);
    job->out = fopen(argv[3], "wb");
    size_t split = strtoul(argv[4], NULL, 10);
    FbSessionOptions options = {.struct_bytes = sizeof options, .mode = FB_MODE_FLOAT};
    status = job->out == NULL ? FB_ERR_IO : fb_session_create(job->context, job->model, &options, &job->session, &err);
    if (status == FB_OK) {
        status = run_part(job, 0, split < job->count ? split : job->count, &err);
    }
    if (status == FB_OK && split < job->count) {
        status = run_part(job, split, job->count - split, &err);
    }
    if (job->out != NULL && fclose(job->out) != 0) {
        status = FB_ERR_IO;
    }
    return status == FB_OK ? 0 : fail(&err);
}

int main(int argc, char **argv)
{
    static Job job;
    if (argc < 2 || fb_context_create(&(FbContextOptions){.struct_bytes = sizeof(FbContextOptions), .threads = 2}, &job.context, NULL) != FB_OK) {
        fprintf(stderr, "usage: language_logits MODEL [TOKENS OUT SPLIT [CONTEXT]]\n");
        return 2;
    }
    int code = run(&job, argv, argc);
    fb_session_free(job.session);
    fb_model_free(job.model);
    fb_context_free(job.context);
    return code;
}
