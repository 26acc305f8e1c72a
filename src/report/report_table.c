/* Tables as aligned text, Markdown or CSV. Cells may hold names from files, so every form escapes them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/array.h"
#include "base/text.h"
#include "fewbit/report.h"

typedef struct Row {
    const char **cells;
} Row;

struct FbTable {
    FbContext *context;
    FbArena *arena;
    const char **titles;
    bool *right;
    size_t columns;
    FB_ARRAY(Row) rows;
    bool failed;
};

FbStatus fb_table_create(FbContext *context, const FbColumn *columns, size_t count, FbTable **out, FbError *err)
{
    *out = NULL;
    FbArena *arena = fb_arena_create(context);
    FbTable *table = arena ? fb_arena_alloc(arena, sizeof *table) : NULL;
    const char **titles = table ? fb_arena_array(arena, count, sizeof *titles) : NULL;
    bool *right = titles ? fb_arena_array(arena, count, sizeof *right) : NULL;
    bool complete = right != NULL;
    for (size_t i = 0; i < count && complete; i++) {
        titles[i] = fb_arena_strdup(arena, columns[i].title);
        right[i] = columns[i].right != 0;
        complete = titles[i] != NULL;
    }
    if (!complete) {
        fb_arena_free(arena);
        return fb_error_memory(context, err, "a table", count * sizeof *titles);
    }
    table->context = context;
    table->arena = arena;
    table->titles = titles;
    table->right = right;
    table->columns = count;
    *out = table;
    return FB_OK;
}

void fb_table_free(FbTable *table)
{
    if (table) {
        FbArena *arena = table->arena;
        fb_array_free(table->context, &table->rows);
        fb_arena_free(arena);
    }
}

/* Control characters and malformed UTF-8 never reach a terminal, a page or a sheet. */
static const char *clean(FbTable *table, const char *cell)
{
    size_t bytes = 4 * strlen(cell) + 1; /* at most \xNN for every byte */
    char *out = fb_arena_alloc(table->arena, bytes);
    return out ? fb_escape(cell, out, bytes) : NULL;
}

void fb_table_add(FbTable *table, const char *const *cells)
{
    Row row = {fb_arena_array(table->arena, table->columns, sizeof *row.cells)};
    if (!row.cells || !fb_array_grow(table->context, &table->rows)) {
        table->failed = true;
        return;
    }
    for (size_t i = 0; i < table->columns; i++) {
        row.cells[i] = clean(table, cells[i] ? cells[i] : "");
        if (!row.cells[i]) {
            table->failed = true;
            return;
        }
    }
    table->rows.items[table->rows.count++] = row;
}

/* Characters on the terminal: code points (wide and combining characters are rare in names and only cost alignment). */
static size_t shown_width(const char *text)
{
    size_t width = 0;
    for (; *text; text++) {
        width += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return width;
}

static const char *cell_at(const FbTable *table, size_t row, size_t column)
{
    return row == 0 ? table->titles[column] : table->rows.items[row - 1].cells[column];
}

static void add_spaces(FbText *text, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fb_text_add_n(text, " ", 1);
    }
}

/* Markdown gives these characters a meaning; '<' and '&' would begin HTML. */
static void add_markdown(FbText *text, const char *cell)
{
    for (; *cell; cell++) {
        switch (*cell) {
        case '|':
        case '\\':
        case '`':
        case '*':
        case '[':
        case ']':
            fb_text_add_n(text, "\\", 1);
            fb_text_add_n(text, cell, 1);
            break;
        case '<':
            fb_text_add(text, "&lt;");
            break;
        case '>':
            fb_text_add(text, "&gt;");
            break;
        case '&':
            fb_text_add(text, "&amp;");
            break;
        default:
            fb_text_add_n(text, cell, 1);
        }
    }
}

static bool is_number(const char *cell)
{
    char *end;
    double value = strtod(cell, &end);
    return *cell && *end == '\0' && isfinite(value);
}

/* RFC 4180; a cell that a sheet would take for a formula gets an apostrophe in front, unless it is a number. */
static void add_csv(FbText *text, const char *cell)
{
    bool formula = strchr("=+-@\t\r", cell[0]) && cell[0] && !is_number(cell);
    bool quote = formula || strpbrk(cell, ",\"\n\r") || cell[0] == ' ';
    if (!quote) {
        fb_text_add(text, cell);
        return;
    }
    fb_text_add(text, formula ? "\"'" : "\"");
    for (; *cell; cell++) {
        fb_text_add_n(text, *cell == '"' ? "\"\"" : cell, *cell == '"' ? 2 : 1);
    }
    fb_text_add(text, "\"");
}

static void write_csv(const FbTable *table, FbText *text)
{
    for (size_t row = 0; row <= table->rows.count; row++) {
        for (size_t column = 0; column < table->columns; column++) {
            fb_text_add(text, column ? "," : "");
            add_csv(text, cell_at(table, row, column));
        }
        fb_text_add(text, "\n");
    }
}

static void write_markdown(const FbTable *table, FbText *text)
{
    for (size_t row = 0; row <= table->rows.count; row++) {
        for (size_t column = 0; column < table->columns; column++) {
            fb_text_add(text, column ? " | " : "| ");
            add_markdown(text, cell_at(table, row, column));
        }
        fb_text_add(text, " |\n");
        for (size_t column = 0; column < table->columns && row == 0; column++) {
            fb_text_add(text, table->right[column] ? "| ---: " : "| --- ");
        }
        fb_text_add(text, row == 0 ? "|\n" : "");
    }
}

static void write_aligned(const FbTable *table, FbText *text)
{
    size_t *widths = fb_alloc_array(table->context, table->columns, sizeof *widths);
    if (!widths) {
        text->failed = true;
        return;
    }
    for (size_t column = 0; column < table->columns; column++) {
        widths[column] = 0;
        for (size_t row = 0; row <= table->rows.count; row++) {
            size_t width = shown_width(cell_at(table, row, column));
            widths[column] = width > widths[column] ? width : widths[column];
        }
    }
    for (size_t row = 0; row <= table->rows.count; row++) {
        for (size_t column = 0; column < table->columns; column++) {
            const char *cell = cell_at(table, row, column);
            size_t padding = widths[column] - shown_width(cell);
            bool last = column + 1 == table->columns;
            add_spaces(text, table->right[column] ? padding : 0);
            fb_text_add(text, cell);
            add_spaces(text, table->right[column] || last ? 0 : padding);
            fb_text_add(text, last ? "\n" : "  ");
        }
    }
    fb_free(table->context, widths);
}

FbStatus fb_table_text(const FbTable *table, FbTableFormat format, char **out, FbError *err)
{
    FbText text;
    fb_text_init(&text, table->context);
    *out = NULL;
    switch (format) {
    case FB_TABLE_ALIGNED:
        write_aligned(table, &text);
        break;
    case FB_TABLE_MARKDOWN:
        write_markdown(table, &text);
        break;
    case FB_TABLE_CSV:
        write_csv(table, &text);
        break;
    }
    if (table->failed) {
        fb_text_reset(&text);
        return fb_error_memory(table->context, err, "a table", 0);
    }
    *out = fb_text_take(&text);
    return *out ? FB_OK : fb_error_memory(table->context, err, "a table", text.length);
}
