"""Networks and a profile small enough to check by hand."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from c_source.graphs import Net

from toolchain.device import Cpu, Device, Memory, Runtime
from toolchain.latency.profile import Board, Errors, Profile
from toolchain.latency.work import TERMS

ROUND = {
    "conv_mac": 2, "narrow_conv_mac": 3, "pointwise_mac": 1, "depthwise_mac": 5, "generic_depthwise_mac": 6, "dense_mac": 4, "output": 10,
    "patch_value": 1, "weight_byte": 1, "elementwise": 7, "pool_value": 2, "softmax_value": 100, "moved_value": 1, "operator": 1000,
}  # fmt: skip
"""Cycles that are easy to multiply."""


def network(path: Path, filters: int = 8, classes: int = 3, channels: int = 3, last: str = "SOFTMAX", dtype=np.int8) -> Path:
    """8x8 int8 image -> 3x3 convolution, stride 2 -> depthwise 3x3 -> 1x1 convolution -> fully connected -> `last`.

    The 1x1 convolution computes `dtype`.
    """
    net = Net()

    def weights(shape, *, bias):
        return net.tensor(shape, scale=0.1, data=[1] * _count(shape)), net.constant([0] * bias, scale=0.01)

    image = net.input((1, 8, 8, channels), 0.1)
    small = net.tensor((1, 4, 4, filters), 0.1)
    net.operator("CONV_2D", [image, *weights((filters, 3, 3, channels), bias=filters)], small, "Conv2D", strideW=2, strideH=2)
    deep = net.tensor((1, 4, 4, filters), 0.1)
    kernel = weights((1, 3, 3, filters), bias=filters)
    net.operator("DEPTHWISE_CONV_2D", [small, *kernel], deep, "DepthwiseConv2D", strideW=1, strideH=1, depthMultiplier=1)
    mixed = net.tensor((1, 4, 4, 4), 0.1, dtype=dtype)
    net.operator("CONV_2D", [deep, *weights((4, 1, 1, filters), bias=4)], mixed, "Conv2D", strideW=1, strideH=1)
    flat = net.tensor((1, 64), 0.1)
    net.operator("RESHAPE", [mixed, net.constant([1, 64])], flat, "Reshape")
    scores = net.tensor((1, classes), 0.1)
    net.operator("FULLY_CONNECTED", [flat, *weights((classes, 64), bias=classes)], scores, "FullyConnected")
    net.operator(last, [scores], net.output((1, classes), 1 / 256, -128))
    return net.write(path)


def _count(shape) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def profile(**changes) -> Profile:
    """Costs of `ROUND`, known to 10 % each, one board at 100 MHz that takes a tenth more than others."""
    size = len(TERMS) + 1
    made = Profile(
        schema=1,
        name="round-1.0/cortex-m4",
        core="cortex-m4",
        engine="Round 1.0",
        dtype="int8",
        unit="network",
        cycles={term: float(ROUND[term]) for term in TERMS},
        boards=(Board(name="board", clock_hz=100_000_000, factor=1.1),),
        covariance=tuple(tuple(0.01 if row == column < size - 1 else 0.0 for column in range(size)) for row in range(size)),
        residual_sd=0.06,
        board_sd=0.08,
        interval_z=1.645,
        shares=dict.fromkeys(TERMS, 0.6),
        macs=(1_000, 1_000_000),
        errors=Errors(fit=0.01, leave_one_row_out=None, leave_one_family_out=0.05, held_out_rows=2, coverage=1.0, width=0.3),
        rows=(),
    )
    return msgspec.structs.replace(made, **changes)


def device(core: str = "cortex-m4", clock_hz: int = 100_000_000, **memory: int) -> Device:
    """A device of that core."""
    sizes = {"sram_bytes": 65_536} | memory
    return Device("mine", "Mine", Cpu(core, clock_hz), Memory(**sizes), Runtime("tflm", ("tflite",), ("int8",)))
