/* Steps of a session: collected once as JSON, from which the tables are made. */
#include "step_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console.h"

enum { STEPS_SHOWN = 25 };

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static double number_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static json_t *value_json(const FbTensor *value)
{
    if (value->rank < 0) {
        return json_null();
    }
    json_t *shape = json_array();
    for (int i = 0; i < value->rank; i++) {
        json_array_append_new(shape, json_integer(value->dims[i]));
    }
    return json_pack("{s:s, s:o}", "type", fb_dtype_name(value->dtype), "shape", shape);
}

/* A name from a file need not be UTF-8. */
static json_t *name_json(const char *name)
{
    json_t *json = json_string(name);
    return json ? json : json_string(cli_shown(name));
}

static json_t *step_json(const FbStepInfo *info, const FbHardwarePeaks *peaks)
{
    json_t *step = json_object();
    json_object_set_new(step, "name", name_json(info->name));
    json_object_set_new(step, "type", json_string(info->type));
    json_object_set_new(step, "fused", json_string(info->fused));
    json_object_set_new(step, "kernel", json_string(info->kernel));
    json_object_set_new(step, "isa", json_string(info->isa));
    json_object_set_new(step, "integer", json_boolean(info->integer));
    json_object_set_new(step, "reason", json_string(info->reason));
    json_object_set_new(step, "input", value_json(&info->input));
    json_object_set_new(step, "output", value_json(&info->output));
    json_object_set_new(step, "macs", json_integer((json_int_t)info->macs));
    json_object_set_new(step, "weight", json_string(info->weight));
    json_object_set_new(step, "weight_bytes", json_integer((json_int_t)info->weight_bytes));
    json_object_set_new(step, "input_bytes", json_integer((json_int_t)info->input_bytes));
    json_object_set_new(step, "output_bytes", json_integer((json_int_t)info->output_bytes));
    if (peaks) {
        double peak = info->integer ? peaks->u8s8_macs : peaks->f32_macs;
        json_object_set_new(step, "seconds", json_real(info->seconds));
        json_object_set_new(step, "peak_fraction", info->macs && info->seconds > 0 && peak > 0 ? json_real((double)info->macs / info->seconds / peak) : json_null());
    }
    return step;
}

static void add_to(json_t *object, const char *key, double amount)
{
    json_t *now = json_object_get(object, key);
    if (json_is_real(now)) {
        json_real_set(now, json_real_value(now) + amount);
    } else {
        json_integer_set(now, json_integer_value(now) + (json_int_t)amount);
    }
}

/* The group of that name, made when it is new. */
static json_t *group_of(json_t *groups, const char *key, const char *name, int profiled)
{
    size_t i;
    json_t *group;
    json_array_foreach(groups, i, group)
    {
        if (strcmp(text_of(group, key), name) == 0) {
            return group;
        }
    }
    group = json_pack("{s:s, s:i, s:i, s:i}", key, name, "steps", 0, "integer_steps", 0, "macs", 0);
    if (profiled) {
        json_object_set_new(group, "seconds", json_real(0));
    }
    json_array_append_new(groups, group);
    return group;
}

static void count_step(json_t *group, const FbStepInfo *info, int profiled)
{
    add_to(group, "steps", 1);
    add_to(group, "integer_steps", info->integer);
    add_to(group, "macs", (double)info->macs);
    if (profiled) {
        add_to(group, "seconds", info->seconds);
    }
}

json_t *cli_steps_json(const FbSession *session, const FbHardwarePeaks *peaks)
{
    const int profiled = peaks != NULL;
    json_t *steps = json_array(), *operators = json_array(), *reasons = json_array();
    json_t *totals = json_pack("{s:i, s:i, s:i, s:i, s:i, s:i}", "steps", 0, "integer_steps", 0, "macs", 0, "integer_macs", 0, "weight_bytes", 0,
                               "activation_bytes", 0);
    if (profiled) {
        json_object_set_new(totals, "seconds", json_real(0));
    }
    FbStepInfo info;
    for (size_t i = 0; fb_session_step(session, i, &info); i++) {
        json_array_append_new(steps, step_json(&info, peaks));
        count_step(totals, &info, profiled);
        add_to(totals, "integer_macs", info.integer ? (double)info.macs : 0);
        add_to(totals, "weight_bytes", (double)info.weight_bytes);
        add_to(totals, "activation_bytes", (double)(info.input_bytes + info.output_bytes));
        count_step(group_of(operators, "type", info.type, profiled), &info, profiled);
        if (info.reason[0]) {
            count_step(group_of(reasons, "reason", info.reason, profiled), &info, profiled);
        }
    }
    return json_pack("{s:o, s:o, s:o, s:o}", "steps", steps, "totals", totals, "operators", operators, "reasons", reasons);
}

/* ---- tables ---- */

static int make_table(Cli *cli, const FbColumn *columns, size_t count, FbTable **table)
{
    FbError err;
    return fb_table_create(cli->context, columns, count, table, &err) == FB_OK ? 0 : cli_error(cli, &err);
}

static void value_text(const json_t *value, char *out, size_t bytes)
{
    size_t used = 0, i;
    json_t *dim;
    int length = snprintf(out, bytes, "%s%s", text_of(value, "type"), json_is_null(value) ? "-" : " ");
    used = length > 0 ? (size_t)length : 0;
    json_array_foreach(json_object_get(value, "shape"), i, dim)
    {
        length = used < bytes ? snprintf(out + used, bytes - used, i ? "x%lld" : "%lld", (long long)json_integer_value(dim)) : 0;
        used += length > 0 ? (size_t)length : 0;
    }
}

/* Masks and indices are neither codes nor floats. */
static const char *runs_on(const json_t *step)
{
    const char *type = text_of(json_object_get(step, "output"), "type");
    return json_is_true(json_object_get(step, "integer")) ? "integers" : strchr(type, 'f') || strcmp(text_of(step, "type"), "to codes") == 0 ? "float" : "other";
}

static void operator_text(const json_t *step, char *out, size_t bytes)
{
    const char *fused = text_of(step, "fused");
    snprintf(out, bytes, "%s%s%s", text_of(step, "type"), fused[0] ? " + " : "", fused);
}

/* "1,234", or plain digits for a program; in one of a few static buffers. */
static const char *count_text(const Cli *cli, double number)
{
    static char buffers[8][32];
    static unsigned next;
    if (cli->options.format != CLI_FORMAT_CSV) {
        return cli_grouped((uint64_t)number);
    }
    char *out = buffers[next++ % 8];
    snprintf(out, sizeof buffers[0], "%.0f", number);
    return out;
}

static const char *grouped(const Cli *cli, const json_t *object, const char *key)
{
    return count_text(cli, number_of(object, key));
}

static int print_plan_steps(Cli *cli, const json_t *steps)
{
    static const FbColumn columns[] = {{"step", 1},  {"operator", 0}, {"name", 0},   {"runs on", 0},    {"kernel", 0}, {"row", 0},
                                       {"input", 0}, {"output", 0},   {"MACs", 1}, {"weight", 0}, {"weight bytes", 1}, {"in and out bytes", 1},
                                       {"why not integers", 0}};
    FbTable *table = NULL;
    int exit_code = make_table(cli, columns, sizeof columns / sizeof columns[0], &table);
    size_t i;
    json_t *step;
    json_array_foreach(json_object_get(steps, "steps"), i, step)
    {
        char number[24], type[160], input[160], output[160];
        if (exit_code) {
            break;
        }
        snprintf(number, sizeof number, "%zu", i + 1);
        operator_text(step, type, sizeof type);
        value_text(json_object_get(step, "input"), input, sizeof input);
        value_text(json_object_get(step, "output"), output, sizeof output);
        fb_table_add(table, (const char *const[]){number, type, text_of(step, "name"), runs_on(step),
                                                  text_of(step, "kernel"), text_of(step, "isa"), input, output, grouped(cli, step, "macs"),
                                                  text_of(step, "weight"), grouped(cli, step, "weight_bytes"),
                                                  count_text(cli, number_of(step, "input_bytes") + number_of(step, "output_bytes")),
                                                  text_of(step, "reason")});
    }
    exit_code = exit_code ? exit_code : cli_table(cli, table, NULL, 1);
    fb_table_free(table);
    return exit_code;
}

static int print_reasons(Cli *cli, const json_t *reasons)
{
    static const FbColumn columns[] = {{"why not integers", 0}, {"steps", 1}, {"MACs", 1}};
    FbTable *table = NULL;
    int exit_code = json_array_size(reasons) ? make_table(cli, columns, 3, &table) : 0;
    size_t i;
    json_t *group;
    json_array_foreach(reasons, i, group)
    {
        if (table) {
            fb_table_add(table, (const char *const[]){text_of(group, "reason"), grouped(cli, group, "steps"), grouped(cli, group, "macs")});
        }
    }
    exit_code = table ? cli_table(cli, table, NULL, 0) : exit_code;
    fb_table_free(table);
    return exit_code;
}

int cli_print_plan(Cli *cli, const json_t *steps)
{
    const json_t *totals = json_object_get(steps, "totals");
    double macs = number_of(totals, "macs"), integer = number_of(totals, "integer_macs");
    int exit_code = print_plan_steps(cli, steps);
    exit_code = exit_code ? exit_code : print_reasons(cli, json_object_get(steps, "reasons"));
    if (!exit_code) {
        cli_line(cli, "\n%s of %s steps on integers, %s of %s multiply-accumulates (%.1f %%)", grouped(cli, totals, "integer_steps"), grouped(cli, totals, "steps"),
                 grouped(cli, totals, "integer_macs"), grouped(cli, totals, "macs"), macs > 0 ? 100 * integer / macs : 0.0);
        cli_line(cli, "weights %s, values written and read %s", cli_bytes((uint64_t)number_of(totals, "weight_bytes")),
                 cli_bytes((uint64_t)number_of(totals, "activation_bytes")));
    }
    return exit_code;
}

typedef struct Timed {
    const json_t *json;
    double seconds;
    size_t index;
} Timed;

static int by_seconds(const void *left, const void *right)
{
    const Timed *a = left, *b = right;
    return a->seconds != b->seconds ? (a->seconds < b->seconds ? 1 : -1) : a->index < b->index ? -1 : 1;
}

/* The slowest first; NULL without memory. */
static Timed *sorted(const json_t *list)
{
    size_t i;
    json_t *json;
    Timed *timed = calloc(json_array_size(list) + 1, sizeof *timed);
    json_array_foreach(list, i, json)
    {
        if (timed) {
            timed[i] = (Timed){json, number_of(json, "seconds"), i};
        }
    }
    if (timed) {
        qsort(timed, json_array_size(list), sizeof *timed, by_seconds);
    }
    return timed;
}

static void rate_text(const json_t *json, char out[32])
{
    double seconds = number_of(json, "seconds"), macs = number_of(json, "macs");
    snprintf(out, 32, macs > 0 && seconds > 0 ? "%.1f" : "-", seconds > 0 ? 1e-9 * macs / seconds : 0.0);
}

static double step_bytes(const json_t *step)
{
    return number_of(step, "weight_bytes") + number_of(step, "input_bytes") + number_of(step, "output_bytes");
}

static int print_slowest(Cli *cli, const json_t *steps, const char *title)
{
    static const FbColumn columns[] = {{"operator", 0}, {"name", 0}, {"runs on", 0}, {"kernel", 0}, {"row", 0}, {"MACs", 1}, {"ms", 1}, {"share %", 1},
                                       {"sum %", 1}, {"GMAC/s", 1}, {"peak %", 1}, {"GB/s", 1}};
    const json_t *list = json_object_get(steps, "steps");
    double all = number_of(json_object_get(steps, "totals"), "seconds"), sum = 0;
    size_t count = json_array_size(list), shown = cli->options.format == CLI_FORMAT_CSV || count < STEPS_SHOWN ? count : STEPS_SHOWN;
    char head[400];
    Timed *timed = sorted(list);
    FbTable *table = NULL;
    if (!timed) {
        return cli_error(cli, &(FbError){FB_ERR_NO_MEMORY, "out of memory: a table"});
    }
    int exit_code = make_table(cli, columns, 12, &table);
    for (size_t i = 0; i < shown && !exit_code; i++) {
        const json_t *step = timed[i].json;
        const json_t *fraction = json_object_get(step, "peak_fraction");
        char type[160], ms[32], share[32], cumulative[32], rate[32], peak[32], bytes[32];
        sum += timed[i].seconds;
        operator_text(step, type, sizeof type);
        snprintf(ms, sizeof ms, "%.3f", 1e3 * timed[i].seconds);
        snprintf(share, sizeof share, "%.1f", all > 0 ? 100 * timed[i].seconds / all : 0.0);
        snprintf(cumulative, sizeof cumulative, "%.1f", all > 0 ? 100 * sum / all : 0.0);
        rate_text(step, rate);
        snprintf(peak, sizeof peak, json_is_real(fraction) ? "%.0f" : "-", 100 * json_real_value(fraction));
        snprintf(bytes, sizeof bytes, "%.1f", timed[i].seconds > 0 ? 1e-9 * step_bytes(step) / timed[i].seconds : 0.0);
        fb_table_add(table, (const char *const[]){type, text_of(step, "name"), runs_on(step),
                                                  text_of(step, "kernel"), text_of(step, "isa"), grouped(cli, step, "macs"), ms, share, cumulative, rate,
                                                  peak, bytes});
    }
    snprintf(head, sizeof head, shown < count ? "%s (%zu slowest of %zu steps; --format csv lists all)" : "%s (%zu steps)", title, shown, count);
    exit_code = exit_code ? exit_code : cli_table(cli, table, head, 1);
    fb_table_free(table);
    free(timed);
    return exit_code;
}

static int print_operators(Cli *cli, const json_t *steps)
{
    static const FbColumn columns[] = {{"operator", 0}, {"steps", 1}, {"on integers", 1}, {"MACs", 1}, {"ms", 1}, {"share %", 1}, {"GMAC/s", 1}};
    const json_t *list = json_object_get(steps, "operators");
    double all = number_of(json_object_get(steps, "totals"), "seconds");
    Timed *timed = sorted(list);
    FbTable *table = NULL;
    if (!timed) {
        return cli_error(cli, &(FbError){FB_ERR_NO_MEMORY, "out of memory: a table"});
    }
    int exit_code = make_table(cli, columns, 7, &table);
    for (size_t i = 0; i < json_array_size(list) && !exit_code; i++) {
        const json_t *group = timed[i].json;
        char ms[32], share[32], rate[32];
        snprintf(ms, sizeof ms, "%.3f", 1e3 * timed[i].seconds);
        snprintf(share, sizeof share, "%.1f", all > 0 ? 100 * timed[i].seconds / all : 0.0);
        rate_text(group, rate);
        fb_table_add(table, (const char *const[]){text_of(group, "type"), grouped(cli, group, "steps"), grouped(cli, group, "integer_steps"), grouped(cli, group, "macs"), ms,
                                                  share, rate});
    }
    exit_code = exit_code ? exit_code : cli_table(cli, table, NULL, 0);
    fb_table_free(table);
    free(timed);
    return exit_code;
}

int cli_print_profile(Cli *cli, const json_t *steps, const char *title)
{
    int exit_code = print_slowest(cli, steps, title);
    return exit_code ? exit_code : print_operators(cli, steps);
}
