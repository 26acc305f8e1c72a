/* fewbit inspect --plan: one run decides every shape, also those that depend on data, and tells its steps. */
#include "inspect_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_inputs.h"
#include "console.h"
#include "fewbit/generate.h"
#include "fewbit/language.h"
#include "options.h"
#include "step_list.h"

static json_t *steps_of(Cli *cli, const FbSession *session, FbMode mode)
{
    json_t *plan = cli_steps_json(session, NULL);
    json_object_set_new(plan, "mode", json_string(cli_mode_name(mode)));
    json_object_set_new(plan, "isa", json_string(fb_context_isa(cli->context)));
    return plan;
}

json_t *cli_plan_graph(Cli *cli, const FbModel *model, int *exit_code)
{
    FbSessionOptions options = {.struct_bytes = sizeof options, .mode = cli_mode(cli, FB_MODE_INTEGER)};
    FbSession *session = NULL;
    BenchInputs inputs = {0};
    FbError err;
    json_t *plan = NULL;
    size_t count = fb_model_output_count(model);
    FbTensor *outputs = calloc(count + 1, sizeof *outputs);
    *exit_code = cli_bench_inputs(cli, model, 0, &inputs);
    if (!*exit_code && (!outputs || fb_session_create(cli->context, model, &options, &session, &err) != FB_OK ||
                        fb_session_run(session, inputs.tensors, inputs.count, outputs, count, &err) != FB_OK)) {
        *exit_code = cli_error(cli, outputs ? &err : &(FbError){FB_ERR_NO_MEMORY, "out of memory: the outputs"});
    } else if (!*exit_code) {
        plan = steps_of(cli, session, options.mode);
    }
    fb_session_free(session);
    cli_bench_inputs_free(&inputs);
    free(outputs);
    return plan;
}

int cli_plan_tokens(Cli *cli, int64_t *tokens)
{
    static const char name[] = "input_ids=";
    const CliList *shapes = &cli->options.shapes;
    *tokens = 1;
    for (size_t i = 0; i < shapes->count; i++) {
        const char *text = shapes->items[i];
        char *end = NULL;
        long long number = strncmp(text, name, sizeof name - 1) == 0 ? strtoll(text + sizeof name - 1, &end, 10) : 0;
        if (number < 1 || number > INT32_MAX || *end != '\0') {
            return cli_usage(cli, "--shape of a language model is input_ids=N, the tokens of a run; not '%s'", cli_shown(text));
        }
        *tokens = number;
    }
    return 0;
}

json_t *cli_plan_language(Cli *cli, const FbModel *model, int64_t tokens, int *exit_code)
{
    const uint64_t seed = (uint64_t)cli->options.seed, vocabulary = (uint64_t)fb_language_info(model)->vocabulary;
    FbGeneratorOptions options = {.struct_bytes = sizeof options, .mode = cli_mode(cli, FB_MODE_INTEGER), .context = (uint64_t)tokens + 1,
                                  .chunk = (int32_t)tokens};
    FbGenerator *generator = NULL;
    FbError err = {FB_ERR_NO_MEMORY, "out of memory: token ids"};
    json_t *plan = NULL;
    int32_t next, *ids = calloc((size_t)tokens, sizeof *ids);
    FbStatus status = ids ? fb_generator_create(cli->context, model, &options, &generator, &err) : FB_ERR_NO_MEMORY;
    for (int64_t i = 0; ids && i < tokens; i++) {
        ids[i] = (int32_t)((seed + 1 + 7919 * (uint64_t)i) % vocabulary);
    }
    status = status == FB_OK ? fb_generator_feed(generator, 0, ids, (size_t)tokens, &err) : status;
    status = status == FB_OK ? fb_generator_step(generator, &next, &err) : status;
    if (status == FB_OK) {
        plan = steps_of(cli, fb_generator_session(generator), options.mode);
        json_object_set_new(plan, "tokens", json_integer(tokens));
    } else {
        *exit_code = cli_error(cli, &err);
    }
    fb_generator_free(generator);
    free(ids);
    return plan;
}
