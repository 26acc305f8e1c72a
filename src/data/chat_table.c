/* Known chat templates as data, see chat_table.h. bench/peers/chat_templates.py renders the originals and compares. */
#include "data/chat_table.h"

#define IM(role) "<|im_start|>" role "\n"
#define CHATML .roles = {{IM("system"), "<|im_end|>\n"}, {IM("user"), "<|im_end|>\n"}, {IM("assistant"), "<|im_end|>\n"}}, .open = IM("assistant")

const FbChatFormat fb_chat_formats[] = {
    {.name = "chatml", CHATML},
    {.name = "smollm2", CHATML, .default_system = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"},
};
const size_t fb_chat_format_count = sizeof fb_chat_formats / sizeof *fb_chat_formats;

const FbChatHash fb_chat_hashes[] = {
    {"872be49dbb638044ad01b60388f48d469ff2980e5f0dccdc22ec907db54d0788", "smollm2"},
};
const size_t fb_chat_hash_count = sizeof fb_chat_hashes / sizeof *fb_chat_hashes;
