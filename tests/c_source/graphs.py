"""Small .tflite files written operator by operator, without a converter, and their C compared with LiteRT's reference kernels."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from toolchain.c_source.host import Host
from toolchain.c_source.package import Package
from toolchain.c_source.program import compile_file
from toolchain.c_source.reference import differing, random_rows

KINDS = {np.int8: "INT8", np.uint8: "UINT8", np.int16: "INT16", np.int32: "INT32", np.float32: "FLOAT32"}


class Net:
    """Collects tensors and operators of one graph."""

    def __init__(self) -> None:
        self.model, self.graph = schema.ModelT(), schema.SubGraphT()
        self.model.version, self.model.subgraphs = 3, [self.graph]
        self.model.buffers, self.model.operatorCodes = [schema.BufferT()], []
        self.graph.tensors, self.graph.operators, self.graph.inputs, self.graph.outputs = [], [], [], []

    def tensor(self, shape, scale=None, zero=0, dtype=np.int8, data=None, axis=0) -> int:
        made = schema.TensorT()
        made.name, made.shape, made.buffer = f"t{len(self.graph.tensors)}", list(shape), 0
        made.type = getattr(schema.TensorType, KINDS[dtype])
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

    def input(self, shape, scale=None, zero=0, dtype=np.int8) -> int:
        self.graph.inputs.append(self.tensor(shape, scale, zero, dtype))
        return self.graph.inputs[-1]

    def output(self, shape, scale=None, zero=0, dtype=np.int8) -> int:
        self.graph.outputs.append(self.tensor(shape, scale, zero, dtype))
        return self.graph.outputs[-1]

    def constant(self, data, dtype=np.int32, **quantization) -> int:
        return self.tensor(np.shape(data), dtype=dtype, data=data, **quantization)

    def operator(self, name: str, inputs: list[int], output: int, options: str | None = None, version: int = 2, **fields: Any) -> None:
        code, made = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), version
        made.opcodeIndex, made.inputs, made.outputs = len(self.model.operatorCodes), inputs, [output]
        self.model.operatorCodes.append(code)
        if options:
            made.builtinOptions = getattr(schema, f"{options}OptionsT")()
            made.builtinOptionsType = getattr(schema.BuiltinOptions, f"{options}Options")
            for key, value in fields.items():
                assert hasattr(made.builtinOptions, key)
                setattr(made.builtinOptions, key, value)
        self.graph.operators.append(made)

    def write(self, path: Path) -> Path:
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        path.write_bytes(bytes(builder.Output()))
        return path


def packaged(net: Net, folder: str) -> Package:
    return Package(compile_file(net.write(Path(folder) / "net.tflite")), "net")


def mismatches(net: Net, examples: int = 4) -> dict[str, int]:
    """How many values differ by operator, on this machine; {} is what a test wants."""
    with tempfile.TemporaryDirectory() as folder:
        return different(packaged(net, folder), examples)


def different(package: Package, examples: int = 4) -> dict[str, int]:
    rows = random_rows(package.program, examples)
    return differing(package.program, rows, map(Host(package).run, rows))
