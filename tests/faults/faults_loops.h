/* A job with every single allocation and file operation failing once: an error that says so, no leak, no output. */
#ifndef FAULTS_LOOPS_H
#define FAULTS_LOOPS_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "faults/faults.h"

typedef struct FaultsJob {
    FbStatus (*run)(FbContext *context, FbError *err);
    const char *output; /* the file it writes */
} FaultsJob;

/* The job, with its faults; afterwards nothing is left of it but a complete output, which is removed. */
static inline FbStatus faults_run(const FaultsJob *job, Faults *faults, FbError *err)
{
    FbContext *context;
    *err = (FbError){0};
    FbStatus status = faults_context(faults, &context, err);
    if (status == FB_OK) {
        status = job->run(context, err);
    }
    fb_context_free(context);
    assert_int_equal(faults->live_bytes, 0);
    assert_true(status == FB_OK || (err->status == status && err->message[0] != '\0' && status != FB_ERR_INTERNAL));
    assert_true((access(job->output, F_OK) == 0) == (status == FB_OK) || status == FB_ERR_IO); /* a sync after the rename may fail */
    remove(job->output);
    return status;
}

static inline Faults faults_count(const FaultsJob *job)
{
    FbError err;
    Faults count = {0};
    assert_int_equal(faults_run(job, &count, &err), FB_OK);
    assert_true(count.allocations > 50 && count.operations > 20);
    return count;
}

static inline void faults_expect(const FaultsJob *job, Faults *faults, FbStatus wanted, const char *what, uint64_t k, uint64_t total)
{
    FbError err;
    FbStatus status = faults_run(job, faults, &err);
    if (status != wanted) {
        fail_msg("%s %llu of %llu failed: status %d (%s)", what, (unsigned long long)k, (unsigned long long)total, status, err.message);
    }
}

static inline void faults_in_allocations(const FaultsJob *job)
{
    const uint64_t total = faults_count(job).allocations;
    for (int persistent = 0; persistent < 2; persistent++) {
        for (uint64_t k = 1; k <= total; k++) {
            Faults faults = {.allocation_fails_at = k, .persistent = persistent};
            faults_expect(job, &faults, FB_ERR_NO_MEMORY, "allocation", k, total);
        }
    }
}

/* Each file operation fails once with EIO, and with ENOSPC so that all after it fail, too: a disk stays full. */
static inline void faults_in_files(const FaultsJob *job)
{
    static const int errors[] = {EIO, ENOSPC};
    const uint64_t total = faults_count(job).operations;
    for (int persistent = 0; persistent < 2; persistent++) {
        for (uint64_t k = 1; k <= total; k++) {
            Faults faults = {.operation_fails_at = k, .error = errors[persistent], .persistent = persistent};
            faults_expect(job, &faults, FB_ERR_IO, "file operation", k, total);
        }
    }
}

#endif
