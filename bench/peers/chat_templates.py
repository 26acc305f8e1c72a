#!/usr/bin/env python3
"""Chat templates against transformers: every *.jinja of a folder is given to fewbit as a model's template; where it is known, conversations rendered
by both must be equal. Unknown ones are listed with their hash.

usage: chat_templates.py LIBFEWBIT.so FOLDER...
"""
import ctypes
import glob
import json
import os
import sys
import tempfile

from transformers.utils.chat_template_utils import render_jinja_template

ADD_SPECIAL, PARSE_SPECIAL = 1, 2
BOS, EOS = "<s>", "</s>"
USER, ANSWER, SYSTEM = {"role": "user"}, {"role": "assistant"}, {"role": "system"}
CONVERSATIONS = [
    [USER | {"content": "Hello"}],
    [USER | {"content": "  Hello {eos} \n"}, ANSWER | {"content": " Hi there "}, USER | {"content": "Who are you?"}],
    [SYSTEM | {"content": " Be short. "}, USER | {"content": "Hello"}],
    [SYSTEM | {"content": "Be short."}, USER | {"content": "a"}, ANSWER | {"content": "b"}, USER | {"content": "c"}, ANSWER | {"content": "d"},
     USER | {"content": "e"}],
    [USER | {"content": "Hello"}, ANSWER | {"content": "Hi"}],
    [USER | {"content": "Think"}, ANSWER | {"content": "<think>\nhm\n</think>\n\nYes"}, USER | {"content": "Sure?"}],
    [USER | {"content": "Think"}, ANSWER | {"content": "a</think>b</think>\nc"}, USER | {"content": "Sure?"}],
    [SYSTEM | {"content": "Be short."}],
    [USER | {"content": "a"}, USER | {"content": "b"}],
    [USER | {"content": "a"}, SYSTEM | {"content": "Late."}, USER | {"content": "b"}],
]


class Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("message", ctypes.c_char * 512)]


class Message(ctypes.Structure):
    _fields_ = [("role", ctypes.c_char_p), ("content", ctypes.c_char_p)]


class Library:
    def __init__(self, path):
        self.lib = ctypes.CDLL(path)
        self.context, self.error = ctypes.c_void_p(), Error()
        self.lib.fb_context_create(None, ctypes.byref(self.context), None)
        self.lib.fb_chat_template.restype = ctypes.c_char_p

    def open(self, path):
        tokenizer = ctypes.c_void_p()
        if self.lib.fb_tokenizer_open(self.context, path.encode(), ctypes.byref(tokenizer), ctypes.byref(self.error)) != 0:
            raise RuntimeError(self.error.message.decode())
        return tokenizer

    def render(self, tokenizer, messages, add_assistant):
        """The text, or None and the message."""
        rows = (Message * len(messages))(*[Message(m["role"].encode(), m["content"].encode()) for m in messages])
        text = ctypes.c_char_p()
        status = self.lib.fb_chat_render(self.context, tokenizer, rows, ctypes.c_size_t(len(messages)), ctypes.c_bool(add_assistant),
                                         ctypes.byref(text), ctypes.byref(self.error))
        return (text.value.decode(), None) if status == 0 else (None, self.error.message.decode())


def model_folder(folder, template):
    tokens = [{"id": i, "content": c, "special": True, "normalized": False} for i, c in enumerate((BOS, EOS))]
    model = {"type": "BPE", "vocab": {BOS: 0, EOS: 1, "a": 2}, "merges": []}
    json.dump({"added_tokens": tokens, "model": model}, open(f"{folder}/tokenizer.json", "w"))
    json.dump({"bos_token": BOS, "eos_token": EOS}, open(f"{folder}/tokenizer_config.json", "w"))
    open(f"{folder}/chat_template.jinja", "w", newline="").write(template)


def reference(template, messages, add_assistant):
    try:
        rendered, _ = render_jinja_template(conversations=[messages], chat_template=template, add_generation_prompt=add_assistant, bos_token=BOS,
                                            eos_token=EOS, date_string="26 Jul 2024")
        return rendered[0]
    except Exception:  # the template refuses the conversation
        return None


def compare(library, path):
    template = open(path, newline="").read()
    with tempfile.TemporaryDirectory() as folder:
        model_folder(folder, template)
        tokenizer = library.open(folder)
        name = library.lib.fb_chat_template(tokenizer)
        if name is None:
            print(f"unknown    {os.path.basename(path)}: {library.render(tokenizer, CONVERSATIONS[0], True)[1]}")
            return 0, 0
        equal = refused = bad = 0
        for messages in CONVERSATIONS:
            for add_assistant in (True, False):
                ours, why = library.render(tokenizer, messages, add_assistant)
                theirs = reference(template, messages, add_assistant)
                if ours is None:
                    refused += 1
                elif ours == theirs:
                    equal += 1
                else:
                    bad += 1
                    print(f"DIFFERENT {os.path.basename(path)} {messages} {add_assistant}\n  ours   {ours!r}\n  theirs {theirs!r}")
        print(f"{name.decode():12} {os.path.basename(path)}: {equal} equal, {refused} refused, {bad} different")
        library.lib.fb_tokenizer_free(tokenizer)
        return equal, bad


def main():
    library = Library(sys.argv[1])
    results = [compare(library, path) for folder in sys.argv[2:] for path in sorted(glob.glob(f"{folder}/*.jinja"))]
    print(f"{sum(e > 0 for e, _ in results)} known templates, {sum(e for e, _ in results)} conversations equal, {sum(b for _, b in results)} different")
    return 1 if any(b for _, b in results) else 0


if __name__ == "__main__":
    sys.exit(main())
