/* What the command shows: tables whose cells may hold names from files, and the lists of what this build knows. */
#ifndef FEWBIT_REPORT_H
#define FEWBIT_REPORT_H

#include "fewbit/context.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct FbTable FbTable;

typedef struct FbColumn {
    const char *title;
    int right; /* numbers stand at the right */
} FbColumn;

typedef enum FbTableFormat { FB_TABLE_ALIGNED = 0, FB_TABLE_MARKDOWN, FB_TABLE_CSV } FbTableFormat;

FB_API FB_MUST_CHECK FbStatus fb_table_create(FbContext *context, const FbColumn *columns, size_t count, FbTable **table, FbError *err);
/* One row, `count` cells, copied; NULL is an empty cell. A refused allocation is reported by fb_table_text. */
FB_API void fb_table_add(FbTable *table, const char *const *cells);
/* The whole table. Control characters are shown as \xNN; Markdown, HTML and spreadsheet formulas in cells stay inert. The caller frees
 * *text with fb_text_free. */
FB_API FB_MUST_CHECK FbStatus fb_table_text(const FbTable *table, FbTableFormat format, char **text, FbError *err);
FB_API void fb_table_free(FbTable *table); /* NULL is fine */

/* Copies a name from a file so that a terminal can show it: control characters, escapes and invalid UTF-8 as \xNN, cut with "..." to fit.
 * Returns out. */
FB_API const char *fb_show_name(const char *name, char *out, size_t out_bytes);
/* The candidate that `name` is a likely typing error of, or NULL. */
FB_API const char *fb_suggest(const char *name, const char *const *candidates, size_t count);

/* The open sets of this build. */
typedef enum FbListKind { FB_LIST_PRESETS = 0, FB_LIST_METHODS, FB_LIST_FORMATS, FB_LIST_OPERATORS, FB_LIST_METRICS, FB_LIST_ENCODINGS,
                          FB_LIST_ISA, FB_LIST_FAMILIES } FbListKind;
typedef struct FbListRow {
    const char *name, *summary;
} FbListRow;
/* Row `index`; 0 when there is none, so that a caller counts up until then. */
FB_API int fb_list_row(FbListKind kind, size_t index, FbListRow *row);

#ifdef __cplusplus
}
#endif
#endif
