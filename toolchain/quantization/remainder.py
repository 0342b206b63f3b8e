"""What an integer .tflite holds after all: the ranges of its tensors, and what stayed in float."""

from __future__ import annotations

import msgspec

from toolchain.quantization.grid import Affine
from toolchain.quantization.ranges import Histogram
from toolchain.tflite_file import Tensor, TfliteFile

BITS = {"INT8": 8, "INT16": 16}
CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")


class Row(msgspec.Struct, frozen=True):
    """The range that one activation got; `clipped` is the share of the calibration values beyond it."""

    tensor: str
    min: float
    max: float
    scale: float
    zero_point: int
    clipped: float


def float_operators(file: TfliteFile) -> list[str]:
    """Operators that compute in float: `SIN model/sin`."""
    return [
        f"{op.name} {file.tensors[op.outputs[0]].name}"
        for op in file.operators
        if op.name not in CONVERSIONS and any(file.tensors[i].dtype == "FLOAT32" for i in op.outputs)
    ]


def float_kernels(file: TfliteFile) -> dict[str, str]:
    """Operators whose weights are float32, or may be, with the reason: `{"DEPTHWISE_CONV_2D model/depthwise": ...}`."""
    kernels = {t.index for t in file.weights if t.dtype == "FLOAT32" and len(t.shape) > 1}
    found = {}
    for op in file.operators:
        name = f"{op.name} {file.tensors[op.outputs[0]].name}"
        if op.macs and kernels & set(op.inputs):
            found[name] = "its weights stay in float32: this quantizer passes over them"
        elif op.name in ("WHILE", "IF"):
            found[name] = "the weights inside of it may stay in float32"
    return found


def rows(file: TfliteFile, histograms: dict[str, Histogram]) -> list[Row]:
    """The achieved range of every activation that was measured and is an integer in the file."""
    found = []
    for tensor in stored(file):
        if tensor.name in histograms:
            grid = Affine(tensor.scale[0], tensor.zero_point[0], BITS[tensor.dtype])
            low, high = grid.limits
            half = grid.scale / 2
            clipped = histograms[tensor.name].outside(low - half, high + half)
            found.append(Row(tensor.name, low, high, grid.scale, grid.zero_point, clipped))
    return found


def stored(file: TfliteFile) -> list[Tensor]:
    """The integer activations, those at a float edge under the name of the float tensor beside it."""
    aliases = {}
    for op in file.operators:
        if op.name in CONVERSIONS:
            inside, outside = (op.outputs[0], op.inputs[0]) if op.name == "QUANTIZE" else (op.inputs[0], op.outputs[0])
            if file.tensors[outside].dtype not in BITS:
                aliases[inside] = file.tensors[outside].name
    return [
        msgspec.structs.replace(t, name=aliases.get(t.index, t.name))
        for t in file.tensors
        if not t.constant and t.dtype in BITS and len(t.scale) == 1
    ]
