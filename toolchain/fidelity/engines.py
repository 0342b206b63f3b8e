"""Engines that run a file on this machine: what users' runtimes answer, and where they disagree."""

from __future__ import annotations

import importlib.metadata
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import msgspec
import numpy as np

from toolchain.artifact import Format
from toolchain.data import Array
from toolchain.emulators.tflm import captured
from toolchain.errors import ModelError
from toolchain.fidelity.findings import EngineDifference
from toolchain.optional import require
from toolchain.runners import Runner
from toolchain.runners.litert import Kernels, LiteRT, dequantized
from toolchain.runners.onnxruntime import OnnxRuntime

ENGINES = {Format.TFLITE: (*get_args(Kernels), "tflm"), Format.ONNX: ("onnxruntime",)}
"""By the format of a file: LiteRT with each of its families of kernels, TensorFlow Lite Micro; onnxruntime."""


class Answers(msgspec.Struct, frozen=True):
    """The first output of a file."""

    runtime: str
    real: Array
    """`[N, ...]` in float32."""
    stored: Array
    """As the file stores it: integers, or the same as `real`."""


def answers(path: Path, engine: str, inputs: list[Array]) -> Answers:
    """Run a file on real inputs `[N, ...]`. Raises ModelError where the engine refuses it, DependencyError where it is missing."""
    if engine == "onnxruntime":
        session = OnnxRuntime(path)
        _check(session, inputs)
        real = session.predict(inputs)
        return Answers(session.runtime, real, real)
    litert = LiteRT(path, kernels="reference" if engine == "tflm" else engine)  # type: ignore[arg-type]
    _check(litert, inputs)
    stored = litert.quantize(inputs)
    runtime, found = _tflm(path, stored) if engine == "tflm" else (litert.runtime, litert.predict_raw(stored))
    return Answers(runtime, dequantized(found, litert.outputs[0]), found)


def _check(runner: Runner, inputs: list[Array]) -> None:
    given = [x.shape[1:] for x in inputs]
    if given != runner.input_shapes:
        raise ModelError(f"takes inputs {[list(s) for s in runner.input_shapes]}, the model {[list(s) for s in given]}")


def differences(file: str, found: Mapping[str, Answers]) -> list[EngineDifference]:
    """Every two engines that ran the file."""
    rows = []
    for first, second in itertools.combinations(found, 2):
        a, b = found[first], found[second]
        steps = np.abs(a.stored.astype(np.float64) - b.stored)
        integers = np.issubdtype(a.stored.dtype, np.integer)
        real = float(np.abs(a.real.astype(np.float64) - b.real).max())
        rows.append(EngineDifference(file, first, second, steps.size, int((steps > 0).sum()), int(steps.max()) if integers else None, real))
    return rows


def _tflm(path: Path, stored: list[Array]) -> tuple[str, Array]:
    """The interpreter of microcontrollers, as PyPI's tflite-micro builds it for this machine."""
    module = require("tflite_micro.python.tflite_micro.runtime", "emulate")
    complaint, rows = "", []
    with captured() as printed:
        try:
            interpreter: Any = module.Interpreter.from_file(str(path), arena_size=max(10 * path.stat().st_size, 1 << 22))
            for index in range(len(stored[0])):
                for place, x in enumerate(stored):
                    interpreter.set_input(x[index : index + 1], place)
                interpreter.invoke()
                rows.append(interpreter.get_output(0))
        except (RuntimeError, ValueError, SystemError) as err:
            complaint = str(err).strip() or type(err).__name__
    if complaint:
        telling = (line for line in printed if "Didn't find op" in line or "not supported" in line.lower())
        raise ModelError(next(telling, complaint).strip())
    return f"tflite-micro {importlib.metadata.version('tflite-micro')}", np.concatenate(rows)
