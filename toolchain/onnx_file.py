"""What an .onnx file says about itself: operators, parameters, MACs, quantization. Needs the extra `onnx`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from toolchain.errors import ModelError
from toolchain.optional import require
from toolchain.untrusted import check_plain, check_size

CHUNK = 1 << 20
_INVALID = (ValueError, TypeError, RuntimeError, KeyError, IndexError, OverflowError, MemoryError)
"""What reading a file raises whose parts do not fit together."""


class OnnxFile(msgspec.Struct, frozen=True):
    """A summary of the graph; `macs` is None where shapes stay open."""

    path: Path
    operator_counts: dict[str, int]
    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]
    parameters: int
    nonzero_parameters: int
    macs: int | None
    opset: int
    scheme: str

    @classmethod
    def read(cls, path: Path) -> OnnxFile:
        """Raises ModelError for a file that onnx cannot check, and for external data, which could name any path."""
        onnx = require("onnx", "onnx")
        model = _parsed(path)
        try:
            onnx.checker.check_model(model)
            return cls._of(path, onnx.shape_inference.infer_shapes(model))
        except _INVALID as err:
            raise ModelError(f"{path}: not a valid .onnx file ({_first_line(err)})") from None
        except Exception as err:  # onnx raises its own errors of C++, which share no base class
            if type(err).__module__.partition(".")[0] != "onnx":
                raise
            raise ModelError(f"{path}: not a valid .onnx file ({_first_line(err)})") from None

    @classmethod
    def _of(cls, path: Path, model: Any) -> OnnxFile:
        onnx = require("onnx", "onnx")
        graph = model.graph
        constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
        scales = {name for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear") for name in node.input[1:]}
        looked_up = {node.input[0] for node in graph.node if node.op_type == "Gather" and node.input[0] in constants}
        scales |= {name for name in looked_up if constants[name].ndim == 1}  # a table of answers, not of trained rows
        scales |= {node.input[i] for node in graph.node if node.op_type == "QLinearConv" for i in (1, 2, 4, 5, 6, 7)}
        zeros = {n.input[3]: constants[n.input[5]] for n in graph.node if n.op_type == "QLinearConv" and n.input[5] in constants}
        kinds = (np.int8, np.uint8, np.int32)
        trained = [
            (name, v) for name, v in constants.items() if v.ndim and name not in scales and (v.dtype.kind == "f" or v.dtype in kinds)
        ]
        shapes = {v.name: _shape(v) for v in (*graph.input, *graph.output, *graph.value_info)}
        shapes |= {name: value.shape for name, value in constants.items()}
        return cls(
            path,
            dict(sorted(Counter(node.op_type for node in graph.node).items())),
            {v.name: shapes[v.name] for v in graph.input if v.name not in constants},
            {v.name: shapes[v.name] for v in graph.output},
            sum(v.size for _, v in trained),
            sum(int(np.count_nonzero(v != np.reshape(zeros.get(name, 0), (-1, *[1] * (v.ndim - 1))))) for name, v in trained),
            _macs(graph, shapes),
            max(entry.version for entry in model.opset_import if not entry.domain),
            _scheme(graph, constants),
        )


def check_whole(path: Path) -> None:
    """Raise ModelError where a file keeps weights in other files: it could name any of the user's.

    Every reference to a file has the key "location" (onnx.proto, TensorProto.external_data), so that a file without the
    word is not parsed: a runner calls this, whose memory is measured.
    """
    with path.open("rb") as file:
        tail = b""
        while chunk := file.read(CHUNK):
            seen = tail + chunk
            if b"location" in seen:
                _parsed(path)
                return
            tail = seen[-len(b"location") :]


def _parsed(path: Path) -> Any:
    """The model, without what lies in other files. Raises ModelError where something does."""
    onnx = require("onnx", "onnx")
    check_plain(path, ModelError)
    check_size(path.stat().st_size, str(path), ModelError)
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as err:  # protobuf's DecodeError has no stable place to import it from
        if type(err).__name__ != "DecodeError":
            raise
        raise ModelError(f"{path}: not a whole .onnx file") from None
    if any(t.data_location == onnx.TensorProto.EXTERNAL or t.external_data for t in _tensors(model)):
        raise ModelError(f"{path}: weights in other files are not read; save one file")
    return model


def _tensors(message: Any) -> Iterator[Any]:
    """Every tensor of a model, in branches, functions and attributes, too."""
    waiting = [message]
    while waiting:
        message = waiting.pop()
        if message.DESCRIPTOR.name == "TensorProto":
            yield message
        for field, value in message.ListFields():
            if field.message_type is not None:
                waiting += [value] if hasattr(value, "DESCRIPTOR") else value


def _first_line(err: Exception) -> str:
    return (str(err).strip().splitlines() or [type(err).__name__])[0][:160]


def _scheme(graph: Any, constants: dict[str, Any]) -> str:
    """What the types of weights and activations amount to."""
    kinds = {node.op_type for node in graph.node}
    if "DynamicQuantizeLinear" in kinds:
        return "dynamic_w8"
    if {"QuantizeLinear", "QLinearConv", "QLinearMatMul"} & kinds:
        zeros = {
            constants[n.input[2]].dtype.itemsize
            for n in graph.node
            if n.op_type == "QuantizeLinear" and n.input[2:3] and n.input[2] in constants
        }
        return "static_w8a16" if 2 in zeros else "static_w8a8"
    if "DequantizeLinear" in kinds:
        return "weight_only_w8"
    return "float16" if any(v.ndim > 1 and v.dtype == np.float16 for v in constants.values()) else "float32"


def _shape(value: Any) -> tuple[int, ...]:
    """Dimensions; 0 for one that is open."""
    return tuple(d.dim_value for d in value.type.tensor_type.shape.dim)


def _macs(graph: Any, shapes: dict[str, tuple[int, ...]]) -> int | None:
    """Multiply-accumulates of one inference (weight layouts: ONNX operator specification)."""
    total = 0
    for node in graph.node:
        if node.op_type not in ("Conv", "QLinearConv", "ConvTranspose", "Gemm", "MatMul"):
            continue
        kernel = node.input[3 if node.op_type == "QLinearConv" else 1]
        first, second, output = (shapes.get(name, ()) for name in (node.input[0], kernel, node.output[0]))
        if not first or not second or not output or 0 in (*first, *output):
            return None
        if node.op_type in ("Conv", "QLinearConv"):
            total += math.prod(output) * math.prod(second[1:])
        elif node.op_type == "ConvTranspose":
            total += math.prod(first) * math.prod(second[1:])
        else:
            transposed = any(a.name == "transA" and a.i for a in node.attribute)
            total += math.prod(output) * first[-2 if transposed else -1]
    return total
