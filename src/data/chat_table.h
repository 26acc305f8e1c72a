/* The chat templates that are known: what each puts around a message, by role. */
#ifndef FB_DATA_CHAT_TABLE_H
#define FB_DATA_CHAT_TABLE_H

#include <stdbool.h>
#include <stddef.h>

enum { FB_CHAT_SYSTEM, FB_CHAT_USER, FB_CHAT_ASSISTANT, FB_CHAT_ROLES };

/* In every text {bos} and {eos} stand for those tokens. */
typedef struct FbChatFormat {
    const char *name;
    const char *start;                         /* before everything; NULL: nothing */
    struct { const char *before, *after; } roles[FB_CHAT_ROLES]; /* system's before NULL: the template takes no system message */
    const char *open;                          /* the assistant's turn that is to be written; NULL: nothing */
    const char *default_system;                /* where the first message is not the system's; NULL: none */
    bool trim;                                 /* white space at the ends of contents goes */
    bool trim_assistant;                       /* of the assistant's contents only */
    bool alternate;                            /* user and assistant must take turns, the user first */
    bool system_in_user;                       /* the system message stands inside the turn of the first user message */
    bool system_in_last;                       /* ... of the last user message */
} FbChatFormat;

/* SHA-256 of templates, in hexadecimal, of the text without white space at its ends. */
typedef struct FbChatHash {
    const char *sha256, *format;
} FbChatHash;

extern const FbChatFormat fb_chat_formats[];
extern const size_t fb_chat_format_count;
extern const FbChatHash fb_chat_hashes[];
extern const size_t fb_chat_hash_count;

#endif
