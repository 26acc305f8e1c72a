#!/usr/bin/env python3
"""Public data layouts as .npz or .jsonl that fewbit and other runtimes read alike.

  data.py MODEL     OUT                        the data of a model of ../shared/data as the model takes them: cifar10_resnet8, cifar10_resnet_4b,
                                               mnist-8, mobilenet_v1_0.25, efficientnet_lite0, yolox_nano, g2pm_bilstm, silero_vad, minilm

  data.py cifar     FILE.bin                   -o OUT.npz [--preprocess NAME]     CIFAR-10 binary records (label, R, G, B planes)
  data.py idx       IMAGES.gz LABELS.gz        -o OUT.npz [--preprocess NAME]     MNIST's IDX files
  data.py pictures  FOLDER                     -o OUT.npz  --preprocess NAME      pictures with labels.tsv, through Pillow
  data.py ids       FILE.tsv                   -o OUT.jsonl                       label, position, token ids: ids of shape (T, 1)
  data.py wav       FILE.wav ...               -o OUT.npz [--model VAD.onnx]      Silero frames: 64 samples of context + 512; with --model the state
                                                                                  runs along (needs onnxruntime), otherwise it is zero
  data.py pairs     FILE.csv TOKENIZER.json    -o OUT.jsonl                       two sentences and a score a line; scores go to OUT.scores.json

  --input NAME        of the array (default: input, ids, images)         --fold even|odd   rows 0, 2, 4, ... (calibrate) or 1, 3, 5, ... (evaluate)
  --limit N           at most N rows, before folding                     --preprocess=NAME imagenet, -1..1, 0..1, 0..255, lite0, yolox, cifar

Needs numpy; Pillow for pictures, tokenizers for pairs. Rows keep their order, so folds of one source are disjoint."""
import argparse
import csv
import gzip
import json
import os
import struct
import sys
import wave
from pathlib import Path

import numpy as np

# value = (pixel * scale - mean) / std, as fewbit's own table has it; cifar is for the network trained with these figures.
PREPROCESS = {
    "imagenet": (1 / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    "-1..1": (1 / 127.5, [1, 1, 1], [1, 1, 1]),
    "0..1": (1 / 255, [0, 0, 0], [1, 1, 1]),
    "0..255": (1, [0, 0, 0], [1, 1, 1]),
    "lite0": (1, [127, 127, 127], [128, 128, 128]),
    "yolox": (1, [0, 0, 0], [1, 1, 1]),
    "cifar": (1 / 255, [0.4914, 0.4822, 0.4465], [0.2471, 0.2435, 0.2616]),
}


def values(pixels, name):
    """uint8 (N, C, H, W) to float32; in double and rounded once, like fewbit."""
    scale, mean, std = PREPROCESS[name]
    channels = pixels.shape[1]
    table = np.stack([((np.arange(256) * scale - m) / s).astype("f4") for m, s in zip(mean[:channels], std[:channels])])
    return np.stack([table[c][pixels[:, c]] for c in range(channels)], 1)


def fold(count, options):
    rows = np.arange(count)[: options.limit]
    return rows[{"even": slice(0, None, 2), "odd": slice(1, None, 2), None: slice(None)}[options.fold]]


def save(options, arrays):
    with open(options.output, "wb") as f:
        np.savez(f, **arrays)
    shapes = ", ".join(f"{k} {v.dtype}{list(v.shape)}" for k, v in arrays.items())
    print(f"{options.output}: {shapes}")


def save_lines(options, lines):
    with open(options.output, "w", encoding="utf-8") as f:
        f.writelines(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    print(f"{options.output}: {len(lines)} samples")


def cifar(options):
    records = np.fromfile(options.source[0], np.uint8)
    if records.size % 3073:
        sys.exit(f"{options.source[0]}: not a whole number of 3,073-byte records")
    records = records.reshape(-1, 3073)
    records = records[fold(len(records), options)]
    save(options, {options.input or "input": values(records[:, 1:].reshape(-1, 3, 32, 32), options.preprocess or "0..255"),
                   "labels": records[:, 0].astype("i8")})


def read_idx(path):
    data = gzip.open(path).read() if path.endswith(".gz") else Path(path).read_bytes()
    rank = data[3]
    dims = struct.unpack(f">{rank}I", data[4:4 + 4 * rank])
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(dims)


def idx(options):
    images, labels = (read_idx(p) for p in options.source)
    rows = fold(len(images), options)
    save(options, {options.input or "input": values(images[rows, None], options.preprocess or "0..255"), "labels": labels[rows].astype("i8")})


def bilinear(pixels, height, width):
    """Without antialias, half-pixel centres: what YOLOX's letterbox uses."""
    def axis(size, target):
        centre = np.clip((np.arange(target) + 0.5) * size / target - 0.5, 0, size - 1)
        low = np.floor(centre).astype(int)
        return low, np.minimum(low + 1, size - 1), centre - low

    y0, y1, fy = axis(pixels.shape[0], height)
    x0, x1, fx = axis(pixels.shape[1], width)
    fx, fy = fx[None, :, None], fy[:, None, None]
    rows = np.floor(pixels[:, x0] * (1 - fx) + pixels[:, x1] * fx + 0.5)  # columns first, rounded to codes between the passes
    return np.floor(rows[y0] * (1 - fy) + rows[y1] * fy + 0.5).astype(np.uint8)


def letterbox(image, size, border):
    pixels = np.asarray(image)
    ratio = min(size / pixels.shape[0], size / pixels.shape[1])
    height, width = int(pixels.shape[0] * ratio), int(pixels.shape[1] * ratio)
    out = np.full((size, size, 3), border, np.uint8)
    out[:height, :width] = bilinear(pixels, height, width)
    return out


def crop(image, size, filter_name):
    """A picture of the right size as it is; otherwise the central 87.5 %, like fewbit's named preprocessings."""
    from PIL import Image
    if image.size == (size, size):
        return np.asarray(image)
    short = round(size / 0.875)
    w, h = image.size
    w, h = (short, short * h // w) if w <= h else (short * w // h, short)
    f = getattr(Image, filter_name)
    image = image.resize((w, image.height), f).resize((w, h), f)  # columns first whatever Pillow's version
    left, top = round((w - size) / 2), round((h - size) / 2)
    return np.asarray(image)[top:top + size, left:left + size]


def pictures(options):
    from PIL import Image
    folder = Path(options.source[0])
    if (folder / "labels.tsv").exists():
        entries = [line.split("\t")[:2] for line in (folder / "labels.tsv").read_text().splitlines() if line]
    else:
        entries = [(p.name, None) for p in sorted(folder.iterdir()) if p.suffix.lower() in (".jpg", ".jpeg", ".png")]
    if not options.preprocess:
        sys.exit("pictures need --preprocess")
    entries = [entries[i] for i in fold(len(entries), options)]
    yolox = options.preprocess == "yolox"
    size = options.size or (416 if yolox else 224)
    out = []
    for name, _ in entries:
        image = Image.open(folder / name).convert("RGB")
        out.append(letterbox(image, size, 114)[..., ::-1] if yolox else crop(image, size, "BICUBIC" if options.preprocess == "lite0" else "BILINEAR"))
    arrays = {options.input or ("images" if yolox else "input"): values(np.stack(out).transpose(0, 3, 1, 2), options.preprocess)}
    if entries and entries[0][1] is not None:
        arrays["labels"] = np.array([int(c) for _, c in entries], "i8")
    save(options, arrays)


def ids(options):
    rows = [line.rstrip("\n").split("\t") for line in open(options.source[0], encoding="utf-8") if line.strip()]
    name = options.input or "ids"
    save_lines(options, [{"inputs": {name: [[int(t)] for t in rows[i][2].split()]}, "label": int(rows[i][0]), "position": int(rows[i][1])}
                         for i in fold(len(rows), options)])


def wav(options):
    frames, files = [], []
    for k, path in enumerate(options.source):
        with wave.open(path) as w:
            if (w.getnchannels(), w.getsampwidth(), w.getframerate()) != (1, 2, 16000):
                sys.exit(f"{path}: 16 kHz, one channel, 16 bit is what the model takes")
            samples = np.frombuffer(w.readframes(w.getnframes()), "<i2").astype("f4") / 32768
        samples = np.concatenate([np.zeros(64, "f4"), samples[: len(samples) // 512 * 512]])
        frames += [samples[i:i + 576] for i in range(0, len(samples) - 575, 512)]
        files += [k] * (len(frames) - len(files))
    frames = np.stack(frames)
    state = np.zeros((len(frames), 2, 1, 128), "f4")
    if options.model:
        import onnxruntime
        session = onnxruntime.InferenceSession(options.model, providers=["CPUExecutionProvider"])
        for i in range(1, len(frames)):
            if files[i] == files[i - 1]:
                state[i] = session.run(["stateN"], {"input": frames[i - 1:i], "state": state[i - 1]})[0]
    rows = fold(len(frames), options)
    save(options, {options.input or "input": frames[rows], "state": state[rows]})


def pairs(options):
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(options.source[1])
    tokenizer.no_padding()
    tokenizer.enable_truncation(128)
    rows = [r for r in csv.reader(open(options.source[0], encoding="utf-8")) if len(r) == 3]
    rows = [rows[i] for i in fold(len(rows), options)]
    lines = []
    for row in rows:
        for sentence in row[:2]:
            tokens = tokenizer.encode(sentence).ids
            lines.append({"inputs": {"input_ids": [tokens], "attention_mask": [[1] * len(tokens)]}})
    save_lines(options, lines)
    Path(options.output).with_suffix(".scores.json").write_text(json.dumps([float(r[2]) for r in rows]) + "\n")


LAYOUTS = {"cifar": (cifar, 1), "idx": (idx, 2), "pictures": (pictures, 1), "ids": (ids, 1), "wav": (wav, None), "pairs": (pairs, 2)}

SHARED = Path(os.environ.get("FEWBIT_SHARED", Path(__file__).resolve().parents[1].parent / "shared")) / "data"
MODELS_FOLDER = Path(os.environ.get("FEWBIT_PEERS", Path.home() / ".cache/fewbit-peers")) / "models"
IMAGENET = "vision/imagenet_sample_100"
MODELS = {  # layout, sources, name of the input, preprocessing
    "cifar10_resnet8": ("cifar", ["vision/cifar10_test_500.bin"], "input", "0..255"),
    "cifar10_resnet_4b": ("cifar", ["vision/cifar10_test_500.bin"], "input.1", "cifar"),
    "mnist-8": ("idx", ["vision/mnist10k-images-idx3-ubyte.gz", "vision/mnist10k-labels-idx1-ubyte.gz"], "Input3", "0..255"),
    "mobilenet_v1_0.25": ("pictures", [IMAGENET], "input", "-1..1"),
    "efficientnet_lite0": ("pictures", [IMAGENET], "image", "lite0"),
    "yolox_nano": ("pictures", ["detection/coco16"], "images", "yolox"),
    "g2pm_bilstm": ("ids", ["recurrent/g2pm_dev_ids.tsv"], "ids", None),
    "silero_vad": ("wav", ["recurrent/speech/*.wav"], "input", None),
    "minilm": ("pairs", ["text/stsb-en-dev.csv", MODELS_FOLDER / "minilm/tokenizer.json"], None, None),
}


def known_model(options):
    """`MODEL OUT` becomes layout, sources, names."""
    if options.output is None and len(options.source) == 1:
        options.output = options.source[0]
    layout, sources, name, preprocess = MODELS[options.layout]
    if options.layout == "silero_vad" and not options.model:
        options.model = str(SHARED / "recurrent/silero_vad_16k_flat.onnx")
    options.layout, options.input, options.preprocess = layout, options.input or name, options.preprocess or preprocess
    options.source = [str(p) for s in sources for p in (sorted(SHARED.glob(s)) if "*" in str(s) else [SHARED / s])]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("layout", choices=[*LAYOUTS, *MODELS])
    parser.add_argument("source", nargs="*")
    parser.add_argument("-o", "--output")
    parser.add_argument("--input")
    parser.add_argument("--preprocess", choices=PREPROCESS)
    parser.add_argument("--size", type=int)
    parser.add_argument("--fold", choices=("even", "odd"))
    parser.add_argument("--limit", type=int)
    parser.add_argument("--model")
    options = parser.parse_args()
    if options.layout in MODELS:
        known_model(options)
    if not options.output:
        parser.error("name the output: -o FILE")
    make, sources = LAYOUTS[options.layout]
    if sources and len(options.source) != sources:
        parser.error(f"{options.layout} takes {sources} file{'s' if sources > 1 else ''}")
    make(options)


if __name__ == "__main__":
    main()
