"""Average pooling over a whole image as a MEAN, which has a grid of its own.

AVERAGE_POOL_2D answers on the grid of its input (TFLite 8-bit quantization specification). Averages of a whole image are far
smaller than its largest value, so that they lose bits: in MLPerf Tiny's ResNet-8 no operator adds more noise. In float both
compute the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from toolchain.quantization.flatbuffer import add_constant, code_place, kind, packed, unpacked


def as_means(content: bytes) -> bytes:
    """A float .tflite whose average poolings over all rows and columns are MEANs; windows that slide stay."""
    from ai_edge_litert import schema_py_generated as schema

    model = unpacked(content)
    graph, operators = model.subgraphs[0], schema.BuiltinOperator
    whole = [op for op in graph.operators if kind(model, op) == operators.AVERAGE_POOL_2D and _covers_all(op, graph)]
    if not whole:
        return content
    axes, code = add_constant(model, np.array([1, 2])), code_place(model, operators.MEAN, 2)
    for op in whole:
        op.opcodeIndex, op.inputs = code, [op.inputs[0], axes]
        op.builtinOptionsType, op.builtinOptions = schema.BuiltinOptions.ReducerOptions, schema.ReducerOptionsT()
        op.builtinOptions.keepDims = True
    return packed(model)


def _covers_all(op: Any, graph: Any) -> bool:
    """Whether the only window is the image, and nothing is fused behind it."""
    options, (_, height, width, _) = op.builtinOptions, graph.tensors[op.inputs[0]].shape
    _, rows, columns, _ = graph.tensors[op.outputs[0]].shape
    window = (options.filterHeight, options.filterWidth)
    return (rows, columns) == (1, 1) and window == (height, width) and not options.fusedActivationFunction
