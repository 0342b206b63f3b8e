"""Small .tflite files written operator by operator, without a converter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

KINDS = {
    np.dtype(np.int8): "INT8",
    np.dtype(np.uint8): "UINT8",
    np.dtype(np.int32): "INT32",
    np.dtype(np.float32): "FLOAT32",
    np.dtype(np.int16): "INT16",
}


class Net:
    """Collects tensors and operators; the first input and the last output are the graph's."""

    def __init__(self) -> None:
        self.model, self.graph = schema.ModelT(), schema.SubGraphT()
        self.model.version, self.model.subgraphs = 3, [self.graph]
        self.model.buffers, self.model.operatorCodes = [schema.BufferT()], []
        self.graph.tensors, self.graph.operators = [], []

    def tensor(self, shape, dtype=np.int8, scale=None, zero=0, data=None, axis=0) -> int:
        made = schema.TensorT()
        made.name, made.shape = f"t{len(self.graph.tensors)}", list(shape)
        made.type = getattr(schema.TensorType, KINDS[np.dtype(dtype)])
        made.buffer = 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data, dtype).tobytes(), np.uint8)
            made.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        if scale is not None:
            quantization = schema.QuantizationParametersT()
            quantization.scale = np.atleast_1d(np.float32(scale)).tolist()
            quantization.zeroPoint = np.broadcast_to(zero, len(quantization.scale)).tolist()
            quantization.quantizedDimension = axis
            made.quantization = quantization
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def constant(self, data, dtype=np.int32, **quantization) -> int:
        data = np.asarray(data, dtype)
        return self.tensor(data.shape, dtype, data=data, **quantization)

    def operator(
        self, name: str, inputs: list[int], outputs: list[int], options: str | None = None, version: int = 1, **fields: Any
    ) -> None:
        code, made = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), version
        made.opcodeIndex, made.inputs, made.outputs = len(self.model.operatorCodes), inputs, outputs
        self.model.operatorCodes.append(code)
        if options:
            made.builtinOptions = getattr(schema, f"{options}T")()
            made.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            for key, value in fields.items():
                assert hasattr(made.builtinOptions, key)
                setattr(made.builtinOptions, key, value)
        self.graph.operators.append(made)

    def write(self, path: Path, inputs: list[int], outputs: list[int]) -> Path:
        self.graph.inputs, self.graph.outputs = inputs, outputs
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        path.write_bytes(bytes(builder.Output()))
        return path


def unary(path: Path, name: str, shape, out_shape, scales=(0.05, 0.04), zeros=(3, -7), extra=(), options=None, version=2, **fields) -> Path:
    """One operator from one int8 tensor to another; `extra` are int32 constants."""
    net = Net()
    x, y = net.tensor(shape, scale=scales[0], zero=zeros[0]), net.tensor(out_shape, scale=scales[1], zero=zeros[1])
    net.operator(name, [x, *(net.constant(values) for values in extra)], [y], options, version, **fields)
    return net.write(path, [x], [y])
