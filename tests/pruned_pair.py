"""A network, the same with half the filters, and a device with one emulator of pip packages: what a comparison compares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from c_source.graphs import Net

DEVICE = """\
schema = 1
name = "mine"
title = "Our sensor board"
[cpu]
core = "cortex-m4"
clock_hz = 60_000_000
features = ["dsp"]
[memory]
flash_bytes = 2_097_152
sram_bytes = 655_360
[runtime]
engine = "tflm"
formats = ["tflite"]
dtypes = ["int8"]
[sources]
cpu = "our schematic"
memory = "our schematic"
runtime = "our firmware"
[[emulator]]
kind = "cortex_m"
machine = "unicorn"
"""


def device(folder: Path) -> Path:
    """The target's file."""
    path = folder / "mine.toml"
    path.write_text(DEVICE)
    return path


def pair(folder: Path) -> tuple[Path, Path]:
    """wide.tflite and narrow.tflite."""
    return network(folder / "wide.tflite", 8), network(folder / "narrow.tflite", 4)


def network(path: Path, filters: int) -> Path:
    """8x8x1 int8 -> two convolutions 3x3 and 1x1 of `filters` -> a 1x1 one of 4 -> mean -> fully connected over 3.

    All weights of the convolutions are equal, so that in the second one half the filters give half the sums, and in the
    third a quarter.
    """
    net = Net()
    x, depth = net.input((1, 8, 8, 1), scale=1 / 255, zero=-128), 1
    for count, kernel, scale in ((filters, 3, 0.1), (filters, 1, 0.1), (4, 1, 0.5)):
        y = net.tensor((1, 8, 8, count), scale=scale, zero=-128)
        weights = net.constant(np.full((count, kernel, kernel, depth), 60), np.int8, scale=[0.01] * count)
        bias = net.constant(np.zeros(count), scale=[0.01 * scale] * count)
        strides = {"strideW": 1, "strideH": 1, "dilationWFactor": 1, "dilationHFactor": 1}
        net.operator("CONV_2D", [x, weights, bias], y, "Conv2D", version=3, **strides)
        x, depth = y, count
    pooled = net.tensor((1, 4), scale=0.5, zero=-128)
    net.operator("MEAN", [x, net.constant([1, 2])], pooled, "Reducer", keepDims=False)
    answer = net.output((1, 3), scale=0.25)
    weights = net.constant([[25] * 4, [-25] * 4, [50, 0, -50, 0]], np.int8, scale=0.01)
    net.operator("FULLY_CONNECTED", [pooled, weights, net.constant([0] * 3, scale=0.005)], answer, "FullyConnected", version=4)
    return net.write(path)
