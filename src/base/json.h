/* JSON through jansson, with size and depth bounded before it and errors in our form. */
#ifndef FB_BASE_JSON_H
#define FB_BASE_JSON_H

#include <jansson.h>

#include "base/context.h"

enum { FB_JSON_DEPTH_MAX = 32 };

/* Duplicate keys are refused. max_bytes bounds the text. `what` names the source in messages. The caller json_decref's. */
FbStatus fb_json_parse(const char *text, size_t bytes, size_t max_bytes, const char *what, json_t **out, FbError *err);
/* All numbers as reals: some files say "no limit" by an integer of thirty digits. */
FbStatus fb_json_parse_reals(const char *text, size_t bytes, size_t max_bytes, const char *what, json_t **out, FbError *err);
FbStatus fb_json_load(FbContext *context, const char *path, size_t max_bytes, json_t **out, FbError *err);
/* Sorted by insertion, indented by 2 when `pretty`; numbers with %.17g, '.' in every locale. Freed with fb_free. */
FbStatus fb_json_dump(FbContext *context, const json_t *value, bool pretty, char **text, FbError *err);

/* Every key of `object` must be one of `keys`; the message names the nearest. */
FbStatus fb_json_check_keys(const json_t *object, const char *const *keys, size_t key_count, const char *where, FbError *err);
/* Typed look-ups; an absent key leaves *out alone, a wrong type is an error that names where and key. */
FbStatus fb_json_get_int(const json_t *object, const char *key, const char *where, int64_t low, int64_t high, int64_t *out, FbError *err);
FbStatus fb_json_get_number(const json_t *object, const char *key, const char *where, double *out, FbError *err);
FbStatus fb_json_get_bool(const json_t *object, const char *key, const char *where, bool *out, FbError *err);
FbStatus fb_json_get_string(const json_t *object, const char *key, const char *where, const char **out, FbError *err);

#endif
