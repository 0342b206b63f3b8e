"""The 256 answers of an operator with one 8-bit input, asked of the runtime itself, so that no formula is written twice."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from toolchain.data import Array
from toolchain.runners.litert import Kernels, LiteRT
from toolchain.tflite_file import DTYPES, Operator, TfliteFile


def answers(file: TfliteFile, op: Operator, kernels: Kernels) -> Array:
    """What `op` makes of every 8-bit value, in the order of the unsigned byte: `[256]` in the output's type."""
    dtype = DTYPES[file.tensors[op.inputs[0]].dtype]
    every = np.arange(256, dtype=np.uint8).view(dtype).reshape(1, 256)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.tflite"
        path.write_bytes(_alone(file, op))
        found: Array = LiteRT(path, kernels=kernels).predict_raw([every])[0]
        return found


def _alone(file: TfliteFile, op: Operator) -> bytes:
    """A .tflite whose only operator is `op`, from `[1, 256]` to `[1, 256]`."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model: Any = schema.ModelT.InitFromPackedBuf(file.path.read_bytes(), 0)
    whole = model.subgraphs[0]
    chosen = whole.operators[file.operators.index(op)]
    tensors = [whole.tensors[op.inputs[0]], whole.tensors[op.outputs[0]]]
    for tensor in tensors:
        tensor.shape, tensor.shapeSignature, tensor.buffer = [1, 256], None, 0
    chosen.inputs, chosen.outputs, chosen.opcodeIndex, code = [0], [1], 0, model.operatorCodes[chosen.opcodeIndex]
    whole.tensors, whole.operators, whole.inputs, whole.outputs = tensors, [chosen], [0], [1]
    model.operatorCodes, model.buffers = [code], [schema.BufferT()]
    model.metadata = model.metadataBuffer = model.signatureDefs = None
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
