/* Known chat templates as data, see chat_table.h. bench/peers/chat_templates.py renders the originals and compares. */
#include "data/chat_table.h"

#define IM(role) "<|im_start|>" role "\n"
#define CHATML_ROLES {{IM("system"), "<|im_end|>\n"}, {IM("user"), "<|im_end|>\n"}, {IM("assistant"), "<|im_end|>\n"}}
#define CHATML .roles = CHATML_ROLES, .open = IM("assistant"), .system_anywhere = true
#define HEADER(role) "<|start_header_id|>" role "<|end_header_id|>\n\n"
#define LLAMA3_TURNS {HEADER("user"), "<|eot_id|>"}, {HEADER("assistant"), "<|eot_id|>"}
#define DATED "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n" /* the templates' own date where none is given */
#define GEMMA_TURNS {"<start_of_turn>user\n", "<end_of_turn>\n"}, {"<start_of_turn>model\n", "<end_of_turn>\n"}
#define GEMMA .roles = {{NULL, NULL}, GEMMA_TURNS}, .open = "<start_of_turn>model\n", .trim = true, .alternate = true
#define PHI3 .roles = {{"<|system|>\n", "<|end|>\n"}, {"<|user|>\n", "<|end|>\n"}, {"<|assistant|>\n", "<|end|>\n"}}, .open = "<|assistant|>\n", \
    .system_anywhere = true
#define PHI3_OPENED {"<|user|>\n", "<|end|>\n<|assistant|>\n"}, {"", "<|end|>\n"}
#define DEEPSEEK_USER "<\xef\xbd\x9cUser\xef\xbd\x9c>"
#define DEEPSEEK_ASSISTANT "<\xef\xbd\x9c" "Assistant\xef\xbd\x9c>"
#define DEEPSEEK_END "<\xef\xbd\x9c" "end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>"
#define DEEPSEEK_R1 .start = "{bos}", .roles = {{"", ""}, {DEEPSEEK_USER, ""}, {DEEPSEEK_ASSISTANT, DEEPSEEK_END}}, .drop_thoughts = true, .keep_lines = true
#define DEEPSEEK_V3 .start = "{bos}", .roles = {{"", ""}, {DEEPSEEK_USER, DEEPSEEK_ASSISTANT}, {"", DEEPSEEK_END}}, .open = DEEPSEEK_ASSISTANT, .opened = true

const FbChatFormat fb_chat_formats[] = {
    {.name = "chatml", CHATML},
    {.name = "smollm2", CHATML, .default_system = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"},
    {.name = "qwen1.5", CHATML, .default_system = "You are a helpful assistant"},
    {.name = "qwen2", CHATML, .default_system = "You are a helpful assistant."},
    {.name = "qwen2.5", CHATML, .default_system = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."},
    {.name = "qwen3", CHATML, .drop_thoughts = true, .user_last = true},
    {.name = "qwen3-vl", .roles = CHATML_ROLES, .open = IM("assistant")},
    {.name = "qwq", .roles = CHATML_ROLES, .open = IM("assistant") "<think>\n", .system_anywhere = true, .drop_thoughts = true, .user_last = true},
    {.name = "llama-2", .roles = {{"<<SYS>>\n", "\n<</SYS>>\n\n"}, {"{bos}[INST] ", " [/INST]"}, {" ", " {eos}"}},
     .system_place = FB_SYSTEM_IN_FIRST, .trim_turns = true, .alternate = true},
    {.name = "llama-3", .start = "{bos}", .roles = {{HEADER("system"), "<|eot_id|>"}, LLAMA3_TURNS}, .open = HEADER("assistant"), .trim = true,
     .system_anywhere = true},
    {.name = "llama-3-opened", .start = "{bos}", .roles = {{HEADER("system"), "<|eot_id|>"}, LLAMA3_TURNS}, .open = HEADER("assistant"),
     .close = HEADER("assistant"), .trim = true, .system_anywhere = true},
    {.name = "llama-3.1", .start = "{bos}", .roles = {{HEADER("system") DATED, "<|eot_id|>"}, LLAMA3_TURNS}, .open = HEADER("assistant"),
     .default_system = "", .trim = true},
    {.name = "mistral", .start = "{bos}", .roles = {{NULL, NULL}, {"[INST] ", " [/INST]"}, {"", "{eos}"}}, .alternate = true},
    {.name = "mistral-0.1", .start = "{bos}", .roles = {{NULL, NULL}, {"[INST] ", " [/INST]"}, {"", "{eos} "}}, .alternate = true},
    {.name = "mistral-v1", .start = "{bos}", .roles = {{"", "\n\n"}, {" [INST] ", " [/INST]"}, {" ", "{eos}"}}, .alternate = true,
     .system_place = FB_SYSTEM_IN_FIRST},
    {.name = "mistral-v3-tekken", .start = "{bos}", .roles = {{"", "\n\n"}, {"[INST]", "[/INST]"}, {"", "{eos}"}}, .alternate = true,
     .system_place = FB_SYSTEM_IN_LAST},
    {.name = "mistral-v7", .start = "{bos}", .roles = {{"[SYSTEM_PROMPT] ", "[/SYSTEM_PROMPT]"}, {"[INST] ", "[/INST]"}, {" ", "{eos}"}},
     .system_anywhere = true},
    {.name = "gemma", .start = "{bos}", GEMMA},
    {.name = "gemma-bare", GEMMA},
    {.name = "gemma-3", .start = "{bos}", .roles = {{"", "\n\n"}, GEMMA_TURNS}, .open = "<start_of_turn>model\n", .trim_turns = true,
     .alternate = true, .system_place = FB_SYSTEM_IN_FIRST},
    {.name = "phi-3", PHI3, .close = "{eos}"},
    {.name = "phi-3-small", .start = "{bos}", PHI3, .close = "{eos}"},
    {.name = "phi-3-mini", .start = "{bos}", .roles = {{"<|system|>\n", "<|end|>\n"}, PHI3_OPENED}, .system_anywhere = true},
    {.name = "phi-3-mini-old", .start = "{bos}", .roles = {{NULL, NULL}, PHI3_OPENED}},
    {.name = "phi-3-medium", .roles = {{NULL, NULL}, PHI3_OPENED}},
    {.name = "phi-4", .roles = {{"<|im_start|>system<|im_sep|>", "<|im_end|>"},
                                {"<|im_start|>user<|im_sep|>", "<|im_end|><|im_start|>assistant<|im_sep|>"}, {"", "<|im_end|>"}},
     .system_anywhere = true},
    {.name = "zephyr", .roles = {{"<|system|>\n", "{eos}\n"}, {"<|user|>\n", "{eos}\n"}, {"<|assistant|>\n", "{eos}\n"}}, .open = "<|assistant|>\n",
     .system_anywhere = true},
    {.name = "vicuna", .start = "{bos}", .roles = {{"", "\n\n"}, {"USER: ", "\n"}, {"ASSISTANT: ", "{eos}\n"}}, .open = "ASSISTANT:", .trim = true,
     .alternate = true},
    {.name = "deepseek-v2", .start = "{bos}", .roles = {{"", "\n\n"}, {"User: ", "\n\n"}, {"Assistant: ", "{eos}"}}, .open = "Assistant:",
     .system_anywhere = true},
    {.name = "deepseek-v2.5", .start = "{bos}", .roles = {{"", "\n\n"}, {DEEPSEEK_USER, ""}, {DEEPSEEK_ASSISTANT, "{eos}"}}, .open = DEEPSEEK_ASSISTANT,
     .system_anywhere = true},
    {.name = "deepseek-v3", DEEPSEEK_V3},
    {.name = "deepseek-r1", DEEPSEEK_R1, .open = DEEPSEEK_ASSISTANT "<think>\n"},
    {.name = "deepseek-r1-plain", DEEPSEEK_R1, .open = DEEPSEEK_ASSISTANT},
    {.name = "deepseek-r1-0528", DEEPSEEK_V3, .drop_thoughts = true, .keep_lines = true},
};
const size_t fb_chat_format_count = sizeof fb_chat_formats / sizeof *fb_chat_formats;

const FbChatHash fb_chat_hashes[] = {
    {"153280e3ff55d19da1398bdb3914ee2a51b80429bfaedde11d7d216c39db80f3", "chatml"},
    {"872be49dbb638044ad01b60388f48d469ff2980e5f0dccdc22ec907db54d0788", "smollm2"},
    {"af9c0233881b083b52ff773580215222b5440ac3d0beeeca99b76329b048f8db", "qwen1.5"},
    {"793202280c0910ab26bc6eb57c8212c2417324c6d8c4efd0d10d59092ab3e3eb", "qwen2"},
    {"a18cc698dd45623eb707279d08e66f7bb8d76afc89ead84016b88487b395b5cc", "qwen2.5"},
    {"2df317a15cbc983d9602cc391d33be17237d47ec7eb11ead80fae277143958aa", "qwen3"},
    {"9780fae5bfea3cfd7be37d328c6edfd296a8869be8131495bbe7eb37e780c88c", "llama-2"},
    {"ba03a121d097859c7b5b9cd03af99aafe95275210d2876f642ad9929a150f122", "llama-3"},
    {"47d5a7b4840c2ff2dfa0828b2465a654bef3a6cdfe032e5e105f395e4ceee812", "llama-3"},
    {"b48c47f6443892716176eb200bf4ef108f64e06ca26ed0fa8ebc0a4b3992fcb2", "llama-3-opened"},
    {"99799a835a31e1d33c4a9c7ee8a0de3923b291a95155ed6dc8efcbd0fe1d0238", "llama-3.1"},
    {"0cac23ffd2b33ff7b039e17ee143a080053318146fdc788f1d49ed4745aa8683", "llama-3.1"},
    {"26a59556925c987317ce5291811ba3b7f32ec4c647c400c6cc7e3a9993007ba7", "mistral"},
    {"7e995b379ec01747807246483647cd99030abf331653f1119e16d7ac041a3495", "mistral-0.1"},
    {"1c6594f8393552ef16bbf3ddecb67d8258fb8d66339a1a092a8f8496061f02d3", "mistral-v1"},
    {"1127255163dd25a2fd472f9901035aa9e78dc77ca33efdd010f5c8ea87e5d436", "mistral-v3-tekken"},
    {"3c4ad5fa60dd8c7ccdf82fa4225864c903e107728fcaf859fa6052cb80c92ee9", "mistral-v7"},
    {"ecd6ae513fe103f0eb62e8ab5bfa8d0fe45c1074fa398b089c93a7e70c15cfd6", "gemma"},
    {"3919b9309d8949ee8f4b710215987700f87dc5bb0e87bf24dd39189ec65e3eec", "gemma-bare"},
    {"8d9e3a3c114fb2053ec500184677af4f7e5f8ec2582443cd535834e68b3ade29", "gemma-3"},
    {"78d976a442bcde2f0be15aafbb8e3050e1104f86732266f68403251b89982a90", "phi-3"},
    {"b0e53f5e7bae6fdb93013abeceef343e8841cce87def2601e7269a53439b5740", "phi-3-small"},
    {"68e5b97472ceec7523b68d3678958db46f568999a43221ae354a6ba0bcf0a611", "phi-3-mini"},
    {"268b6082ceb7176dc6ed80557a2f7837f9f0339592fbee677d405a553af15f88", "phi-3-mini-old"},
    {"605841622bcb6572225608f09ec2afcdfb9fb50844ef52715a12689f7b9278b1", "phi-3-medium"},
    {"a41fb8727c4f1e722e53cb1ea935038a1177b8bdf09387f3b048f9da5255ef3e", "phi-4"},
    {"66291cf0045c2425a3a667cf3cbb7af2b11f09e025c02f97245323ab79119362", "zephyr"},
    {"667c1ef9a94de921757bdeac49d4736082b046f193e6712d36abaf29a437d88f", "vicuna"},
    {"8aeba567270fa9a8d5372caf4b04affea947c4421d96adc01e3ff94021b0ae8e", "deepseek-v2"},
    {"980c96c053071fb6157ca0c0d56d6f542bfdd8196259e401c9d3c782190ea607", "deepseek-v2.5"},
    {"c03be5933ffb48105bc6a0a312999b8537338fb0cc2604184731b97add241c7b", "chatml"},
    {"aa39eed4cbfdd57aeaab518e83d06945f00df6afefba6eb985b6b85060cade95", "chatml"},
    {"a0bc6f6fc7a29a80017a433e8f03a1cc1236e838a944a2d034295a60c4f2fddb", "qwen2"},
    {"12d12d3399972c17329df29167b10adf3330c85e30d13d19fae7b1a8af4e4017", "qwen2"},
    {"7d6302983e64f35c4ad9459413ee827d5dcfa23ba5373f58cde030c9f724f7e8", "qwen2"},
    {"d027e14db2e64eb2c23597240d42ea747b4fd5efd6e6a7604a990949c610f79c", "qwen2"},
    {"8cdccda78b7821383997aa7180b12517d09fc3bb6df574b71f4948a4cd89a2ab", "qwen3"},
    {"bbdda5c33c0da787457fe3d57639395bfc04ed65325f12da402d79d45605b707", "qwen3-vl"},
    {"e1bb2406ee4823917ce7b25d346289acd3ae3eaab3e620a6111b637e318e5189", "qwq"},
    {"72e7e9715c1c73c33e15cdf3c5d37cc0efefc25eb6299fc6a6fa516237913bf8", "qwq"},
    {"ca128309ff4951ddda9d51ad72248b4dd1857061f04064fe3eb69bfb8913d331", "qwq"},
    {"22e97ba043dacf9df1f071a9de9d2bb6b0757491f16e96e810834b86e1641286", "deepseek-v3"},
    {"795ba6276beff6e84e75213f77a7e7fff71b6c587618a6ed43c1f90c2ad2334a", "deepseek-r1"},
    {"5b7a90c17faa4288745d78ec7097e9a571a3bb7cddc0ab0282d552bd63c7fb51", "deepseek-r1"},
    {"1546232b56f9c33a5d7fcdc270b0014d67dff9c3df06737f091a4a7dee729c3a", "deepseek-r1-plain"},
    {"53671bac29bcb3e1f95f51b8c77d85a6011b66dc38bd23dce64eef04384a976b", "deepseek-r1-0528"},
};
const size_t fb_chat_hash_count = sizeof fb_chat_hashes / sizeof *fb_chat_hashes;
