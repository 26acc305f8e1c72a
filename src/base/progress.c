/* Progress of one phase: at most ten reports a second, with an estimate of the time left. */
#include "base/context_private.h"

static void report(FbContext *context, uint64_t done, double now)
{
    double seconds = now - context->phase_start;
    FbProgress progress = {context->phase, done, context->phase_total, seconds, -1.0};
    if (done > 0 && context->phase_total >= done && seconds > 0.2) {
        progress.eta_seconds = seconds * (double)(context->phase_total - done) / (double)done;
    }
    context->phase_reported = now;
    context->progress(context->user, &progress);
}

void fb_progress_begin(FbContext *context, const char *phase, uint64_t total)
{
    if (context->phase_depth++ > 0) {
        return;
    }
    context->phase = phase;
    context->phase_total = total;
    context->phase_start = fb_clock_seconds();
    if (context->progress) {
        report(context, 0, context->phase_start);
    }
}

void fb_progress_step(FbContext *context, uint64_t done)
{
    if (!context->progress || context->phase_depth != 1 || context->job) {
        return; /* inner phases and workers stay quiet */
    }
    double now = fb_clock_seconds();
    if (now - context->phase_reported >= 0.1 || done >= context->phase_total) {
        report(context, done, now);
    }
}

void fb_progress_end(FbContext *context)
{
    if (context->phase_depth > 0 && --context->phase_depth == 0) {
        context->phase = NULL;
    }
}
