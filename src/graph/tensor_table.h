/* A checkpoint as a table: named tensors whose bytes lie in files, and key-values. What safetensors and GGUF files are before anyone builds a
 * graph from them; inspecting, converting and data-free quantizing need no more than this.
 *
 * Everything lives in the table's arena. Bytes of tensors are read by range through fb_const_read_f32 and fb_plane_read. */
#ifndef FB_GRAPH_TENSOR_TABLE_H
#define FB_GRAPH_TENSOR_TABLE_H

#include "fewbit/checkpoint.h"
#include "graph/graph.h"

typedef struct FbTableTensor {
    const char *name;    /* unique, not empty, no NUL, valid only as data */
    FbConst constant;    /* dtype F32 and an encoding when in blocks; shape outermost first; its bytes in planes[FB_PLANE_CODES] of a file */
    uint32_t file;       /* index into the table's files */
} FbTableTensor;

/* The numbers are GGUF's. */
typedef enum FbMetaType {
    FB_META_U8 = 0, FB_META_S8, FB_META_U16, FB_META_S16, FB_META_U32, FB_META_S32, FB_META_F32, FB_META_BOOL, FB_META_STRING, FB_META_ARRAY,
    FB_META_U64, FB_META_S64, FB_META_F64, FB_META_COUNT
} FbMetaType;

typedef struct FbMeta {
    const char *key;      /* unique, not empty, no NUL */
    FbMetaType type;      /* of the value; of an array, of its elements (no arrays of arrays) */
    bool is_array;
    uint64_t count;       /* elements of an array; 1 */
    union {               /* a single value */
        uint64_t u;       /* unsigned, and BOOL */
        int64_t s;        /* signed */
        double f;         /* F32, F64 */
    } value;
    FbBytes text;         /* a single string; also NUL-terminated, but may hold NULs */
    FbPlane data;         /* an array: its elements as in the file, strings with their lengths in front */
} FbMeta;

struct FbCheckpoint {
    FbContext *context;
    FbArena *arena;
    const char *format;   /* "safetensors", "gguf"; static */
    uint32_t version;     /* GGUF: 2 or 3; 0 */
    const char *path;     /* as given; for messages */
    uint64_t alignment;   /* GGUF: of tensor data */
    uint64_t file_bytes;  /* of all files */
    struct { FbSource *source; const char *name; } *files; size_t file_count; /* names relative to the folder, or the path given */
    FbTableTensor *tensors; size_t tensor_count, tensor_capacity; /* in file order */
    FbMeta *metadata; size_t metadata_count, metadata_capacity;
    FbBytes config;       /* config.json of a Hugging Face folder, as it is; data NULL: none */
    struct FbNameTable *tensor_names, *keys;
};

/* As fb_checkpoint_recognized, but says when it could not look. */
FbStatus fb_checkpoint_recognize(FbContext *context, const char *path, bool *recognized, FbError *err);

/* Empty; the rest is the readers'. */
FbStatus fb_checkpoint_create(FbContext *context, const char *path, const char *format, FbCheckpoint **out, FbError *err);
/* Takes over the reference, also on failure. */
FbStatus fb_checkpoint_add_file(FbCheckpoint *checkpoint, FbSource *source, const char *name, uint32_t *index, FbError *err);
/* A row at the end, zeroed but for the name, which is copied; a name that exists is FB_ERR_FORMAT. *tensor is good until the next call. */
FbStatus fb_checkpoint_add_tensor(FbCheckpoint *checkpoint, const char *name, size_t length, FbTableTensor **tensor, FbError *err);
FbStatus fb_checkpoint_add_meta(FbCheckpoint *checkpoint, const char *key, size_t length, FbMeta **meta, FbError *err);

FbTableTensor *fb_checkpoint_tensor(const FbCheckpoint *checkpoint, const char *name); /* NULL: absent */
const FbMeta *fb_checkpoint_meta(const FbCheckpoint *checkpoint, const char *key);     /* NULL: absent */

/* Single values; false when it is no such value. Integers of any width that fit. */
bool fb_meta_integer(const FbMeta *meta, int64_t *out);
bool fb_meta_number(const FbMeta *meta, double *out);  /* integers too */
const char *fb_meta_text(const FbMeta *meta);          /* NULL when it is no string; NULL is fine */
size_t fb_meta_bytes(FbMetaType type);                 /* of one element in a file; 0 for strings and arrays */
const char *fb_meta_type_name(FbMetaType type);
/* Elements [first, first + count) of an array of numbers, as doubles. */
FbStatus fb_meta_read_numbers(const FbMeta *meta, uint64_t first, size_t count, double *to, FbError *err);
/* All strings of an array of strings, in `arena`; each also NUL-terminated. */
FbStatus fb_meta_read_strings(FbArena *arena, const FbMeta *meta, FbBytes **strings, FbError *err);

/* "model.gguf: tensor 'x'" for messages; returns out. */
const char *fb_checkpoint_shown(const FbCheckpoint *checkpoint, const char *name, char *out, size_t bytes);

#endif
