/* The parts of a tokenizer.json, read into a tokenizer. Members that are missing have the defaults of the tokenizers library; a type, or a value,
 * that changes tokens and is not supported is an error that names it. */
#ifndef FB_DATA_TOKENIZER_JSON_H
#define FB_DATA_TOKENIZER_JSON_H

#include "base/json.h"
#include "data/tokenizer_parts.h"

/* A file within its bounds: of size, and of the memory that its tree may take. */
FbStatus fb_tokenizer_json_load(FbContext *context, const char *path, json_t **out, FbError *err);

/* The folder of a path, without '/' at its end. */
FbStatus fb_tokenizer_folder_of(const char *path, char *out, size_t bytes, FbError *err);

/* Whether a regular file is there; an error only when that cannot be known. */
FbStatus fb_tokenizer_has_file(FbContext *context, const char *path, bool *found, FbError *err);

FbStatus fb_json_normalizer(FbTokenizer *tokenizer, const json_t *json, FbError *err);
FbStatus fb_json_pre_tokenizer(FbTokenizer *tokenizer, const json_t *json, FbError *err); /* sets model.byte_level */
/* {"String": ...} or {"Regex": ...} */
FbStatus fb_json_pattern(FbTokenizer *tokenizer, const json_t *json, const char *where, FbPattern **out, FbError *err);
FbStatus fb_json_decoder(FbTokenizer *tokenizer, const json_t *json, FbError *err);
FbStatus fb_json_post_processor(FbTokenizer *tokenizer, const json_t *json, FbError *err); /* the vocabulary is there */

/* The member "type"; NULL where there is none. */
const char *fb_json_type(const json_t *json);
FbStatus fb_json_unsupported(const json_t *json, const char *where, FbError *err);
/* A member that is true or false, else the fallback. */
bool fb_json_flag(const json_t *json, const char *key, bool fallback);

/* The model's vocabulary and merges, with the tokens added to it; `added` is an array of objects or NULL. */
FbStatus fb_json_model(FbTokenizer *tokenizer, const json_t *model, const json_t *added, FbError *err);
/* Of BPE: `vocabulary` is {"token": id}, `merges` an array of "left right" or ["left", "right"]. */
FbStatus fb_json_bpe_vocabulary(FbTokenizer *tokenizer, const json_t *vocabulary, FbError *err);
FbStatus fb_json_bpe_merges(FbTokenizer *tokenizer, const json_t *vocabulary, const json_t *merges, FbError *err);
/* One token {"id", "content", "special", ...}; where its id is a key, it is given. */
FbStatus fb_json_added_token(FbTokenizer *tokenizer, const json_t *json, int64_t id, FbError *err);

/* What the files beside a tokenizer.json say: special tokens, ends of generation, the chat template. `folder` ends without '/'. */
FbStatus fb_tokenizer_read_settings(FbTokenizer *tokenizer, const char *folder, FbError *err);
/* One of these files; *out is NULL where it is missing. */
FbStatus fb_tokenizer_load_setting(FbTokenizer *tokenizer, const char *folder, const char *name, json_t **out, FbError *err);
/* added_tokens_decoder of a tokenizer_config.json: {"151643": {"content": ...}}. */
FbStatus fb_json_added_decoder(FbTokenizer *tokenizer, const json_t *config, FbError *err);
/* vocab.json and merges.txt; the settings beside them say of which model. */
FbStatus fb_tokenizer_read_merges(FbTokenizer *tokenizer, const json_t *vocabulary, const char *vocabulary_path, const char *folder, FbError *err);

#endif
