/* Chat templates: the table's own consistency, a known one rendered, unknown ones and impossible conversations refused. */
#define _POSIX_C_SOURCE 200809L /* mkdtemp */
#include <stdlib.h>
#include <unistd.h>

#include "data/chat_table.h"
#include "data/tokenizer_parts.h"
#include "tokenizer_test.h"

static const char chatml[] = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
                             "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
static const char zephyr[] = "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n"
                             "{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n"
                             "{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n"
                             "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}";
static const char mistral[] = "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
                              "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
                              "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
                              "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token}}"
                              "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}";

static void write_in(const char *folder, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* A folder as of Hugging Face with that template. */
static FbTokenizer *open_with(FbContext *context, const char *chat_template)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja"};
    char folder[] = "/tmp/fewbit-chat-XXXXXX", path[256];
    assert_non_null(mkdtemp(folder));
    write_in(folder, names[0], "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"<s>\":0,\"</s>\":1,\"a\":2,\"<|im_end|>\":3},\"merges\":[]},\"added_tokens\":["
                               "{\"id\":0,\"content\":\"<s>\",\"special\":true},{\"id\":1,\"content\":\"</s>\",\"special\":true},"
                               "{\"id\":3,\"content\":\"<|im_end|>\",\"special\":true}]}");
    write_in(folder, names[1], "{\"bos_token\":{\"content\":\"<s>\"},\"eos_token\":\"</s>\",\"model_max_length\":1000000000000000019884624838656}");
    write_in(folder, names[2], "{\"eos_token_id\":[1,2]}");
    if (chat_template != NULL) {
        write_in(folder, names[3], chat_template);
    }
    FbTokenizer *tokenizer = test_tokenizer(context, folder);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
    return tokenizer;
}

static void assert_rendered(const char *chat_template, const char *name, const FbChatMessage *messages, size_t count, bool open, const char *expected)
{
    FbContext *context = test_context();
    FbTokenizer *tokenizer = open_with(context, chat_template);
    char *text = NULL;
    FbError err = {0};
    assert_string_equal(fb_chat_template(tokenizer), name);
    assert_ok(fb_chat_render(context, tokenizer, messages, count, open, &text, &err));
    assert_string_equal(text, expected);
    fb_text_free(context, text);
    fb_tokenizer_free(tokenizer);
    fb_context_free(context);
}

static const FbChatMessage talk[] = {{"system", "Be short."}, {"user", "Hello"}, {"assistant", "Hi"}, {"user", "Who?"}};

static void test_known(void **state)
{
    (void)state;
    static const char whole[] = "<|im_start|>system\nBe short.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\nHi<|im_end|>\n"
                                "<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n";
    assert_rendered(chatml, "chatml", talk, 4, true, whole);
    assert_rendered(chatml, "chatml", talk + 1, 2, false, "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\nHi<|im_end|>\n");
    assert_rendered(zephyr, "zephyr", talk, 2, true, "<|system|>\nBe short.</s>\n<|user|>\nHello</s>\n<|assistant|>\n");
    assert_rendered(mistral, "mistral", talk + 1, 3, true, "<s>[INST] Hello [/INST]Hi</s>[INST] Who? [/INST]");
}

/* With other line ends, white space around it, and "\n" spelt out it is the same template. */
static void test_spellings(void **state)
{
    (void)state;
    char spelt[1024] = " \r\n", *to = spelt + 3;
    for (const char *from = chatml; *from != '\0'; from++) {
        to += *from == '\n' ? sprintf(to, "\\n") : sprintf(to, "%c", *from);
    }
    strcpy(to, "\r\n");
    assert_rendered(spelt, "chatml", talk + 1, 1, true, "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n");
}

static void assert_refused(const char *chat_template, const FbChatMessage *messages, size_t count, FbStatus expected, const char *says)
{
    FbContext *context = test_context();
    FbTokenizer *tokenizer = open_with(context, chat_template);
    char *text = NULL;
    FbError err = {0};
    assert_int_equal(fb_chat_render(context, tokenizer, messages, count, true, &text, &err), expected);
    if (strstr(err.message, says) == NULL) {
        fail_msg("'%s' does not say '%s'", err.message, says);
    }
    assert_null(text);
    fb_tokenizer_free(tokenizer);
    fb_context_free(context);
}

static void test_refused(void **state)
{
    (void)state;
    static const FbChatMessage tool[] = {{"tool", "7"}};
    assert_refused(NULL, talk, 4, FB_ERR_UNSUPPORTED, "no chat template");
    assert_refused("{{ messages }}", talk, 4, FB_ERR_UNSUPPORTED, "(SHA-256 ");
    assert_refused(mistral, talk, 4, FB_ERR_ARGUMENT, "message 0: the chat template 'mistral' takes no system message");
    assert_refused(mistral, talk + 2, 2, FB_ERR_ARGUMENT, "message 0: the chat template 'mistral' wants user and assistant in turn");
    assert_refused(chatml, tool, 1, FB_ERR_ARGUMENT, "message 0: the role 'tool' is none of");
}

/* A form of the table, whatever text its template has. */
static void assert_form(const char *name, const FbChatMessage *messages, size_t count, bool open, const char *expected)
{
    FbContext *context = test_context();
    FbTokenizer *tokenizer = open_with(context, chatml);
    char *text = NULL;
    FbError err = {0};
    for (size_t i = 0; i < fb_chat_hash_count; i++) {
        if (strcmp(fb_chat_hashes[i].format, name) == 0) {
            snprintf(tokenizer->chat_sha256, sizeof tokenizer->chat_sha256, "%s", fb_chat_hashes[i].sha256);
        }
    }
    assert_string_equal(fb_chat_template(tokenizer), name);
    assert_ok(fb_chat_render(context, tokenizer, messages, count, open, &text, &err));
    assert_string_equal(text, expected);
    fb_text_free(context, text);
    fb_tokenizer_free(tokenizer);
    fb_context_free(context);
}

#define U "<\xef\xbd\x9cUser\xef\xbd\x9c>"
#define A "<\xef\xbd\x9c" "Assistant\xef\xbd\x9c>"
#define E "<\xef\xbd\x9c" "end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>"

/* Thoughts of earlier answers, and who opens the next one. */
static void test_thoughts(void **state)
{
    (void)state;
    static const FbChatMessage thinking[] = {{"user", "Hello"}, {"assistant", "<think>\nhm\n</think>\n\nHi"}, {"user", "Who?"}};
    assert_form("deepseek-r1", thinking, 3, true, "<s>" U "Hello" A "\n\nHi" E U "Who?" A "<think>\n");
    assert_form("deepseek-r1", talk, 2, false, "<s>Be short." U "Hello");
    assert_form("deepseek-r1-0528", thinking, 3, true, "<s>" U "Hello" A "\n\nHi" E U "Who?" A);
    assert_form("deepseek-v3", talk, 2, true, "<s>Be short." U "Hello" A);
    assert_form("deepseek-v3", talk, 2, false, "<s>Be short." U "Hello" A);
    assert_form("deepseek-v3", talk, 3, true, "<s>Be short." U "Hello" A "Hi" E A);
    assert_form("qwq", thinking, 3, true, "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\nHi<|im_end|>\n<|im_start|>user\nWho?<|im_end|>\n"
                                          "<|im_start|>assistant\n<think>\n");
}

static void test_settings(void **state)
{
    (void)state;
    FbContext *context = test_context();
    FbTokenizer *tokenizer = open_with(context, NULL);
    assert_int_equal(fb_tokenizer_special(tokenizer, FB_TOKEN_BOS), 0);
    assert_int_equal(fb_tokenizer_special(tokenizer, FB_TOKEN_EOS), 1);
    assert_int_equal(fb_tokenizer_special(tokenizer, FB_TOKEN_EOT), 3); /* by its name */
    assert_int_equal(fb_tokenizer_special(tokenizer, FB_TOKEN_PAD), -1);
    assert_false(fb_tokenizer_ends(tokenizer, 0));
    assert_true(fb_tokenizer_ends(tokenizer, 1));
    assert_true(fb_tokenizer_ends(tokenizer, 2)); /* generation_config.json */
    assert_true(fb_tokenizer_ends(tokenizer, 3));
    assert_null(fb_chat_template(tokenizer));
    fb_tokenizer_free(tokenizer);
    fb_context_free(context);
}

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < fb_chat_hash_count; i++) {
        size_t found = 0;
        assert_int_equal(strlen(fb_chat_hashes[i].sha256), 64);
        for (size_t j = 0; j < fb_chat_format_count; j++) {
            found += strcmp(fb_chat_formats[j].name, fb_chat_hashes[i].format) == 0;
        }
        assert_int_equal(found, 1);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(fb_chat_hashes[i].sha256, fb_chat_hashes[j].sha256);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),    cmocka_unit_test(test_spellings), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_settings), cmocka_unit_test(test_table),     cmocka_unit_test(test_thoughts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
