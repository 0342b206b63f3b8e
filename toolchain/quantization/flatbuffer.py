"""A .tflite as objects that can be changed and written again (schema.fbs of TensorFlow Lite)."""

from __future__ import annotations

from typing import Any

import numpy as np

from toolchain.data import Array


def unpacked(content: bytes) -> Any:
    """The file as objects."""
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(bytearray(content), 0)


def packed(model: Any) -> bytes:
    """Objects as a file, without the operator codes that no operator has: an interpreter would want kernels for them."""
    import flatbuffers

    operators = [op for graph in model.subgraphs for op in graph.operators]
    used = sorted({op.opcodeIndex for op in operators})
    for op in operators:
        op.opcodeIndex = used.index(op.opcodeIndex)
    model.operatorCodes = [model.operatorCodes[place] for place in used]
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def kind(model: Any, op: Any) -> int:
    """The BuiltinOperator of an operator."""
    code = model.operatorCodes[op.opcodeIndex]
    return int(max(code.builtinCode, code.deprecatedBuiltinCode))


def code_place(model: Any, operator: int, version: int) -> int:
    """The place of an operator's code, added where it is missing or too old."""
    from ai_edge_litert import schema_py_generated as schema

    for place, code in enumerate(model.operatorCodes):
        if max(code.builtinCode, code.deprecatedBuiltinCode) == operator and code.version >= version:
            return place
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = operator, min(operator, 127), version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def add_constant(model: Any, values: Array) -> int:
    """The index of a new int32 constant in the main graph."""
    from ai_edge_litert import schema_py_generated as schema

    buffer, tensor, tensors = schema.BufferT(), schema.TensorT(), model.subgraphs[0].tensors
    buffer.data = np.frombuffer(values.astype(np.int32).tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensor.name, tensor.type, tensor.shape = f"constant_{len(tensors)}".encode(), schema.TensorType.INT32, list(values.shape)
    tensor.buffer = len(model.buffers) - 1
    tensors.append(tensor)
    return len(tensors) - 1
