/* Runs a model on raw tensors, for judges: run_model MODEL OUT_PREFIX [--threads N] [--isa NAME] [--mode float|simulated] [--repeat N]
 * [--profile] INPUT=DTYPE:DIMS:FILE... Writes OUT_PREFIX.<k>.bin and prints one line per output: name dtype dims bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fewbit/fewbit.h"
#include "run/plan.h"

enum { ARGUMENTS_MAX = 32 };

typedef struct Settings {
    FbContextOptions context;
    FbMode mode;
    int repeat;
    int profile;
    const char *feeds[ARGUMENTS_MAX];
    size_t feed_count;
} Settings;

/* Calls of the allocator, to tell whether later runs allocate. */
static void *count_allocate(void *user, size_t bytes)
{
    ++*(size_t *)user;
    return malloc(bytes);
}

static void count_release(void *user, void *pointer, size_t bytes)
{
    (void)bytes;
    ++*(size_t *)user;
    free(pointer);
}

static int fail(const FbError *err)
{
    fprintf(stderr, "run_model: %s: %s\n", fb_status_name(err->status), err->message);
    return fb_status_exit_code(err->status);
}

static int read_settings(int argc, char **argv, Settings *settings)
{
    *settings = (Settings){.context = {.struct_bytes = sizeof(FbContextOptions), .threads = 1}, .mode = FB_MODE_SIMULATED, .repeat = 1};
    for (int i = 3; i < argc; i++) {
        if (strcmp(argv[i], "--profile") == 0) {
            settings->profile = 1;
        } else if (strncmp(argv[i], "--", 2) != 0 && settings->feed_count < ARGUMENTS_MAX) {
            settings->feeds[settings->feed_count++] = argv[i];
        } else if (i + 1 >= argc) {
            return 2;
        } else if (strcmp(argv[i], "--threads") == 0) {
            settings->context.threads = atoi(argv[++i]);
        } else if (strcmp(argv[i], "--isa") == 0) {
            settings->context.isa = argv[++i];
        } else if (strcmp(argv[i], "--repeat") == 0) {
            settings->repeat = atoi(argv[++i]);
        } else if (strcmp(argv[i], "--memory") == 0) {
            settings->context.max_memory = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--mode") == 0) {
            const char *mode = argv[++i];
            settings->mode = strcmp(mode, "float") == 0 ? FB_MODE_FLOAT : strcmp(mode, "integer") == 0 ? FB_MODE_INTEGER : FB_MODE_SIMULATED;
        } else {
            return 2;
        }
    }
    return 0;
}

/* NAME=DTYPE:2x3:FILE into a tensor; the data is malloc'ed. */
static int read_feed(const char *feed, const FbModel *model, FbTensor *tensors)
{
    const char *equals = strchr(feed, '=');
    if (equals == NULL) {
        return 2;
    }
    size_t index = 0, length = (size_t)(equals - feed);
    while (index < fb_model_input_count(model)) {
        const char *name = fb_model_input(model, index).name;
        if (strlen(name) == length && strncmp(name, feed, length) == 0) {
            break;
        }
        index++;
    }
    char *at;
    FbTensor *tensor = &tensors[index];
    if (index == fb_model_input_count(model)) {
        fprintf(stderr, "run_model: no input for '%s'\n", feed);
        return 2;
    }
    tensor->dtype = (FbDtype)strtol(equals + 1, &at, 10);
    while (*at != '\0' && at[1] != ':' && tensor->rank < FB_RANK_MAX && (*at == 'x' || tensor->rank == 0)) {
        tensor->dims[tensor->rank++] = strtoll(at + 1, &at, 10);
    }
    const char *path = strrchr(feed, ':') + 1;
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return 5;
    }
    fseek(file, 0, SEEK_END);
    tensor->bytes = (size_t)ftell(file);
    rewind(file);
    tensor->data = malloc(tensor->bytes + 1);
    int ok = tensor->data != NULL && fread(tensor->data, 1, tensor->bytes, file) == tensor->bytes;
    fclose(file);
    return ok ? 0 : 5;
}

static int write_outputs(const FbModel *model, const FbTensor *outputs, const char *prefix)
{
    for (size_t o = 0; o < fb_model_output_count(model); o++) {
        char path[4096];
        snprintf(path, sizeof path, "%s.%zu.bin", prefix, o);
        FILE *file = fopen(path, "wb");
        if (file == NULL || fwrite(outputs[o].data, 1, outputs[o].bytes, file) != outputs[o].bytes || fclose(file) != 0) {
            perror(path);
            return 5;
        }
        printf("%s %d ", fb_model_output(model, o).name, (int)outputs[o].dtype);
        for (int d = 0; d < outputs[o].rank; d++) {
            printf("%s%lld", d > 0 ? "x" : "", (long long)outputs[o].dims[d]);
        }
        printf(" %zu\n", outputs[o].bytes);
    }
    return 0;
}

static double seconds_now(void)
{
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void print_profile(const FbInstance *instance)
{
    FbStepInfo profile;
    for (size_t s = 0; fb_instance_step(instance, s, &profile); s++) {
        fprintf(stderr, "%9.3f ms %7.2f GMAC/s  %-20s %-18s %s\n", 1e3 * profile.seconds,
                profile.seconds > 0 ? 1e-9 * (double)profile.macs / profile.seconds : 0.0, profile.type, profile.kernel, profile.name);
    }
}

static int run(FbContext *context, const FbModel *model, const Settings *settings, const char *prefix, const size_t *calls)
{
    size_t calls_before = 0;
    FbError err = {FB_OK, ""};
    FbTensor inputs[ARGUMENTS_MAX] = {{0}}, outputs[ARGUMENTS_MAX];
    FbSession *session = NULL;
    FbSessionOptions options = {.struct_bytes = sizeof options, .mode = settings->mode};
    size_t input_count = fb_model_input_count(model), output_count = fb_model_output_count(model);
    int code = input_count > ARGUMENTS_MAX || output_count > ARGUMENTS_MAX ? 4 : 0;
    for (size_t f = 0; code == 0 && f < settings->feed_count; f++) {
        code = read_feed(settings->feeds[f], model, inputs);
    }
    double start = seconds_now(), best = 1e30, first = 0.0;
    if (code == 0 && fb_session_create(context, model, &options, &session, &err) != FB_OK) {
        code = fail(&err);
    }
    double create = seconds_now() - start;
    if (session != NULL) {
        fb_instance_profile(fb_session_instance(session), settings->profile);
    }
    for (int r = 0; code == 0 && r < settings->repeat; r++) {
        start = seconds_now();
        if (fb_session_run(session, inputs, input_count, outputs, output_count, &err) != FB_OK) {
            code = fail(&err);
        }
        double seconds = seconds_now() - start;
        calls_before = r == 0 ? *calls : calls_before;
        first = r == 0 ? seconds : first;
        best = seconds < best ? seconds : best;
    }
    if (code == 0) {
        code = write_outputs(model, outputs, prefix);
        fprintf(stderr, "create %.3f s, first %.3f ms, best %.3f ms, peak %.1f MB, now %.1f MB, isa %s, %zu allocator calls after the first run\n", create, 1e3 * first, 1e3 * best,
                1e-6 * (double)fb_context_memory_peak(context), 1e-6 * (double)fb_context_memory_now(context), fb_context_isa(context),
                *calls - calls_before);
        if (settings->profile) {
            print_profile(fb_session_instance(session));
        }
    }
    fb_session_free(session);
    for (size_t i = 0; i < ARGUMENTS_MAX; i++) {
        free(inputs[i].data);
    }
    return code;
}

int main(int argc, char **argv)
{
    Settings settings;
    if (argc < 3 || read_settings(argc, argv, &settings) != 0) {
        fprintf(stderr, "usage: run_model MODEL OUT_PREFIX [options] INPUT=DTYPE:DIMS:FILE...\n");
        return 2;
    }
    size_t calls = 0;
    FbAllocator allocator = {&calls, count_allocate, count_release};
    settings.context.allocator = &allocator;
    FbContext *context = NULL;
    FbModel *model = NULL;
    FbError err = {FB_OK, ""};
    if (fb_context_create(&settings.context, &context, &err) != FB_OK) {
        return fail(&err);
    }
    int code = fb_model_load(context, argv[1], &model, &err) == FB_OK ? run(context, model, &settings, argv[2], &calls) : fail(&err);
    fb_model_free(model);
    fb_context_free(context);
    return code;
}
