"""A float .onnx with smaller numbers: each scheme is one function from file to file.

The float file is first prepared by onnxruntime: constants and normalizations are folded, so that what is quantized is what will run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np

from toolchain.data import Array
from toolchain.optional import require
from toolchain.quantization.grid import weight_scales

Ranges = Literal["minmax", "percentile", "entropy"]

QUANTIZERS = ("QuantizeLinear", "DequantizeLinear")
MOVES = ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Identity")
OUTPUT_AXES = {"Conv": 0, "ConvTranspose": 1, "MatMul": -1, "Gemm": 1, "LSTM": 1, "GRU": 1, "RNN": 1}
"""Axis of the second input that counts output channels (ONNX operator specification); Gemm's is 0 with transB."""


@contextmanager
def _prepared(source: Path) -> Iterator[Path]:
    preprocess = require("onnxruntime.quantization.shape_inference", "onnx").quant_pre_process
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        preprocess(str(source), str(prepared), skip_symbolic_shape=True)
        yield prepared


def float16(source: Path, out: Path) -> None:
    """Weights and arithmetic in float16; inputs and outputs stay float32."""
    onnx = require("onnx", "onnx")
    convert = require("onnxruntime.transformers.float16", "onnx").convert_float_to_float16
    with _prepared(source) as prepared:
        model = convert(onnx.load(prepared), keep_io_types=True)
    given = {value.name for value in model.graph.input}
    ordered = sorted(model.graph.node, key=lambda node: node.op_type != "Cast" or node.input[0] not in given)
    del model.graph.node[:]
    model.graph.node.extend(ordered)  # the converter leaves the casts of the inputs at the end
    onnx.save(model, out)


def dynamic(source: Path, out: Path, *, per_tensor: bool) -> None:
    """Int8 weights, and activations that are quantized as they come."""
    quantization = require("onnxruntime.quantization", "onnx")
    with _prepared(source) as prepared:
        kind: Any = quantization.QuantType.QUInt8  # the CPU's ConvInteger takes no signed weights
        quantization.quantize_dynamic(str(prepared), str(out), per_channel=not per_tensor, weight_type=kind)


def weight_only(source: Path, out: Path, *, per_tensor: bool) -> None:
    """Int8 weights behind a DequantizeLinear; all arithmetic in float32."""
    onnx = require("onnx", "onnx")
    with _prepared(source) as prepared:
        model = onnx.load(prepared)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    made: dict[str, Any] = {}
    for node in model.graph.node:
        for name in kernels_of(node):
            if name in constants and name not in made:
                value = onnx.numpy_helper.to_array(constants[name])
                stored, scales, axis = rounded(value, _output_axis(node) % value.ndim, per_tensor=per_tensor)
                parts = {f"{name}_stored": stored, f"{name}_scale": scales, f"{name}_zero_point": np.zeros(scales.shape, np.int8)}
                model.graph.initializer.extend(onnx.numpy_helper.from_array(part, key) for key, part in parts.items())
                model.graph.initializer.remove(constants[name])
                made[name] = onnx.helper.make_node("DequantizeLinear", list(parts), [name], **({} if axis is None else {"axis": axis}))
    nodes = [*made.values(), *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, out)


def kernels_of(node: Any) -> list[str]:
    """The inputs of a node that are its kernels."""
    if node.op_type not in OUTPUT_AXES:
        return []
    return list(node.input[1:3] if node.op_type in ("LSTM", "GRU", "RNN") else node.input[1:2])


def _output_axis(node: Any) -> int:
    transposed = node.op_type == "Gemm" and any(a.name == "transB" and a.i for a in node.attribute)
    return 0 if transposed else OUTPUT_AXES[node.op_type]


def rounded(value: Array, axis: int, *, per_tensor: bool) -> tuple[Array, Array, int | None]:
    """Weights as int8 in [-127, 127], their scales (`[C]`, or one), and the axis of the scales."""
    if per_tensor:
        scale = weight_scales(value.reshape(1, -1))[0, 0]
        return np.round(value / scale).astype(np.int8), np.asarray(scale), None
    rows = np.moveaxis(value, axis, 0).reshape(value.shape[axis], -1)
    scales = weight_scales(rows)[:, 0]
    along = scales.reshape([-1 if place == axis else 1 for place in range(value.ndim)])
    return np.round(value / along).astype(np.int8), scales, axis


def static(
    source: Path,
    out: Path,
    batches: list[list[Array]],
    *,
    bits: Literal[8, 16],
    per_tensor: bool,
    symmetric: bool,
    ranges: Ranges,
    percentile: float,
) -> None:
    """Pairs of QuantizeLinear and DequantizeLinear (QDQ) around every operator; weights int8, activations int8 or int16.

    `batches` are examples for calibration, each a list of inputs `[1, ...]`.
    """
    quantization = require("onnxruntime.quantization", "onnx")
    names = [value.name for value in require("onnx", "onnx").load(source).graph.input]

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self._batches = iter(batches)

        def get_next(self) -> dict[str, Array] | None:
            batch = next(self._batches, None)
            return None if batch is None else dict(zip(names, batch, strict=True))

    methods = {"minmax": "MinMax", "percentile": "Percentile", "entropy": "Entropy"}
    with _prepared(source) as prepared:
        quantization.quantize_static(
            str(prepared),
            str(out),
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=not per_tensor,
            activation_type=quantization.QuantType.QInt8 if bits == 8 else quantization.QuantType.QInt16,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=getattr(quantization.CalibrationMethod, methods[ranges]),
            extra_options={"ActivationSymmetric": symmetric, "CalibPercentile": percentile},
        )


def computed_in_float(path: Path) -> list[str]:
    """Operators of a QDQ file without a quantizer before or behind them: `Softmax model/answer/Softmax`.

    Operators on whole numbers (shapes, indices) and those that only move values are none of them.
    """
    onnx = require("onnx", "onnx")
    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    types = {v.name: v.type.tensor_type.elem_type for v in (*graph.input, *graph.output, *graph.value_info)}
    maker = {name: node for node in graph.node for name in node.output}
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    found = []
    for node in graph.node:
        if node.op_type in (*QUANTIZERS, *MOVES) or types.get(node.output[0]) != onnx.TensorProto.FLOAT:
            continue
        before = [maker[name] for name in node.input if name in maker]
        behind = [reader for name in node.output for reader in readers.get(name, [])]
        quantized = behind and all(other.op_type in QUANTIZERS for other in (*before, *behind))
        if not quantized and not _activated(node, before, behind):
            found.append(f"{node.op_type} {node.name or node.output[0]}")
    return found


def _activated(node: Any, before: list[Any], behind: list[Any]) -> bool:
    """A layer whose only reader is an activation that is quantized behind it, or that activation: one integer operator."""
    if len(behind) == 1 and behind[0].op_type in ("Relu", "Clip"):
        return all(other.op_type in QUANTIZERS for other in before)
    return node.op_type in ("Relu", "Clip") and bool(behind) and all(other.op_type in QUANTIZERS for other in behind)


def float_kernels(path: Path) -> list[str]:
    """Operators whose kernels are still float constants: `Conv model/conv/Conv2D`."""
    onnx = require("onnx", "onnx")
    graph = onnx.load(path).graph
    constants = {tensor.name for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT}
    return [f"{node.op_type} {node.name or node.output[0]}" for node in graph.node if constants & set(kernels_of(node))]
