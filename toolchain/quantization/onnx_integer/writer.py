"""The ONNX graph under construction, with every tensor of the .tflite in the layout that its readers want.

Convolutions of ONNX want channels first, TFLite has them last. A tensor of four axes is kept in the layout in which it was
made and transposed at most once, where somebody wants it in the other.

Between the edges all int8 values are kept as uint8, 128 higher: products of two unsigned bytes are exact and fast on every CPU,
while onnxruntime's products of signed bytes are slow on x86, and its mixed ones saturate where a CPU has no VNNI
(onnxruntime.ai/docs/performance/model-optimizations/quantization.html).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from toolchain.data import Array
from toolchain.errors import ModelError
from toolchain.optional import require
from toolchain.tflite_file import DTYPES, Operator, Tensor, TfliteFile, scale_of, zero_of

SHIFT = 128
"""What is added to an int8 value."""

TO_FIRST, TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)

Translate = Callable[["Writer", Operator], None]


class Writer:
    """Nodes, constants, and the names under which tensors are found, by index and whether channels are first."""

    def __init__(self, path: Path, opset: int) -> None:
        """Raises ModelError for a broken file, for one with loops or branches, and for one that holds uint8."""
        self.path, self._opset = path, opset
        self.file = TfliteFile.read(path)
        if self.file.subgraphs != 1:
            raise ModelError(f"{path}: only one graph is translated; this file has {self.file.subgraphs} (loops or branches)")
        if any(tensor.dtype == "UINT8" for tensor in self.file.tensors):
            raise ModelError(f"{path}: holds uint8 tensors; only int8 files are translated exactly")
        self._tensors = [_unsigned(tensor) for tensor in self.file.tensors]
        self._helper = require("onnx", "onnx").helper
        self._nodes: list[Any] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], Any] = {}
        self._names: dict[tuple[int, bool], str] = {}
        for index in self.file.inputs:
            self._names[index, False] = self._regrid(_name(self.tensor(index)), self.file.tensors[index], self.tensor(index))

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output, whose name is returned."""
        name = f"{kind}_{len(self._nodes)}"
        self._nodes.append(self._helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def largest(self, name: str, axes: list[int], *, keep: bool) -> str:
        """ReduceMax, whose axes are an attribute before operator set 18."""
        if self._opset < 18:
            return self.node("ReduceMax", name, axes=axes, keepdims=int(keep))
        return self.node("ReduceMax", name, self.constant(np.array(axes)), keepdims=int(keep))

    def constant(self, value: Array | np.generic) -> str:
        """The name of a constant; equal ones are stored once."""
        value = np.asarray(value)
        key = (value.dtype.str, value.shape, value.tobytes())
        if key not in self._constants:
            self._constants[key] = require("onnx.numpy_helper", "onnx").from_array(value, f"constant_{len(self._constants)}")
        return str(self._constants[key].name)

    def tensor(self, index: int) -> Tensor:
        """A tensor of the .tflite by its index, as it is kept here."""
        return self._tensors[index]

    def value(self, index: int) -> Array:
        """A constant of the .tflite, as it is kept here. Raises ModelError for a tensor that is computed."""
        tensor = self.tensor(index)
        if not tensor.constant:
            raise ModelError(f"{tensor.name!r} is computed, where a constant is needed")
        value = self.file.constant(self.file.tensors[index])
        return (value.astype(np.int16) + SHIFT).astype(np.uint8) if value.dtype == np.int8 else value

    def prefers_first(self, op: Operator) -> bool:
        """Whether an operator that takes any layout finds its images with channels first."""
        images = [i for i in (*op.inputs, *op.outputs) if i >= 0 and not self.tensor(i).constant]
        return all(len(self.tensor(i).shape) == 4 for i in images) and any((i, True) in self._names for i in op.inputs)

    def read(self, index: int, *, first: bool = False) -> str:
        """The name of a tensor in a layout; one with other than four axes has only its own."""
        if (index, first) not in self._names:
            tensor = self.tensor(index)
            if tensor.constant:
                value = self.value(index)
                self._names[index, first] = self.constant(value.transpose(TO_FIRST) if first else value)
            else:
                self._names[index, first] = self.node("Transpose", self._names[index, not first], perm=TO_FIRST if first else TO_LAST)
        return self._names[index, first]

    def write(self, op: Operator, name: str, *, first: bool = False, place: int = 0) -> None:
        """Say which node's output is the operator's, or the one of its outputs at `place`."""
        self._names[op.outputs[place], first] = name

    def dequantized(self, name: str, tensor: Tensor) -> str:
        """The real values of stored ones."""
        return self.node("DequantizeLinear", name, *self.grid(tensor))

    def grid(self, tensor: Tensor) -> tuple[str, str]:
        """Scale and zero point of an activation."""
        return self.constant(np.float32(scale_of(tensor))), self.constant(DTYPES[tensor.dtype](zero_of(tensor)))

    def steps(self, name: str, zero_point: int) -> str:
        """Stored values less a zero point, as whole numbers in float32."""
        return self.node("DequantizeLinear", name, self.constant(np.float32(1)), self.constant(np.uint8(zero_point)))

    def from_steps(self, name: str, tensor: Tensor, activation: int = 0) -> str:
        """Stored values of float32 numbers of steps from the zero point: halves to even, cut off by type and activation."""
        stored = self.node("QuantizeLinear", name, self.constant(np.float32(1)), self.constant(np.uint8(zero_of(tensor))))
        return self.clipped(stored, tensor, activation)

    def clipped(self, name: str, tensor: Tensor, activation: int) -> str:
        """Stored values within a fused activation's range; no node where the type has the same."""
        limits = activation_limits(tensor, activation)
        return name if limits == (0, 255) else self.node("Clip", name, *(self.constant(np.uint8(limit)) for limit in limits))

    def model(self) -> Any:
        """The finished model, with the edges of the .tflite: their order, types and channels last."""
        outputs = []
        for index in self.file.outputs:
            made = self._regrid(self.read(index), self.tensor(index), self.file.tensors[index])
            outputs.append(self._helper.make_node("Identity", [made], [_name(self.tensor(index))]))
        graph = self._helper.make_graph(
            [*self._nodes, *outputs],
            self.path.stem,
            [self._edge(index) for index in self.file.inputs],
            [self._edge(index) for index in self.file.outputs],
            list(self._constants.values()),
        )
        return self._helper.make_model(graph, opset_imports=[self._helper.make_opsetid("", self._opset)], ir_version=8)

    def _regrid(self, name: str, before: Tensor, after: Tensor) -> str:
        """Between int8 at the edges and uint8 inside, by real values, so that a reader of the file finds the scale there."""
        if before.dtype == after.dtype:
            return name
        return self.node("QuantizeLinear", self.dequantized(name, before), *self.grid(after))

    def _edge(self, index: int) -> Any:
        tensor = self.file.tensors[index]
        return self._helper.make_tensor_value_info(
            _name(tensor), self._helper.np_dtype_to_tensor_dtype(np.dtype(DTYPES[tensor.dtype])), tensor.shape
        )


def _unsigned(tensor: Tensor) -> Tensor:
    if tensor.dtype != "INT8":
        return tensor
    zeros = tuple(zero + SHIFT for zero in tensor.zero_point) or (SHIFT,)
    return msgspec.structs.replace(tensor, dtype="UINT8", zero_point=zeros)


def _name(tensor: Tensor) -> str:
    return tensor.name.split(":")[0]


def activation_limits(tensor: Tensor, activation: int) -> tuple[int, int]:
    """The stored range that a fused activation leaves (schema.fbs: ActivationFunctionType); halves go to even, as in XNNPACK.

    Raises ModelError for TANH and SIGN_BIT, which no quantized kernel fuses.
    """
    real: dict[int, tuple[float, float]] = {0: (-np.inf, np.inf), 1: (0, np.inf), 2: (-1, 1), 3: (0, 6)}
    if activation not in real:
        raise ModelError(f"fused activation {activation} of {tensor.name!r}")
    low, high = (np.rint(np.float32(bound) / np.float32(scale_of(tensor))) + zero_of(tensor) for bound in real[activation])
    return int(np.clip(low, 0, 255)), int(np.clip(high, 0, 255))
