"""Run an .onnx with onnxruntime on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from toolchain.data import Array
from toolchain.errors import ModelError
from toolchain.onnx_file import check_whole
from toolchain.optional import require

_TYPES: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
}


class Affine(msgspec.Struct, frozen=True):
    """Real value = scale * (stored - zero_point)."""

    scale: float
    zero_point: int


class OnnxRuntime:
    """One session, with its inputs and outputs bound so that timing copies nothing."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        """Raises ModelError where onnxruntime refuses the file."""
        ort = require("onnxruntime", "onnx")
        check_whole(path)
        self._path = path
        ort.set_default_logger_severity(3)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.runtime = f"onnxruntime {ort.__version__} cpu"
        try:
            self._session: Any = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as err:  # onnxruntime's exceptions share no base class
            raise self._refusal(err) from None
        self._inputs = self._session.get_inputs()
        if foreign := {node.type for node in (*self._inputs, *self._session.get_outputs())} - _TYPES.keys():
            raise ModelError(f"{path}: inputs and outputs of {', '.join(sorted(foreign))} are not run")
        if any(not isinstance(d, int) for node in self._inputs for d in node.shape[1:]):
            raise ModelError(f"{path}: an input has an open dimension beside the batch")
        self.input_shapes = [tuple(node.shape[1:]) for node in self._inputs]
        self.integer_inputs = ["int" in node.type for node in self._inputs]
        self._ort = ort
        quantized = any(_TYPES[node.type] in (np.int8, np.uint8) for node in (*self._inputs, *self._session.get_outputs()))
        self._edges = edge_quantization(path) if quantized else {}
        self._bound = self._bind(
            [np.zeros((1, *shape), _TYPES[node.type]) for shape, node in zip(self.input_shapes, self._inputs, strict=True)]
        )

    def _refusal(self, err: Exception) -> ModelError:
        return ModelError(f"{self._path}: onnxruntime cannot run it ({(str(err).strip().splitlines() or ['no reason given'])[0][:200]})")

    def predict(self, inputs: list[Array]) -> Array:
        """First output `[N, ...]` in float32. Raises ModelError where the file does not run."""
        stored = [self._stored(x, node) for x, node in zip(inputs, self._inputs, strict=True)]
        first = self._session.get_outputs()[0].name
        try:
            rows = [
                self._session.run([first], {node.name: x[i : i + 1] for x, node in zip(stored, self._inputs, strict=True)})[0]
                for i in range(len(inputs[0]))
            ]
        except Exception as err:  # as above
            raise self._refusal(err) from None
        self._bound = self._bind([x[-1:] for x in stored])
        edge = self._edges.get(first, Affine(1.0, 0))
        answers: Array = (np.concatenate(rows).astype(np.float32) - edge.zero_point) * np.float32(edge.scale)
        return answers

    def answers(self, inputs: list[Array]) -> list[Array]:
        """Every output `[N, ...]` as stored, for inputs as stored."""
        rows = [
            self._session.run(None, {node.name: x[i : i + 1] for x, node in zip(inputs, self._inputs, strict=True)})
            for i in range(len(inputs[0]))
        ]
        return [np.concatenate(column) for column in zip(*rows, strict=True)]

    def _stored(self, x: Array, node: Any) -> Array:
        """An input in the type the file takes, quantized where the file has a scale for it."""
        dtype, edge = _TYPES[node.type], self._edges.get(node.name)
        if edge is None:
            return np.asarray(x, dtype)
        limits = np.iinfo(dtype)
        stored = np.round(np.asarray(x, np.float32) / np.float32(edge.scale)) + edge.zero_point
        clipped: Array = np.clip(stored, limits.min, limits.max).astype(dtype)
        return clipped

    def invoke(self) -> None:
        """Run once on the bound inputs."""
        self._session.run_with_iobinding(self._bound)

    def _bind(self, inputs: list[Array]) -> Any:
        binding = self._session.io_binding()
        for x, node in zip(inputs, self._inputs, strict=True):
            binding.bind_ortvalue_input(node.name, self._ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(x)))
        for node in self._session.get_outputs():
            binding.bind_output(node.name)
        return binding


def edge_quantization(path: Path) -> dict[str, Affine]:
    """Scales of integer inputs and outputs: those of the (De)QuantizeLinear next to them, past nodes that only move values."""
    onnx = require("onnx", "onnx")
    graph = onnx.load(path).graph
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    moves = ("Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity")
    found = {}
    for name in [value.name for value in graph.input]:
        reached = name
        while node := next((n for n in graph.node if reached in n.input), None):
            if node.op_type == "DequantizeLinear":
                found[name] = Affine(float(values[node.input[1]]), int(values[node.input[2]]))
            if node.op_type not in moves:
                break
            reached = node.output[0]
    for name in [value.name for value in graph.output]:
        reached = name
        while node := next((n for n in graph.node if reached in n.output), None):
            if node.op_type == "QuantizeLinear":
                found[name] = Affine(float(values[node.input[1]]), int(values[node.input[2]]))
            if node.op_type not in moves:
                break
            reached = node.input[0]
    return found


def open_runner(path: Path, threads: int) -> OnnxRuntime:
    """A session with `threads` threads within an operator."""
    return OnnxRuntime(path, threads)
