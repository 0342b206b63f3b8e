"""One operator of a .tflite as a file of its own, so that its error can be told from the errors of those before it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np

from toolchain.data import Array
from toolchain.errors import ModelError
from toolchain.runners.litert import dequantized, quantized
from toolchain.tflite_file import TfliteFile


class OperatorFactory:
    """Cuts operators out of one file."""

    def __init__(self, file: TfliteFile, constants: Mapping[int, Array]) -> None:
        """`constants`: the stored values of tensors that no input changes, by index."""
        from ai_edge_litert import schema_py_generated as schema

        self._schema: Any = schema
        self._file, self._constants = file, constants
        self._model: Any = schema.ModelT.InitFromPackedBuf(Path(file.path).read_bytes(), 0)

    def cut(self, index: int, *, real: bool) -> SingleOperator:
        """The operator at `index`; `real`: in float32, with dequantized weights. Raises ModelError where LiteRT has no kernel."""
        return SingleOperator(self._packed(index, real))

    def _packed(self, index: int, real: bool) -> bytes:
        schema, source = self._schema, self._model.subgraphs[0]
        original = source.operators[index]
        if original.intermediates is not None and len(original.intermediates):
            raise ModelError("an operator with inner tensors is not run alone")
        model, graph = schema.ModelT(), schema.SubGraphT()
        model.version, model.subgraphs, model.buffers = 3, [graph], [schema.BufferT()]
        model.operatorCodes = [self._model.operatorCodes[original.opcodeIndex]]
        graph.tensors, graph.inputs, graph.outputs, places = [], [], [], dict[int, int]()

        def place(tensor: int) -> int:
            if tensor < 0:
                return tensor
            if tensor not in places:
                places[tensor] = len(graph.tensors)
                graph.tensors.append(self._tensor(model, tensor, real))
                if tensor in self._file.operators[index].inputs and tensor not in self._constants and not source.tensors[tensor].isVariable:
                    graph.inputs.append(places[tensor])
            return places[tensor]

        operator = copy.copy(original)
        operator.opcodeIndex = 0
        operator.inputs = [place(int(tensor)) for tensor in original.inputs]
        operator.outputs = graph.outputs = [place(int(tensor)) for tensor in original.outputs]
        graph.operators = [operator]
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _tensor(self, model: Any, index: int, real: bool) -> Any:
        made = copy.copy(self._model.subgraphs[0].tensors[index])
        made.buffer, made.shapeSignature, made.sparsity = 0, None, None
        described, values = self._file.tensors[index], self._constants.get(index)
        if real and described.scale:
            made.type, made.quantization = self._schema.TensorType.FLOAT32, None
            if values is not None:
                values = dequantize(values, described.scale, described.zero_point, described.axis)
        if values is not None:
            buffer = self._schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
            made.buffer = len(model.buffers)
            model.buffers.append(buffer)
        return made


class SingleOperator:
    """An interpreter with one operator."""

    def __init__(self, content: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        try:
            kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
            self._interpreter: Any = Interpreter(model_content=content, experimental_op_resolver_type=kernels)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as err:
            raise ModelError(f"LiteRT cannot run the operator alone ({str(err).strip().splitlines()[0][:160]})") from None
        self._inputs, self._output = self._interpreter.get_input_details(), self._interpreter.get_output_details()[0]

    def run(self, inputs: list[Array]) -> Array:
        """Real answers `[n, ...]` for real inputs `[n, ...]`, one example at a time."""
        rows = []
        for index in range(len(inputs[0])):
            for x, detail in zip(inputs, self._inputs, strict=True):
                self._interpreter.set_tensor(detail["index"], quantized(x[index].reshape(detail["shape"]), detail))
            self._interpreter.invoke()
            rows.append(dequantized(self._interpreter.get_tensor(self._output["index"]), self._output))
        return by_example(rows)


def by_example(rows: list[Array]) -> Array:
    """`[n, ...]` from n tensors, whose batch axis of one goes where they have one."""
    stacked = np.stack(rows)
    return stacked[:, 0] if stacked.ndim > 1 and stacked.shape[1] == 1 else stacked


def dequantize(stored: Array, scale: tuple[float, ...], zero_point: tuple[int, ...], axis: int) -> Array:
    """`scale * (stored - zero_point)` in float32, along `axis` where there is more than one scale."""
    shape = [-1 if i == axis else 1 for i in range(stored.ndim)] if len(scale) > 1 else [1] * stored.ndim
    scales, zeros = (np.reshape(np.asarray(x, np.float64), shape) for x in (scale, zero_point))
    return np.asarray((stored.astype(np.float64) - zeros) * scales, np.float32)
