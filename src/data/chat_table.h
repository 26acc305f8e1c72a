/* The chat templates that are known: what each puts around a message, by role. */
#ifndef FB_DATA_CHAT_TABLE_H
#define FB_DATA_CHAT_TABLE_H

#include <stdbool.h>
#include <stddef.h>

enum { FB_CHAT_SYSTEM, FB_CHAT_USER, FB_CHAT_ASSISTANT, FB_CHAT_ROLES };

typedef enum FbSystemPlace { FB_SYSTEM_FIRST, FB_SYSTEM_IN_FIRST, FB_SYSTEM_IN_LAST } FbSystemPlace;

/* In every text {bos} and {eos} stand for those tokens. */
typedef struct FbChatFormat {
    const char *name;
    const char *start;                         /* before everything */
    struct { const char *before, *after; } roles[FB_CHAT_ROLES]; /* system's before NULL: the template takes no system message */
    const char *open, *close;                  /* at the end: the assistant's turn that is to be written, or else this */
    const char *default_system;                /* where the first message is not the system's */
    FbSystemPlace system_place;                /* a turn of its own; inside the first, or the last message if that is the user's */
    bool system_anywhere;                      /* also behind the first message */
    bool trim, trim_turns;                     /* white space at the ends of contents goes; of all but the system's */
    bool alternate;                            /* user and assistant must take turns, the user first */
    bool drop_thoughts;                        /* of the assistant's contents all through </think> goes, and the line ends behind it */
    bool keep_lines;                           /* those line ends stay */
    bool opened;                               /* the user's turns end with `open` already */
    bool user_last;                            /* the last message must not be the assistant's */
} FbChatFormat;

/* SHA-256 of templates in hexadecimal: without white space at the ends, without carriage returns, a line end for each "\n" that is spelt out. */
typedef struct FbChatHash {
    const char *sha256, *format;
} FbChatHash;

extern const FbChatFormat fb_chat_formats[];
extern const size_t fb_chat_format_count;
extern const FbChatHash fb_chat_hashes[];
extern const size_t fb_chat_hash_count;

#endif
