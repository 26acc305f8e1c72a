#!/usr/bin/env python3
"""Trains the embedded example once and writes its three files beside this script:
  fashion.onnx      a small MobileNet-type classifier, FP32; batch norm, depthwise layers and ReLU6 are not folded; input N,1,28,28, pixels 0..255
  calibration.npz   500 training pictures (uint8, array `pixels`) with labels
  test.npz          2,000 test pictures with labels
Data: Fashion-MNIST (MIT), Debian package dataset-fashion-mnist. Needs torch and onnx; the result is committed, so nobody else does.
usage: train.py [EPOCHS]"""
import gzip, sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

SOURCE = Path("/usr/share/datasets/fashion-mnist")
HERE = Path(__file__).resolve().parent


def load(part):
    with gzip.open(SOURCE / f"{part}-images-idx3-ubyte.gz") as f:
        pixels = np.frombuffer(f.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    with gzip.open(SOURCE / f"{part}-labels-idx1-ubyte.gz") as f:
        labels = np.frombuffer(f.read(), np.uint8, offset=8).astype(np.int64)
    return pixels, labels


def unit(i, o, k=3, stride=1, groups=1):
    return [nn.Conv2d(i, o, k, stride, k // 2, groups=groups, bias=False), nn.BatchNorm2d(o), nn.ReLU6()]


def separable(i, o, stride=1):
    return unit(i, i, 3, stride, i) + unit(i, o, 1)


def network():
    layers = unit(1, 16) + separable(16, 32) + separable(32, 64, 2) + separable(64, 64) + separable(64, 96, 2) + separable(96, 96)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, 10))


def train(model, pixels, labels, epochs):
    x, y = torch.from_numpy(pixels.copy()), torch.from_numpy(labels)
    steps = epochs * (len(x) // 128)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.15, total_steps=steps)
    model.train()
    for epoch in range(epochs):
        order = torch.randperm(len(x))
        for k in range(len(x) // 128):
            rows = order[k * 128:(k + 1) * 128]
            batch = x[rows].float() / 255
            flip = torch.rand(len(rows)) < 0.5
            batch[flip] = batch[flip].flip(3)
            loss = nn.functional.cross_entropy(model(batch), y[rows], label_smoothing=0.05)
            optimizer.zero_grad(); loss.backward(); optimizer.step(); schedule.step()
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}", flush=True)


def main():
    torch.manual_seed(0); torch.set_num_threads(2)
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    pixels, labels = load("train")
    model = network()
    train(model, pixels, labels, epochs)
    model.eval()
    with torch.no_grad():                      # pixels 0..255 instead of 0..1: the first convolution takes the factor
        model[0].weight /= 255
    tests, answers = load("t10k")
    with torch.no_grad():
        right = sum((model(torch.from_numpy(tests[k:k + 500].copy()).float()).argmax(1).numpy() == answers[k:k + 500]).sum() for k in range(0, 10000, 500))
    print(f"top-1 on 10,000 test pictures: {right / 100:.2f} %")
    torch.onnx.export(model, (torch.zeros(1, 1, 28, 28),), str(HERE / "fashion.onnx"), input_names=["pixels"], output_names=["logits"],
                      opset_version=17, dynamo=False, do_constant_folding=False, training=torch.onnx.TrainingMode.PRESERVE,
                      dynamic_axes={"pixels": {0: "N"}, "logits": {0: "N"}})
    rng = np.random.default_rng(0)
    for name, source, target, count in (("calibration", pixels, labels, 500), ("test", tests, answers, 2000)):
        rows = np.sort(rng.choice(len(source), count, replace=False))
        np.savez_compressed(HERE / f"{name}.npz", pixels=source[rows], labels=target[rows])


main()
