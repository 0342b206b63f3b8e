"""What is in a model file, layer by layer: what `secateur inspect` shows."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from toolchain import keras_models
from toolchain.artifact import Format, sniff
from toolchain.errors import ModelError
from toolchain.onnx_file import OnnxFile
from toolchain.tflite_file import Tensor, TfliteFile
from toolchain.worker import Progress


class Row(msgspec.Struct, frozen=True):
    """One layer or operator."""

    name: str
    kind: str
    shape: tuple[int | None, ...]
    """Of its first output, with the batch."""
    dtype: str
    parameters: int
    sparsity: float | None
    """Fraction of zeros among its parameters; None without parameters."""
    macs: int | None
    quantization: str


class Inspection(msgspec.Struct, frozen=True):
    """A model file."""

    path: str
    format: str
    scheme: str
    bytes: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: int
    nonzero_parameters: int
    macs: int | None
    operators: dict[str, int]
    rows: tuple[Row, ...]


class InspectJob(msgspec.Struct, frozen=True):
    """A file to look into."""

    path: Path
    trust: bool


def inspect(job: InspectJob, progress: Progress) -> Inspection:
    """Read a file of any kind but SavedModel. Raises ModelError."""
    format = sniff(job.path)
    if format is Format.TFLITE:
        return _tflite(TfliteFile.read(job.path))
    if format is Format.ONNX:
        return _onnx(OnnxFile.read(job.path))
    if format is Format.KERAS:
        progress("loading the model", 0, 0)
        return _keras(job.path, keras_models.load(job.path, trust=job.trust))
    raise ModelError(f"{job.path}: a SavedModel has no layers to show; export it and inspect the .tflite")


NO_OUTPUT = Tensor(-1, "", (), "")
"""What an operator gives that only stores its inputs, such as ASSIGN_VARIABLE."""


def _tflite(file: TfliteFile) -> Inspection:
    weights, rows = set(file.weights), []
    for op in file.operators:
        output = file.tensors[op.outputs[0]] if op.outputs else NO_OUTPUT
        own = [file.tensors[i] for i in op.inputs if i >= 0 and file.tensors[i] in weights]
        parameters = sum(t.elements for t in own)
        zeros = sum(t.elements - int(np.count_nonzero(file.constant(t))) for t in own)
        sparsity = zeros / parameters if parameters else None
        rows.append(
            Row(output.name, op.name, output.shape, output.dtype.lower(), parameters, sparsity, op.macs, _quantization(output, own))
        )
    return Inspection(
        str(file.path), "tflite", file.scheme, file.path.stat().st_size,
        tuple(_described(file.tensors[i]) for i in file.inputs), tuple(_described(file.tensors[i]) for i in file.outputs),
        file.parameters, file.nonzero_parameters, file.macs, file.operator_counts, tuple(rows),
    )  # fmt: skip


def _quantization(output: Tensor, weights: list[Tensor]) -> str:
    parts = [f"{output.scale[0]:.3g} zp {output.zero_point[0]}"] if output.scale else []
    if weights and weights[0].scale:
        parts.append(
            f"weights per channel ({len(weights[0].scale)})" if len(weights[0].scale) > 1 else f"weights {weights[0].scale[0]:.3g}"
        )
    return ", ".join(parts)


def _described(tensor: Tensor) -> str:
    scale = f" scale {tensor.scale[0]:.6g} zero_point {tensor.zero_point[0]}" if tensor.scale else ""
    return f"{tensor.name} {list(tensor.shape)} {tensor.dtype.lower()}{scale}"


def _onnx(file: OnnxFile) -> Inspection:
    return Inspection(
        str(file.path), "onnx", file.scheme, file.path.stat().st_size,
        tuple(f"{name} {list(shape)}" for name, shape in file.inputs.items()),
        tuple(f"{name} {list(shape)}" for name, shape in file.outputs.items()),
        file.parameters, file.nonzero_parameters, file.macs, file.operator_counts, (),
    )  # fmt: skip


def _keras(path: Path, model: Any) -> Inspection:
    rows = tuple(_layer(layer) for layer in model.layers)
    weights = [np.asarray(w) for w in model.weights]
    known = [row.macs for row in rows]
    return Inspection(
        str(path), keras_models.flavor_of(model).value, "float32", path.stat().st_size,
        tuple(f"{t.name} {list(t.shape)}" for t in model.inputs), tuple(f"{t.name} {list(t.shape)}" for t in model.outputs),
        sum(w.size for w in weights), sum(int(np.count_nonzero(w)) for w in weights),
        None if None in known else sum(macs for macs in known if macs is not None), {}, rows,
    )  # fmt: skip


def _layer(layer: Any) -> Row:
    weights = [np.asarray(w) for w in layer.weights]
    parameters = sum(w.size for w in weights)
    kernels = [w for w in weights if w.ndim > 1]
    stored = sum(w.size for w in kernels)
    sparsity = 1 - sum(int(np.count_nonzero(w)) for w in kernels) / stored if stored else None
    output = layer.output[0] if isinstance(layer.output, (list, tuple)) else layer.output
    shape = tuple(output.shape)
    return Row(layer.name, type(layer).__name__, shape, "float32", parameters, sparsity, _layer_macs(layer, kernels, shape), "")


def _layer_macs(layer: Any, kernels: list[Any], shape: tuple[int | None, ...]) -> int | None:
    """Kernel size times the positions it is applied at; None for layers with kernels of another kind."""
    kind = type(layer).__name__
    if not kernels:
        return 0
    if kind == "Embedding":
        return 0
    if "Transpose" in kind:
        given = layer.input.shape
        return None if None in given[1:] else int(kernels[0].size) * math.prod(given[1:-1])
    if None in shape[1:] or not (kind.endswith(("Conv1D", "Conv2D", "Conv3D")) or kind == "Dense"):
        return None
    return int(sum(kernel.size for kernel in kernels)) * math.prod(d for d in shape[1:-1] if d)
