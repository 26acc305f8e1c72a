/* What a call reports: a status for the program, a message for the person. */
#ifndef FEWBIT_STATUS_H
#define FEWBIT_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define FB_MUST_CHECK __attribute__((warn_unused_result))
#define FB_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))
#else
#define FB_MUST_CHECK
#define FB_PRINTF(format_index, first)
#endif

/* On ELF everything is hidden unless it is part of this interface. */
#if defined(__GNUC__)
#define FB_API __attribute__((visibility("default")))
#else
#define FB_API
#endif

typedef enum FbStatus {
    FB_OK = 0,
    FB_ERR_ARGUMENT,    /* the caller's request makes no sense: usage, configuration */
    FB_ERR_NO_MEMORY,   /* the allocator refused */
    FB_ERR_IO,          /* the operating system refused: missing file, no space, no permission */
    FB_ERR_FORMAT,      /* the file is damaged or breaks its format's rules */
    FB_ERR_UNSUPPORTED, /* the file is fine, fewbit lacks the feature */
    FB_ERR_NUMERIC,     /* NaN or infinity where none may be, a singular matrix */
    FB_ERR_BUDGET,      /* a stated limit (memory, count, depth) would be exceeded */
    FB_ERR_BUSY,        /* another process holds the output */
    FB_ERR_CANCELLED,   /* the caller's cancel token was set */
    FB_ERR_INTERNAL     /* a bug of fewbit */
} FbStatus;

/* Owned by the caller; NULL is accepted wherever a function takes one. Untouched on success. */
typedef struct FbError {
    FbStatus status;
    char message[512]; /* one line, no newline; says what, where, why and what to do */
} FbError;

/* Short name of a status ("format", "no memory", ...); never NULL. */
FB_API const char *fb_status_name(FbStatus status);

/* The process exit code of CONTRACT's table: 0 ok, 2 usage, 3 bad file, 4 unsupported, 5 I/O, 6 budget, 7 busy,
 * 8 numeric, 70 internal, 130 interrupted. (1 is the quality gate, which is not an error.) */
FB_API int fb_status_exit_code(FbStatus status);

/* "1.2.3" of the library that is loaded. */
FB_API const char *fb_version(void);

#ifdef __cplusplus
}
#endif
#endif
