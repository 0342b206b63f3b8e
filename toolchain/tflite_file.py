"""What a .tflite file says about itself: operators, tensors, constants, quantization, MACs. No TensorFlow.

The schema comes with ai-edge-litert (tensorflow/lite/schema/schema.fbs).
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from toolchain import untrusted
from toolchain.data import Array
from toolchain.errors import ModelError
from toolchain.tflite_bounds import check_bounds

DTYPES: dict[str, Any] = {
    "FLOAT32": np.float32, "FLOAT16": np.float16, "INT8": np.int8, "UINT8": np.uint8, "INT16": np.int16,
    "INT32": np.int32, "INT64": np.int64, "BOOL": np.bool_, "INT4": np.uint8,
}  # fmt: skip

LARGEST = 2**31 - 1
"""Values in a tensor: runtimes count them in int32."""


class Tensor(msgspec.Struct, frozen=True):
    """A tensor of the main graph. Real value = scale * (stored - zero_point), per channel along `axis`."""

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: tuple[float, ...] = ()
    zero_point: tuple[int, ...] = ()
    axis: int = 0
    constant: bool = False

    @property
    def elements(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


class Operator(msgspec.Struct, frozen=True):
    """One operator of the main graph; `macs` is 0 for those that do not multiply and accumulate."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    macs: int
    options: dict[str, Any] = {}
    """The fields of its options table in schema.fbs: `{"strideW": 2, "padding": 0, ...}`."""


class TfliteFile(msgspec.Struct, frozen=True, dict=True):
    """The main graph of a .tflite file."""

    path: Path
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    subgraphs: int
    _constants: dict[int, memoryview | bytes]

    @classmethod
    def read(cls, path: Path) -> TfliteFile:
        """Raises ModelError for a file that is not a whole, single model."""
        from ai_edge_litert import schema_py_generated as schema

        try:
            data = untrusted.read(path, untrusted.memory_bytes(), ModelError)
            check_bounds(data)
            model = schema.ModelT.InitFromPackedBuf(data, 0)
            graph = model.subgraphs[0]
            names = {value: key for key, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
            kinds = {value: key for key, value in vars(schema.TensorType).items() if isinstance(value, int)}
            codes = [_operator_name(code, names) for code in model.operatorCodes]
            buffers = {number: _buffer(model.buffers[number], data) for number in {t.buffer for t in graph.tensors}}
            constants = {i: buffers[t.buffer] for i, t in enumerate(graph.tensors) if buffers[t.buffer]}
            tensors = tuple(_tensor(i, t, kinds, i in constants) for i, t in enumerate(graph.tensors))
            for tensor in tensors:
                _check_size(tensor, constants.get(tensor.index))
            _check_indices((*_ints(graph.inputs), *_ints(graph.outputs)), 0, len(tensors))
            for op in graph.operators or []:
                _check_indices(_ints(op.inputs), -1, len(tensors))
                _check_indices(_ints(op.outputs), 0, len(tensors))
            operators = tuple(
                Operator(
                    codes[op.opcodeIndex],
                    _ints(op.inputs),
                    _ints(op.outputs),
                    _macs(codes[op.opcodeIndex], op, tensors),
                    dict(vars(op.builtinOptions)) if op.builtinOptions is not None else {},
                )
                for op in graph.operators or []
            )
            return cls(path, tensors, operators, _ints(graph.inputs), _ints(graph.outputs), len(model.subgraphs), constants)
        except (
            struct.error,
            IndexError,
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
            UnicodeDecodeError,
            OverflowError,
            MemoryError,
        ) as err:
            raise ModelError(f"{path}: not a whole .tflite file ({type(err).__name__}: {str(err)[:120]})") from None

    def constant(self, tensor: Tensor) -> Array:
        """The stored values of a constant. int4 stays packed, two values a byte."""
        values: Array = np.frombuffer(self._constants[tensor.index], DTYPES[tensor.dtype])
        return values if tensor.dtype == "INT4" else values.reshape(tensor.shape)

    def nonzero(self, tensor: Tensor) -> int:
        """How many values of a constant are not zero."""
        stored = self.constant(tensor)
        halves = (stored & 15, stored >> 4) if tensor.dtype == "INT4" else (stored,)
        return sum(int(np.count_nonzero(half)) for half in halves)

    @cached_property
    def weights(self) -> tuple[Tensor, ...]:
        """Constants that were trained: kernels and biases, not the shapes and axes that operators carry as int32."""
        used = {index for op in self.operators for index in op.inputs}
        return tuple(
            t for t in self.tensors
            if t.constant and t.index in used and t.dtype in DTYPES and t.elements
            and (t.dtype not in ("INT32", "INT64", "BOOL") or t.scale)
        )  # fmt: skip

    @property
    def parameters(self) -> int:
        """Number of trained values."""
        return sum(t.elements for t in self.weights)

    @property
    def nonzero_parameters(self) -> int:
        """Trained values that are not zero."""
        return sum(self.nonzero(t) for t in self.weights)

    @property
    def macs(self) -> int | None:
        """Multiply-accumulates of one inference; None where a loop hides how often its body runs."""
        if any(op.name in ("WHILE", "IF", "CALL_ONCE") for op in self.operators):
            return None
        return sum(op.macs for op in self.operators)

    @property
    def operator_counts(self) -> dict[str, int]:
        """How often each kind of operator occurs."""
        return dict(sorted(Counter(op.name for op in self.operators).items()))

    @property
    def activation_dtypes(self) -> tuple[str, ...]:
        """Types of the tensors that operators compute."""
        made = {index for op in self.operators for index in op.outputs}
        return tuple(sorted({self.tensors[index].dtype for index in made}))

    @property
    def scheme(self) -> str:
        """What the types of weights and activations amount to."""
        kernels = {t.index: t.dtype for t in self.weights if len(t.shape) > 1}
        types = set(kernels.values())
        if types <= {"FLOAT32"}:
            return "float32"
        if types <= {"FLOAT16", "FLOAT32"}:
            return "float16"
        bits = "4" if "INT4" in types else "8"
        sums = {self.tensors[i].dtype for op in self.operators if op.macs for i in op.outputs}
        if "FLOAT32" not in sums:
            return f"static_w{bits}a16" if "INT16" in self.activation_dtypes else f"static_w{bits}a8"
        if sums != {"FLOAT32"}:
            return "static_mixed"
        widened = {i for op in self.operators if op.name == "DEQUANTIZE" for i in op.inputs}
        integer = {index for index, dtype in kernels.items() if dtype in ("INT4", "INT8")}
        return f"weight_only_w{bits}" if integer <= widened else f"dynamic_w{bits}"


def scale_of(tensor: Tensor) -> float:
    """The one scale of an activation, exactly as the float32 in the file. Raises ModelError where there are several, or none."""
    if len(tensor.scale) != 1:
        raise ModelError(f"{tensor.name!r} has {len(tensor.scale)} scales where one is needed")
    return tensor.scale[0]


def zero_of(tensor: Tensor) -> int:
    """The zero point of an activation."""
    return tensor.zero_point[0] if tensor.zero_point else 0


def _operator_name(code: Any, names: dict[int, str]) -> str:
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    custom = code.customCode
    return custom.decode() if names[number] == "CUSTOM" and custom else names[number]


def _ints(values: Any) -> tuple[int, ...]:
    return () if values is None else tuple(int(value) for value in values)


def _buffer(buffer: Any, data: bytes) -> memoryview | bytes:
    if buffer.offset > 1:  # files over 2 GB keep their constants behind the flatbuffer
        return memoryview(data)[buffer.offset : buffer.offset + buffer.size]
    return b"" if buffer.data is None else bytes(buffer.data)


def _check_indices(indices: tuple[int, ...], first: int, count: int) -> None:
    """Operators name their tensors by number; -1 stands for an input that is left out."""
    if wrong := [index for index in indices if not first <= index < count]:
        raise ValueError(f"an operator refers to tensor {wrong[0]} of {count}")


def _check_size(tensor: Tensor, content: memoryview | bytes | None) -> None:
    """A tensor has the size that its constant has, and no more values than int32 can count."""
    if any(d < 0 for d in tensor.shape) or tensor.elements > LARGEST:
        raise ValueError(f"tensor {tensor.index} has the shape {list(tensor.shape)}")
    if content is not None and tensor.dtype in DTYPES:
        stored = (tensor.elements + 1) // 2 if tensor.dtype == "INT4" else tensor.elements * np.dtype(DTYPES[tensor.dtype]).itemsize
        if len(content) != stored:
            raise ValueError(f"the constant {tensor.index} has {len(content)} B, its shape {list(tensor.shape)} has {stored}")


def _tensor(index: int, tensor: Any, kinds: dict[int, str], constant: bool) -> Tensor:
    quantization = tensor.quantization
    scale = () if quantization is None or quantization.scale is None else tuple(float(s) for s in quantization.scale)
    zero_point = () if quantization is None else _ints(quantization.zeroPoint)
    if len(zero_point) not in (0, 1, len(scale)):
        raise ValueError(f"tensor {index} has {len(scale)} scales and {len(zero_point)} zero points")
    zero_point = zero_point or (0,) * len(scale)
    axis = 0 if quantization is None else int(quantization.quantizedDimension)
    return Tensor(index, (tensor.name or b"").decode(), _ints(tensor.shape), kinds[tensor.type], scale, zero_point, axis, constant)


def _macs(name: str, op: Any, tensors: tuple[Tensor, ...]) -> int:
    """Multiply-accumulates of one operator, from its weight and output shapes (weight layouts: schema.fbs)."""
    inputs = _ints(op.inputs)
    output = tensors[_ints(op.outputs)[0]].elements if op.outputs is not None and len(op.outputs) else 0
    if name in ("CONV_2D", "CONV_3D"):
        weight = tensors[inputs[1]].shape  # [out, h, w, in], 3D: [d, h, w, in, out]
        return output * math.prod(weight[1:] if name == "CONV_2D" else weight[:-1])
    if name == "DEPTHWISE_CONV_2D":
        return output * math.prod(tensors[inputs[1]].shape[1:3])
    if name == "FULLY_CONNECTED":
        return output * tensors[inputs[1]].shape[-1]
    if name == "TRANSPOSE_CONV":
        weight = tensors[inputs[1]].shape  # [out, h, w, in]
        return tensors[inputs[2]].elements * math.prod(weight[:3])
    if name == "BATCH_MATMUL":
        first = tensors[inputs[0]].shape
        return output * (first[-2] if getattr(op.builtinOptions, "adjX", False) else first[-1])
    if name == "UNIDIRECTIONAL_SEQUENCE_LSTM":
        steps = tensors[inputs[0]].shape[0 if op.builtinOptions.timeMajor else 1]
        return steps * sum(tensors[i].elements for i in inputs[1:9] if i >= 0)
    return 0
