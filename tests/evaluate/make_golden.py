#!/usr/bin/env python3
"""Writes golden_paired.tsv and golden_wilson.tsv from SciPy (made with 1.17.1). Tango's interval is found here another way than in the library:
the restricted estimate by maximizing the likelihood numerically, the limits by Brent's method. usage: make_golden.py FOLDER"""
import sys
from pathlib import Path

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binomtest, norm

folder = Path(sys.argv[1])
z = norm.ppf(0.975)


def restricted(b, c, n, delta):
    """q21 that maximizes b log(q + delta) + c log(q) + (n - b - c) log(1 - 2 q - delta); w = the smaller of q + delta and q."""
    more, less, top = max(delta, 0.0), max(-delta, 0.0), (1 - abs(delta)) / 2

    def slope(w):
        return (b / (w + more) if b else 0) + (c / (w + less) if c else 0) - ((n - b - c) / (top - w) if n > b + c else 0)

    low, high = top * 1e-14, top * (1 - 1e-14)
    if slope(low) <= 0:
        return less
    if slope(high) >= 0:
        return top + less
    return brentq(slope, low, high, xtol=1e-300, rtol=1e-15) + less


def score(b, c, n, delta):
    variance = (2 * restricted(b, c, n, delta) + delta - delta * delta) / n
    gap = (b - c) / n - delta
    return gap / np.sqrt(variance) if variance > 0 else np.inf * np.sign(gap)


def tango(b, c, n):
    estimate = (b - c) / n
    low = -1.0 if score(b, c, n, -1 + 1e-12) < z else brentq(lambda d: score(b, c, n, d) - z, -1 + 1e-12, estimate - 1e-12, xtol=1e-14)
    high = 1.0 if score(b, c, n, 1 - 1e-12) > -z else brentq(lambda d: score(b, c, n, d) + z, estimate + 1e-12, 1 - 1e-12, xtol=1e-14)
    return low, high


cases = [(80, 8, 5, 7), (57, 4, 4, 35), (1200, 30, 22, 748), (100, 0, 0, 0), (0, 0, 0, 50), (43, 0, 1, 0), (10, 9, 0, 1), (0, 10, 0, 0), (0, 0, 10, 0),
         (500, 100, 20, 380), (5, 1, 2, 2), (7550, 130, 95, 2225), (1, 0, 0, 0), (12, 2, 14, 26), (200, 300, 300, 200)]
lines = []
for both, baseline_only, model_only, neither in cases:
    n = both + baseline_only + model_only + neither
    low, high = tango(model_only, baseline_only, n)
    k = baseline_only + model_only
    p = binomtest(model_only, k, 0.5).pvalue if k else 1.0
    lines.append(f"{both}\t{baseline_only}\t{model_only}\t{neither}\t{low:.12g}\t{high:.12g}\t{p:.12g}\n")
(folder / "golden_paired.tsv").write_text("".join(lines))
lines = []
for hits, count in ((0, 10), (10, 10), (5, 10), (1, 1), (83, 100), (1987, 2000), (1, 3000), (749, 750)):
    ci = binomtest(hits, count).proportion_ci(0.95, "wilson")
    lines.append(f"{hits}\t{count}\t{ci.low:.12g}\t{ci.high:.12g}\n")
(folder / "golden_wilson.tsv").write_text("".join(lines))
