"""Runners execute a finished file on this machine, without TensorFlow: one file a runtime, chosen by the format."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol

from toolchain.artifact import Format, sniff
from toolchain.data import Array
from toolchain.errors import ModelError


class Runner(Protocol):
    """A loaded model with a batch of one."""

    runtime: str
    """Name and version of what runs it."""
    input_shapes: list[tuple[int, ...]]
    """Shapes without the batch."""
    integer_inputs: list[bool]
    """Inputs that take whole numbers, such as token ids."""

    def predict(self, inputs: list[Array]) -> Array:
        """First output in float32 `[N, ...]` for inputs `[N, ...]`; integers are quantized and dequantized here."""

    def invoke(self) -> None:
        """Run once on the inputs of the last `predict`; nothing is copied in or out."""


def open_runner(path: Path, threads: int = 1) -> Runner:
    """Load a .tflite with LiteRT or an .onnx with onnxruntime. Raises ModelError, DependencyError."""
    name = {Format.TFLITE: "litert", Format.ONNX: "onnxruntime"}.get(sniff(path))
    if name is None:
        raise ModelError(f"{path}: only .tflite and .onnx files run here; export it first: secateur run float32 --model {path}")
    runner: Runner = importlib.import_module(f"toolchain.runners.{name}").open_runner(path, threads)
    return runner
