"""The examples that ranges are calibrated on and files are judged on, as `--data` takes them.

CIFAR-10 has splits of its own. Keyword clips come from one test set, so that a part is taken out of it for calibration.
The other two MLPerf Tiny models are given no data: photographs at their size, and spectra that are made here.
"""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.structural import networks as structural
from toolchain.cache import Cache
from toolchain.data import Array, Dataset, DataSettings, balanced_sample
from toolchain.prepared_data import open_data
from toolchain.worker import silent

KEYWORDS = structural.DEVELOPMENT / "kws" / "mfcc_a.npz"
HELD_OUT = 500
"""Keyword clips that calibrate and validate, half each; no score knows them."""
PIXELS = DataSettings(scale="2/255", offset=-1.0)
"""Of the networks trained here: pixels in [-1, 1]."""

FRAMES, BANDS = 5, 128
LOUDEST, SOFTEST = 14.9, -84.8
"""Decibels that the anomaly detector's official int8 file can tell apart (its input's scale and zero point)."""


def opened(source: Path, settings: DataSettings) -> Dataset:
    """The splits of a file."""
    return open_data(str(source), "run", settings, 0, Cache(), silent)


def cifar10() -> Path:
    """40,000 photographs to train (a tenth of them to validate), the 5,000 of test_a to test."""
    return structural.npz()


@functools.cache
def keywords() -> Path:
    """Speech Commands as MFCC `[N, 49, 10, 1]`: 250 clips to calibrate, 250 to validate, the rest to test."""
    clips = np.load(KEYWORDS)
    x, y = clips["x"], clips["y"]
    taken = balanced_sample(len(x), y, HELD_OUT, seed=0)
    calibrating = taken[balanced_sample(HELD_OUT, y[taken], HELD_OUT // 2, seed=0)]
    parts = {
        "train": calibrating,
        "validation": np.setdiff1d(taken, calibrating),
        "test": np.setdiff1d(np.arange(len(x)), taken),
    }
    return _written("keywords", {f"{key}_{part}": value[index] for part, index in parts.items() for key, value in (("x", x), ("y", y))})


@functools.cache
def photographs() -> Path:
    """CIFAR-10 at 96x96 for visual wake words, without labels: 400 to calibrate, 200 to validate, 500 to test."""
    from PIL import Image

    def enlarged(images: Array) -> Array:
        return np.stack([np.asarray(Image.fromarray(image).resize((96, 96), Image.Resampling.BILINEAR)) for image in images])

    train, test = np.load(structural.CIFAR10 / "train.npz")["x"], np.load(structural.CIFAR10 / "test_a.npz")["x"]
    return _written(
        "photographs", {"x_train": enlarged(train[:400]), "x_validation": enlarged(train[-200:]), "x_test": enlarged(test[:500])}
    )


@functools.cache
def spectra() -> Path:
    """Log-mel features of machines that hum: 1,000 to calibrate, 500 to validate, 1,000 to test."""
    rng = np.random.default_rng(0)
    return _written(
        "spectra", {f"x_{part}": machine_sounds(count, rng) for part, count in (("train", 1000), ("validation", 500), ("test", 1000))}
    )


def machine_sounds(count: int, rng: np.random.Generator) -> Array:
    """`[count, 640]` in decibels: five frames of 128 mel bands.

    Each clip has a loudness, a tilt towards high bands, a fall at both ends and some resonances, which all frames share, and
    noise that is alike in bands that are neighbours.
    """
    bands = np.linspace(0, 1, BANDS)
    loudness, tilt = rng.normal(-7, 3, (count, 1)), rng.normal(-24, 4, (count, 1))
    ends = -36 * np.exp(-bands / 0.006) - 18 * np.exp(-(1 - bands) / 0.006)
    places, widths, heights = rng.uniform(0, 1, (count, 6)), rng.uniform(0.01, 0.05, (count, 6)), rng.normal(0, 4, (count, 6))
    bumps = (heights[..., None] * np.exp(-(((bands - places[..., None]) / widths[..., None]) ** 2))).sum(1)
    shape = loudness + tilt * bands + ends + bumps
    noise = rng.normal(0, 3, (count, FRAMES, BANDS + 2))
    smooth = (noise[..., :-2] + 2 * noise[..., 1:-1] + noise[..., 2:]) / 4
    return np.clip(shape[:, None] + smooth, SOFTEST, LOUDEST).reshape(count, -1).astype(np.float32)


def _written(name: str, arrays: dict[str, Array]) -> Path:
    path = Path(tempfile.gettempdir()) / f"secateur_{name}.npz"
    np.savez(path, **arrays)
    return path
