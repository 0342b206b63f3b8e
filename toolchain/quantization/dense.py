"""FULLY_CONNECTED as a convolution of one pixel, the form in which every runtime rounds alike.

LiteRT's reference kernel for fully connected layers rounds once, TensorFlow Lite Micro's twice, so that about 1 in 1,000 answers is a
step apart. CONV_2D is computed alike in both. Weights, scales and biases stay what they are; only the operator is another.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np

from toolchain.quantization.flatbuffer import add_constant, code_place, kind, packed, unpacked


def as_convolutions(content: bytes) -> tuple[bytes, list[str]]:
    """An int8 .tflite without FULLY_CONNECTED, and the names of the results of the layers that changed.

    Values between such layers are images `[1, rows, 1, channels]`; a RESHAPE stands where another operator made or reads them.
    Layers whose weights are computed, or are not int8, stay as they are.
    """
    graph = _Graph(unpacked(content))
    names = graph.convolve()
    return (packed(graph.model), names) if names else (content, names)


class _Graph:
    """The main graph of a model that is being changed."""

    def __init__(self, model: Any) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.model, self._schema, self._graph = model, schema, model.subgraphs[0]
        self._tensors = self._graph.tensors
        self._dense = {place for place, op in enumerate(self._graph.operators) if self._can_change(op)}
        self._maker = {int(index): op for op in self._graph.operators for index in op.outputs}
        self._readers: dict[int, list[int]] = {}
        for place, op in enumerate(self._graph.operators):
            for index in op.inputs:
                self._readers.setdefault(int(index), []).append(place)

    def convolve(self) -> list[str]:
        """Change every layer that can be changed; their names are returned."""
        made: list[Any] = []
        images: dict[int, int] = {}
        names = []
        for place, op in enumerate(self._graph.operators):
            if place not in self._dense:
                made.append(op)
                continue
            layer = _Layer.of(op, self._tensors)
            if layer.x not in images:
                images[layer.x] = self._image(layer.x, layer.in_shape, made)
            result = self._as_image(layer.y, layer.out_shape) if self._free(layer.y) else self._twin(layer.y, layer.out_shape)
            self._change(op, layer, images[layer.x], result)
            made.append(op)
            images[layer.y] = result
            if result != layer.y:
                made.append(self._reshape(result, layer.y))
            names.append(self._tensors[layer.y].name.decode())
        self._graph.operators = made
        return names

    def _can_change(self, op: Any) -> bool:
        if kind(self.model, op) != self._schema.BuiltinOperator.FULLY_CONNECTED:
            return False
        x, weights = (self._tensors[index] for index in op.inputs[:2])
        return x.type == weights.type == self._schema.TensorType.INT8 and self.model.buffers[weights.buffer].data is not None

    def _free(self, index: int) -> bool:
        """Whether only layers that change read a tensor, so that its shape is ours."""
        return index not in self._graph.outputs and all(place in self._dense for place in self._readers.get(index, ()))

    def _image(self, index: int, shape: list[int], made: list[Any]) -> int:
        """A tensor as an image: as it is, as its maker can give it, or reshaped."""
        if list(self._tensors[index].shape) == shape:
            return index
        maker = self._maker.get(index)
        if maker is not None and self._free(index):
            operator, operators = kind(self.model, maker), self._schema.BuiltinOperator
            if operator == operators.RESHAPE:
                maker.inputs = [maker.inputs[0], add_constant(self.model, np.array(shape))]
                if maker.builtinOptions is not None:
                    maker.builtinOptions.newShape = shape
                return self._as_image(index, shape)
            if operator == operators.MEAN and shape[1] == 1 and self._averages_an_image(maker):
                maker.builtinOptions.keepDims = True
                return self._as_image(index, shape)
        image = self._twin(index, shape)
        made.append(self._reshape(index, image))
        return image

    def _averages_an_image(self, op: Any) -> bool:
        """Whether a MEAN runs over the rows and columns of an image, and leaves its channels."""
        axes = self.model.buffers[self._tensors[op.inputs[1]].buffer].data
        rank = len(self._tensors[op.inputs[0]].shape)
        return rank == 4 and axes is not None and {int(a) % 4 for a in np.asarray(axes, np.uint8).view(np.int32)} == {1, 2}

    def _as_image(self, index: int, shape: list[int]) -> int:
        self._tensors[index].shape, self._tensors[index].shapeSignature = shape, None
        return index

    def _twin(self, index: int, shape: list[int]) -> int:
        """Another tensor for the same values."""
        given, twin = self._tensors[index], self._schema.TensorT()
        twin.name, twin.type, twin.quantization, twin.shape, twin.buffer = given.name + b"/image", given.type, given.quantization, shape, 0
        self._tensors.append(twin)
        return len(self._tensors) - 1

    def _reshape(self, source: int, target: int) -> Any:
        shape = [int(size) for size in self._tensors[target].shape]
        op, options = self._schema.OperatorT(), self._schema.ReshapeOptionsT()
        options.newShape = shape
        op.opcodeIndex, op.builtinOptions = code_place(self.model, self._schema.BuiltinOperator.RESHAPE, 1), options
        op.builtinOptionsType = self._schema.BuiltinOptions.ReshapeOptions
        op.inputs, op.outputs = [source, add_constant(self.model, np.array(shape))], [target]
        return op

    def _change(self, op: Any, layer: _Layer, image: int, result: int) -> None:
        options = self._schema.Conv2DOptionsT()
        options.padding, options.strideH, options.strideW = self._schema.Padding.VALID, 1, 1
        options.dilationHFactor = options.dilationWFactor = 1
        options.fusedActivationFunction = op.builtinOptions.fusedActivationFunction
        bias = layer.bias if layer.bias >= 0 else self._zeros(layer)
        op.opcodeIndex = code_place(self.model, self._schema.BuiltinOperator.CONV_2D, 3)
        op.inputs, op.outputs, op.builtinOptions = [image, layer.weights, bias], [result], options
        op.builtinOptionsType = self._schema.BuiltinOptions.Conv2DOptions
        self._as_image(layer.weights, [layer.out_shape[-1], 1, 1, layer.in_shape[-1]])

    def _zeros(self, layer: _Layer) -> int:
        """A bias of zeros; LiteRT's kernels want one."""
        index = add_constant(self.model, np.zeros(layer.out_shape[-1]))
        x, weights = (np.asarray(self._tensors[i].quantization.scale, np.float32) for i in (layer.x, layer.weights))
        quantization = self._schema.QuantizationParametersT()
        quantization.scale, quantization.zeroPoint = (x * weights).tolist(), [0] * weights.size
        self._tensors[index].quantization = quantization
        return index


class _Layer(msgspec.Struct, frozen=True):
    """One fully connected layer before it changes: its tensors, and the shapes of its values as images."""

    x: int
    weights: int
    bias: int
    y: int
    in_shape: list[int]
    out_shape: list[int]

    @classmethod
    def of(cls, op: Any, tensors: list[Any]) -> _Layer:
        """Read the operator; weights that another layer has made filters of have the same two sizes."""
        x, weights, *rest = (int(index) for index in op.inputs)
        y, shape = int(op.outputs[0]), tensors[weights].shape
        outputs, inputs = int(shape[0]), int(shape[-1])
        rows = math.prod(int(size) for size in tensors[x].shape) // inputs
        return cls(x, weights, rest[0] if rest else -1, y, [1, rows, 1, inputs], [1, rows, 1, outputs])
