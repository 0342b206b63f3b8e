"""Run a .tflite with LiteRT (PyPI ai-edge-litert): the XNNPACK kernels by default, or the reference kernels."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np

from toolchain.data import Array
from toolchain.errors import ModelError

Kernels = Literal["xnnpack", "builtin", "reference"]


class LiteRT:
    """One interpreter. `kernels` names the family, because they differ from each other by a last bit."""

    def __init__(self, path: Path, threads: int = 1, kernels: Kernels = "xnnpack") -> None:
        """Raises ModelError where the interpreter refuses the file."""
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        resolver = {
            "xnnpack": OpResolverType.AUTO,
            "builtin": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            "reference": OpResolverType.BUILTIN_REF,
        }[kernels]
        self._path = path
        self.runtime = f"litert {importlib.metadata.version('ai-edge-litert')} {kernels}"
        try:
            self._interpreter: Any = Interpreter(str(path), num_threads=threads, experimental_op_resolver_type=resolver)
            self._inputs = self._interpreter.get_input_details()
            for detail in self._inputs:
                if 0 in detail["shape"] or (len(detail["shape"]) and detail["shape"][0] != 1):
                    self._interpreter.resize_tensor_input(detail["index"], [1, *detail["shape"][1:]])
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as err:
            raise self._refusal(err) from None
        self._inputs = self._interpreter.get_input_details()
        self.outputs = self._interpreter.get_output_details()
        self.input_shapes = [tuple(int(d) for d in detail["shape"][1:]) for detail in self._inputs]
        self.integer_inputs = [_is_integer(detail) for detail in self._inputs]

    def _refusal(self, err: Exception) -> ModelError:
        return ModelError(f"{self._path}: LiteRT cannot run it ({(str(err).strip().splitlines() or ['no reason given'])[0][:200]})")

    def predict(self, inputs: list[Array]) -> Array:
        """First output `[N, ...]` in float32. Raises ModelError where the file does not run."""
        raw = self.predict_raw([quantized(x, detail) for x, detail in zip(inputs, self._inputs, strict=True)])
        return dequantized(raw, self.outputs[0])

    def predict_raw(self, inputs: list[Array]) -> Array:
        """First output `[N, ...]` as stored, for inputs as stored."""
        return self.answers(inputs)[0]

    def answers(self, inputs: list[Array]) -> list[Array]:
        """Every output `[N, ...]` as stored, for inputs as stored."""
        rows = []
        try:
            for index in range(len(inputs[0])):
                for x, detail in zip(inputs, self._inputs, strict=True):
                    self._interpreter.set_tensor(detail["index"], x[index : index + 1])
                self._interpreter.invoke()
                rows.append([self._interpreter.get_tensor(detail["index"]) for detail in self.outputs])
        except (ValueError, RuntimeError) as err:
            raise self._refusal(err) from None
        return [np.concatenate(column) for column in zip(*rows, strict=True)]

    def quantize(self, inputs: list[Array]) -> list[Array]:
        """Inputs as this file stores them."""
        return [quantized(x, detail) for x, detail in zip(inputs, self._inputs, strict=True)]

    def invoke(self) -> None:
        """Run once on what is in the input tensors."""
        self._interpreter.invoke()


def _is_integer(detail: Any) -> bool:
    return np.issubdtype(detail["dtype"], np.integer) and not detail["quantization_parameters"]["scales"].size


def quantized(x: Array, detail: Any) -> Array:
    """`round(x / scale) + zero_point`, clipped to the stored type; unchanged for float and for unquantized integers."""
    dtype, parameters = detail["dtype"], detail["quantization_parameters"]
    if not parameters["scales"].size or dtype == np.float32:
        return np.asarray(x, dtype)
    limits = np.iinfo(dtype)
    stored = np.round(np.asarray(x, np.float32) / parameters["scales"][0]) + parameters["zero_points"][0]
    clipped: Array = np.clip(stored, limits.min, limits.max).astype(dtype)
    return clipped


def dequantized(stored: Array, detail: Any) -> Array:
    """`scale * (stored - zero_point)` in float32."""
    parameters = detail["quantization_parameters"]
    if not parameters["scales"].size:
        return stored.astype(np.float32)
    real: Array = (stored.astype(np.float32) - np.float32(parameters["zero_points"][0])) * parameters["scales"][0]
    return real


def open_runner(path: Path, threads: int) -> LiteRT:
    """The runtime that applications use: XNNPACK where it takes an operator."""
    return LiteRT(path, threads)
