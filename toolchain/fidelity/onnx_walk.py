"""An .onnx taken apart: the values between its operators in onnxruntime, and each operator alone.

In a quantized file (QDQ) a site's value is what the operators after it read: the answer of the DequantizeLinear behind
its QuantizeLinear. Both belong to the operator that computes the value.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from toolchain.data import Array
from toolchain.errors import ModelError
from toolchain.fidelity.single_operator import by_example
from toolchain.fidelity.sites import INPUT, Site, Stored, affine, rows_of
from toolchain.optional import require
from toolchain.quantization.grid import Affine

QUANTIZERS = ("QuantizeLinear", "DequantizeLinear")
MOVES = ("Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity")
"""Operators that may stand between an integer input and its DequantizeLinear."""


class OnnxWalk:
    """Every float tensor that an operator computes, in the order of the file."""

    def __init__(self, path: Path, inputs: list[Array]) -> None:
        """Run the file on real inputs `[n, ...]`. Raises ModelError where onnxruntime refuses it."""
        self._onnx, self._runtime = require("onnx", "onnx"), require("onnxruntime", "onnx")
        self._path, self.notes = path, list[str]()
        self._model = self._onnx.load(path)
        graph = self._model.graph
        if any(node.op_type.startswith("QLinear") for node in graph.node):
            raise ModelError("it computes in integers throughout: compare the .tflite that it was translated from layer by layer")
        self._initial = {tensor.name: tensor for tensor in graph.initializer}
        self._maker = {name: node for node in graph.node for name in node.output}
        self._constant = set(self._initial)
        for node in graph.node:
            inner = any(a.HasField("g") for a in node.attribute)  # a loop's body reads what its inputs do not name
            if not inner and all(name in self._constant for name in node.input if name):
                self._constant |= set(node.output)
        given = [value.name for value in graph.input if value.name not in self._initial]
        made = [(n, name) for n in graph.node if n.op_type not in QUANTIZERS for name in n.output if name and name not in self._constant]
        nodes, tensors = [n for n, _ in made], [*given, *(name for _, name in made)]
        self._taps = [self._tap(name) for name in tensors]
        values = self._values(given, inputs, [tap for tap, _ in self._taps])
        kept = [i for i, v in enumerate(values) if v is not None and v.dtype == np.float32]
        if hidden := len(tensors) - len(kept):
            self.notes.append(f"{hidden} tensors of {path.name} hold other types than float32 and are not shown")
        self._places = {tensors[i]: place for place, i in enumerate(kept)}
        self._nodes = [None if i < len(given) else nodes[i - len(given)] for i in kept]
        self._names, self._taps = [tensors[i] for i in kept], [self._taps[i] for i in kept]
        self.sites = [self._site(place, values[i]) for place, i in enumerate(kept)]
        output = graph.output[0].name
        self.output = self._places.get(self._real_name(output), len(self.sites) - 1)

    def sources(self, place: int, known: Container[int]) -> tuple[int, ...]:
        """The nearest sites in `known`: a ReLU behind a convolution is computed from the convolution's input. Raises ModelError."""
        found, waiting = list[int](), list(self.sites[place].inputs)
        while waiting:
            at = waiting.pop(0)
            if at in known:
                found += [] if at in found else [at]
            elif not self.sites[at].inputs:
                raise ModelError(f"its input {self.sites[at].name} is none of the model's tensors")
            else:
                waiting += self.sites[at].inputs
        return tuple(found)

    def operate(self, place: int, sources: tuple[int, ...], inputs: list[Array]) -> Array:
        """What the file answers, in real numbers. Raises ModelError."""
        tap, grid = self._taps[place]
        found = self._alone(tap, sources, inputs)
        return found if grid is None else grid.nearest(found)

    def real(self, place: int, sources: tuple[int, ...], inputs: list[Array]) -> Array:
        """The same without the rounding of the answer, with the dequantized weights. Raises ModelError."""
        name, (tap, grid) = self._names[place], self._taps[place]
        only_integers = grid is not None and self._reader(name, "QuantizeLinear") is None
        return self._alone(tap if only_integers else name, sources, inputs)

    def _alone(self, output: str, sources: tuple[int, ...], inputs: list[Array]) -> Array:
        given = {name: x for place, x in zip(sources, inputs, strict=True) for name in (self._names[place], self._taps[place][0])}
        make, graph = self._onnx.helper, self._onnx.GraphProto()
        graph.name = "alone"
        graph.node.extend(reversed(list(self._needed(output, set(given)))))
        read = {name for node in graph.node for name in node.input}
        graph.initializer.extend(self._initial[name] for name in read & set(self._initial))
        fed = {name: np.asarray(x, np.float32) for name, x in given.items() if name in read}
        kind = self._onnx.TensorProto.FLOAT
        graph.input.extend(make.make_tensor_value_info(name, kind, (1, *x.shape[1:])) for name, x in fed.items())
        graph.output.append(make.make_empty_tensor_value_info(output))
        session = self._session(make.make_model(graph, opset_imports=self._model.opset_import, ir_version=self._model.ir_version))
        rows = [session.run([output], {name: x[i : i + 1] for name, x in fed.items()})[0] for i in range(len(inputs[0]))]
        return by_example(rows)

    def _needed(self, name: str, stop: set[str]) -> Iterator[Any]:
        """The nodes that compute `name` from `stop`, the last first."""
        waiting, met = [name], set[int]()
        order = {id(node): index for index, node in enumerate(self._model.graph.node)}
        found = []
        while waiting:
            name = waiting.pop()
            node = self._maker.get(name)
            if name in stop or node is None or id(node) in met:
                continue
            met.add(id(node))
            found.append(node)
            waiting += list(node.input)
        yield from sorted(found, key=lambda node: -order[id(node)])

    def _session(self, model: Any) -> Any:
        options = self._runtime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        try:
            return self._runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception as err:  # onnxruntime's exceptions share no base class
            raise ModelError(f"{self._path}: onnxruntime cannot run a part of it ({str(err).strip().splitlines()[0][:200]})") from None

    def _values(self, given: list[str], inputs: list[Array], taps: list[str]) -> list[Array | None]:
        model = self._onnx.ModelProto()
        model.CopyFrom(self._model)
        known = {value.name for value in model.graph.output}
        made = [tap for tap in dict.fromkeys(taps) if tap not in given]
        model.graph.output.extend(self._onnx.helper.make_empty_tensor_value_info(tap) for tap in made if tap not in known)
        session = self._session(model)
        types = {node.name: node.type for node in session.get_inputs()}
        stored = [_stored(x, types[name], self._edge(name)) for x, name in zip(inputs, given, strict=True)]
        rows = [session.run(made, {name: x[i : i + 1] for name, x in zip(given, stored, strict=True)}) for i in range(len(inputs[0]))]
        found: dict[str, Array] = {name: by_example(list(column)) for name, column in zip(made, zip(*rows, strict=True), strict=True)}
        found |= {name: np.asarray(x) for name, x in zip(given, stored, strict=True)}
        return [found.get(tap) for tap in taps]

    def _tap(self, name: str) -> tuple[str, Affine | None]:
        """The name under which a tensor's stored values are real again, and their grid."""
        quantize = self._reader(name, "QuantizeLinear")
        dequantize = self._reader(quantize.output[0] if quantize else name, "DequantizeLinear")
        which = quantize or dequantize
        if which is None or which.input[1] not in self._initial:
            return name, None
        scale = self._onnx.numpy_helper.to_array(self._initial[which.input[1]])
        zero = self._onnx.numpy_helper.to_array(self._initial[which.input[2]]) if len(which.input) > 2 else np.uint8(0)
        grid = affine(float(scale.reshape(-1)[0]), int(zero.reshape(-1)[0]), str(zero.dtype))
        return (dequantize.output[0] if dequantize else name), grid

    def _edge(self, name: str) -> Affine | None:
        """The grid of an input, past operators that only move values."""
        grid = self._tap(name)[1]
        after = next((node for node in self._model.graph.node if node.op_type in MOVES and node.input[0] == name), None)
        return self._edge(after.output[0]) if grid is None and after is not None else grid

    def _reader(self, name: str, kind: str) -> Any:
        return next((node for node in self._model.graph.node if node.op_type == kind and node.input[0] == name), None)

    def _real_name(self, name: str) -> str:
        """The tensor behind the quantizers that stand between it and `name`."""
        while (node := self._maker.get(name)) is not None and node.op_type in QUANTIZERS:
            name = node.input[0]
        return name

    def _site(self, place: int, values: Any) -> Site:
        node = self._nodes[place]
        if node is None:
            return Site(self._names[place], INPUT, (), values, self._taps[place][1], None, None)
        reads = [self._real_name(name) for name in dict.fromkeys(node.input) if name and name not in self._constant]
        known = tuple(self._places[name] for name in reads if name in self._places)
        kind = node.op_type if known else INPUT  # all before it are integers that moved
        return Site(self._names[place], kind, known, values, self._taps[place][1], self._stored_weights(node), None)

    def _stored_weights(self, node: Any) -> Stored | None:
        """int8 weights behind a DequantizeLinear (layouts: ONNX operator specification), past a rectifier."""
        if node.op_type not in ("Conv", "Gemm", "MatMul"):
            above = [self._maker[name] for name in node.input if name in self._maker and name not in self._constant]
            return self._stored_weights(above[0]) if len(above) == 1 and above[0].op_type not in QUANTIZERS else None
        if (dequantize := self._maker.get(node.input[1])) is None:
            return None
        if dequantize.op_type != "DequantizeLinear" or dequantize.input[0] not in self._initial:
            return None
        parts = [self._onnx.numpy_helper.to_array(self._initial[name]) for name in dequantize.input if name in self._initial]
        transposed = any(a.name == "transB" and a.i for a in node.attribute)
        axis = 0 if node.op_type == "Conv" or transposed else parts[0].ndim - 1
        zero = parts[2].reshape(-1, 1).astype(np.int64) if len(parts) > 2 else np.zeros((1, 1), np.int64)
        rows = rows_of(parts[0].astype(np.int64), axis)
        return Stored(rows - (zero if len(zero) in (1, len(rows)) else 0), parts[1].reshape(-1))


def _stored(x: Array, kind: str, grid: Affine | None) -> Array:
    """An input in the type that the file takes."""
    if kind == "tensor(float)":
        return np.asarray(x, np.float32)
    if kind in ("tensor(int8)", "tensor(uint8)") and grid is not None:
        signed = np.round(grid.nearest(x) / np.float32(grid.scale)) + grid.zero_point
        return signed.astype(np.int8) if kind == "tensor(int8)" else (signed + 128).astype(np.uint8)
    return np.asarray(x, {"tensor(int32)": np.int32, "tensor(int64)": np.int64}.get(kind, np.float32))
