/* Conversations as text, by the table of known chat templates. */
#include <string.h>

#include "base/sha256.h"
#include "data/chat_table.h"
#include "data/tokenizer_parts.h"

static bool is_white(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static const char *trimmed(const char *text, size_t *length)
{
    while (*length > 0 && is_white(text[*length - 1])) {
        --*length;
    }
    while (*length > 0 && is_white(text[0])) {
        text++;
        --*length;
    }
    return text;
}

/* The same template comes with line ends of two kinds, and with "\n" spelt out in its texts or not: the hash is of one spelling. */
static void hash_template(FbSha256 *hash, const char *text, size_t bytes)
{
    for (size_t at = 0; at < bytes;) {
        size_t start = at;
        while (at < bytes && text[at] != '\r' && !(text[at] == '\\' && at + 1 < bytes && text[at + 1] == 'n')) {
            at++;
        }
        fb_sha256_add(hash, text + start, at - start);
        if (at < bytes && text[at] == '\\') {
            fb_sha256_add(hash, "\n", 1);
            at += 2;
        } else {
            at++;
        }
    }
}

FbStatus fb_tokenizer_set_chat(FbTokenizer *tokenizer, const char *text, size_t bytes, FbError *err)
{
    text = trimmed(text, &bytes);
    FbSha256 *hash = fb_sha256_create(tokenizer->context);
    char *copy = fb_arena_strndup(tokenizer->arena, text, bytes);
    if (copy == NULL || hash == NULL) {
        fb_sha256_drop(hash);
        return fb_error_memory(tokenizer->context, err, "a chat template", bytes);
    }
    hash_template(hash, text, bytes);
    fb_sha256_finish(hash, tokenizer->chat_sha256);
    tokenizer->chat = copy;
    return FB_OK;
}

static const FbChatFormat *format_of(const FbTokenizer *tokenizer)
{
    for (size_t i = 0; tokenizer->chat != NULL && i < fb_chat_hash_count; i++) {
        if (strcmp(fb_chat_hashes[i].sha256, tokenizer->chat_sha256) != 0) {
            continue;
        }
        for (size_t j = 0; j < fb_chat_format_count; j++) {
            if (strcmp(fb_chat_formats[j].name, fb_chat_hashes[i].format) == 0) {
                return &fb_chat_formats[j];
            }
        }
    }
    return NULL;
}

const char *fb_chat_template(const FbTokenizer *tokenizer)
{
    const FbChatFormat *format = format_of(tokenizer);
    return format != NULL ? format->name : NULL;
}

/* ---- rendering ---- */

typedef struct Rendering {
    const FbTokenizer *tokenizer;
    const FbChatFormat *format;
    const FbChatMessage *messages;
    size_t count;
    FbText text;
    FbError *err;
} Rendering;

/* As the vocabulary writes it: decoded, some kinds of tokenizer put a space in front. */
static void add_token(Rendering *rendering, FbSpecialToken which)
{
    const FbVocabulary *vocabulary = &rendering->tokenizer->vocabulary;
    int32_t id = rendering->tokenizer->special[which];
    if (id >= 0) {
        fb_text_add_n(&rendering->text, fb_piece_data(vocabulary, (uint32_t)id), vocabulary->pieces.items[id].bytes);
    }
}

/* A text of the table, with {bos} and {eos} in it. */
static void add(Rendering *rendering, const char *text)
{
    while (text != NULL && *text != '\0') {
        const char *brace = strchr(text, '{');
        if (brace == NULL) {
            fb_text_add(&rendering->text, text);
            return;
        }
        fb_text_add_n(&rendering->text, text, (size_t)(brace - text));
        if (strncmp(brace, "{bos}", 5) == 0) {
            add_token(rendering, FB_TOKEN_BOS);
            text = brace + 5;
        } else if (strncmp(brace, "{eos}", 5) == 0) {
            add_token(rendering, FB_TOKEN_EOS);
            text = brace + 5;
        } else {
            fb_text_add_n(&rendering->text, "{", 1);
            text = brace + 1;
        }
    }
}

static void add_content(Rendering *rendering, int role, const char *content)
{
    static const char thought[] = "</think>";
    const FbChatFormat *format = rendering->format;
    size_t length = strlen(content);
    if (format->drop_thoughts && role == FB_CHAT_ASSISTANT) {
        for (const char *end = strstr(content, thought); end != NULL; end = strstr(content, thought)) {
            content = end + sizeof thought - 1;
            content += format->keep_lines ? 0 : strspn(content, "\n");
        }
        length = strlen(content);
    }
    if (format->trim || (format->trim_turns && role != FB_CHAT_SYSTEM)) {
        content = trimmed(content, &length);
    }
    fb_text_add_n(&rendering->text, content, length);
}

static int role_of(const char *role)
{
    static const char *const names[] = {"system", "user", "assistant"};
    for (int i = 0; i < FB_CHAT_ROLES; i++) {
        if (role != NULL && strcmp(role, names[i]) == 0) {
            return i;
        }
    }
    return -1;
}

static FbStatus refuse(const Rendering *rendering, size_t message, const char *why)
{
    return fb_error_set(rendering->err, FB_ERR_ARGUMENT, "message %zu: the chat template '%s' %s", message, rendering->format->name, why);
}

static FbStatus check(const Rendering *rendering)
{
    const FbChatFormat *format = rendering->format;
    size_t turns = 0;
    for (size_t i = 0; i < rendering->count; i++) {
        const FbChatMessage *message = &rendering->messages[i];
        int role = role_of(message->role);
        char shown[80];
        if (role < 0 || message->content == NULL) {
            return fb_error_set(rendering->err, FB_ERR_ARGUMENT, "message %zu: the role '%s' is none of system, user, assistant", i,
                                message->role != NULL ? fb_escape(message->role, shown, sizeof shown) : "");
        }
        if (role == FB_CHAT_SYSTEM && format->roles[FB_CHAT_SYSTEM].before == NULL) {
            return refuse(rendering, i, "takes no system message");
        }
        if (role == FB_CHAT_SYSTEM && i > 0 && !format->system_anywhere) {
            return refuse(rendering, i, "takes a system message at the start only");
        }
        if (role != FB_CHAT_SYSTEM && format->alternate && (role == FB_CHAT_USER) != (turns++ % 2 == 0)) {
            return refuse(rendering, i, "wants user and assistant in turn");
        }
        if (role == FB_CHAT_ASSISTANT && i + 1 == rendering->count && format->user_last) {
            return refuse(rendering, i, "writes the last answer otherwise than the ones before it: end with the user's message");
        }
    }
    bool alone = rendering->count == 0 || (rendering->count == 1 && role_of(rendering->messages[0].role) == FB_CHAT_SYSTEM);
    return alone && format->system_place != FB_SYSTEM_FIRST ? refuse(rendering, 0, "needs a message of the user") : FB_OK;
}

static void add_system(Rendering *rendering, const char *content)
{
    add(rendering, rendering->format->roles[FB_CHAT_SYSTEM].before);
    add_content(rendering, FB_CHAT_SYSTEM, content);
    add(rendering, rendering->format->roles[FB_CHAT_SYSTEM].after);
}

static void render(Rendering *rendering, bool add_assistant)
{
    const FbChatFormat *format = rendering->format;
    const FbChatMessage *messages = rendering->messages;
    size_t count = rendering->count;
    bool has_system = count > 0 && role_of(messages[0].role) == FB_CHAT_SYSTEM;
    size_t inside = format->system_place == FB_SYSTEM_IN_LAST ? count - 1 : 1; /* the message that the system's stands in */
    add(rendering, format->start);
    if (!has_system && format->default_system != NULL && count > 0) {
        add_system(rendering, format->default_system);
    }
    for (size_t i = 0; i < count; i++) {
        int role = role_of(messages[i].role);
        if (role == FB_CHAT_SYSTEM) {
            if (format->system_place == FB_SYSTEM_FIRST) {
                add_system(rendering, messages[i].content);
            }
            continue;
        }
        add(rendering, format->roles[role].before);
        if (has_system && format->system_place != FB_SYSTEM_FIRST && i == inside && role == FB_CHAT_USER) {
            add_system(rendering, messages[0].content);
        }
        add_content(rendering, role, messages[i].content);
        add(rendering, format->roles[role].after);
    }
    bool opened = format->opened && count > 0 && role_of(messages[count - 1].role) == FB_CHAT_USER;
    add(rendering, !add_assistant ? format->close : opened ? NULL : format->open);
}

FbStatus fb_chat_render(FbContext *context, const FbTokenizer *tokenizer, const FbChatMessage *messages, size_t count, bool add_assistant,
                        char **text, FbError *err)
{
    Rendering rendering = {tokenizer, format_of(tokenizer), messages, count, {0}, err};
    *text = NULL;
    if (tokenizer->chat == NULL) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "the model has no chat template: it continues texts; give it one without a conversation");
    }
    if (rendering.format == NULL) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED,
                            "the model's chat template (SHA-256 %s, %zu bytes) is not among the known ones; write the conversation as the model wants "
                            "it into the prompt itself",
                            tokenizer->chat_sha256, strlen(tokenizer->chat));
    }
    FB_TRY(check(&rendering));
    fb_text_init(&rendering.text, context);
    fb_text_add(&rendering.text, "");
    render(&rendering, add_assistant);
    *text = fb_text_take(&rendering.text);
    return *text != NULL ? FB_OK : fb_error_memory(context, err, "a conversation", 0);
}
