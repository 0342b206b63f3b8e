"""An engine as this machine has it: what the arm64 build is compared with, and how a file stores its inputs and outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from toolchain.artifact import Format, sniff
from toolchain.data import Array
from toolchain.errors import ModelError
from toolchain.onnx_file import OnnxFile
from toolchain.runners.litert import LiteRT, dequantized
from toolchain.runners.onnxruntime import Affine, OnnxRuntime
from toolchain.tflite_file import TfliteFile


class Engine(Protocol):
    """A loaded model with a batch of one."""

    kind: str
    """How the guest names it."""
    runtime: str
    """Name and version."""
    macs: int | None
    """Multiply-accumulates of one inference; None where the file does not tell."""
    floating: bool
    """Whether it may multiply floats."""

    def quantize(self, inputs: list[Array]) -> list[Array]:
        """Inputs `[N, ...]` as the file stores them."""

    def predict_raw(self, inputs: list[Array]) -> Array:
        """First output `[N, ...]` as stored, for inputs as stored."""

    def dequantize(self, stored: Array) -> Array:
        """First output as real values."""


class TfliteEngine(LiteRT):
    """LiteRT with XNNPACK."""

    kind = "litert"

    def __init__(self, path: Path) -> None:
        """Raises ModelError."""
        file = TfliteFile.read(path)
        super().__init__(path)
        if any(size < 0 for detail in self._inputs for size in detail["shape_signature"][1:]):
            raise ModelError(f"{path}: an input has an open dimension beside the batch")
        self.macs = file.macs
        self.floating = not file.scheme.startswith("static")

    def dequantize(self, stored: Array) -> Array:
        """First output as real values."""
        return dequantized(stored, self.outputs[0])


class OnnxEngine(OnnxRuntime):
    """onnxruntime on the CPU."""

    kind = "onnxruntime"
    floating = True  # what becomes of an int8 operator is decided as the session starts

    def __init__(self, path: Path) -> None:
        """Raises ModelError, DependencyError."""
        super().__init__(path)
        self.macs = OnnxFile.read(path).macs
        self._first = self._session.get_outputs()[0].name

    def quantize(self, inputs: list[Array]) -> list[Array]:
        """Inputs as stored."""
        return [self._stored(x, node) for x, node in zip(inputs, self._inputs, strict=True)]

    def predict_raw(self, inputs: list[Array]) -> Array:
        """First output as stored."""
        names = [node.name for node in self._inputs]
        feeds = [{name: x[i : i + 1] for name, x in zip(names, inputs, strict=True)} for i in range(len(inputs[0]))]
        return np.concatenate([self._session.run([self._first], feed)[0] for feed in feeds])

    def dequantize(self, stored: Array) -> Array:
        """First output as real values."""
        edge = self._edges.get(self._first, Affine(1.0, 0))
        real: Array = (stored.astype(np.float32) - edge.zero_point) * np.float32(edge.scale)
        return real


def load(path: Path) -> Engine:
    """The engine of a .tflite or an .onnx. Raises ModelError, DependencyError."""
    return TfliteEngine(path) if sniff(path) is Format.TFLITE else OnnxEngine(path)
