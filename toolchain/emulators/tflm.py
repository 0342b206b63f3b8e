"""Run a .tflite in the real TensorFlow Lite Micro interpreter (PyPI tflite-micro), on this machine.

Its int8 kernels equal LiteRT's reference kernels but for FULLY_CONNECTED: there LiteRT 2.3 rounds once when it
requantizes and TFLM twice (`MultiplyByQuantizedMultiplier`), so a value can lie one step apart.

It executes the same C++ interpreter and reference kernels as firmware does, so operator support and outputs are real.
The arena is that of a 64-bit host: on an M55 build with CMSIS-NN, ResNet-8 needed 2 % less and DS-CNN 13 % more.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from toolchain.data import Array
from toolchain.device import Device
from toolchain.emulator import Emulator, EmulatorResult
from toolchain.errors import DependencyError, ModelError
from toolchain.measure import accuracy
from toolchain.optional import require
from toolchain.runners.litert import LiteRT, dequantized

EXAMPLES = 100
"""Reference kernels are slow; that many examples are compared and scored."""


class Tflm(Emulator, frozen=True, tag="tflm"):
    """The interpreter with all built-in operators and LiteRT's reference kernels to compare with."""

    def missing(self, device: Device) -> str | None:
        """The command that installs the interpreter, where it is missing; it is not imported, which takes a second."""
        if importlib.util.find_spec("tflite_micro") is None:
            return "tflite-micro is not installed; run: pip install 'secateur[emulate]'"
        return None

    def run(self, file: Path, inputs: list[Array], labels: Array | None, device: Device) -> EmulatorResult:
        """Arena, outputs against LiteRT's reference kernels, and accuracy over at most 100 examples."""
        try:
            runtime = require("tflite_micro.python.tflite_micro.runtime", "emulate")
        except DependencyError as err:
            return EmulatorResult(emulator="tflm", how="executed", status="unavailable", reason=str(err))
        engine = f"tflite-micro {importlib.metadata.version('tflite-micro')}"
        chosen = [x[:EXAMPLES] for x in inputs]
        try:
            reference = LiteRT(file, kernels="reference")
        except ModelError as err:
            return EmulatorResult(emulator="tflm", how="executed", status="refused", reason=str(err), engine=engine)
        stored = reference.quantize(chosen)
        expected = reference.predict_raw(stored)
        arena_bytes = max(10 * file.stat().st_size, 1 << 22)
        complaint = ""
        with captured() as printed:
            try:
                interpreter = runtime.Interpreter.from_file(str(file), arena_size=arena_bytes)
                found = np.concatenate([_invoke(interpreter, [x[i : i + 1] for x in stored]) for i in range(len(stored[0]))])
                interpreter.print_allocations()
            except (RuntimeError, ValueError, SystemError) as err:
                complaint = str(err).strip() or type(err).__name__
        if complaint:
            reason = next((line for line in printed if "Didn't find op" in line or "not supported" in line.lower()), complaint)
            return EmulatorResult(emulator="tflm", how="executed", status="refused", reason=reason.strip(), engine=engine)
        scored = None if labels is None else accuracy.score(dequantized(found, reference.outputs[0]), labels[:EXAMPLES])
        return EmulatorResult(
            emulator="tflm",
            how="executed",
            status="ok",
            reason=None,
            engine=engine,
            arena_bytes=arena_of(printed),
            outputs_match=bool(np.array_equal(found, expected)),
            outputs_differing=int((found != expected).sum()),
            outputs_max_difference=float(np.abs(found.astype(np.float64) - expected).max()),
            outputs_are_float=bool(np.issubdtype(found.dtype, np.floating)),
            outputs_against=reference.runtime,
            examples=len(found),
            accuracy=None if scored is None else scored.value,
        )


def arena_of(printed: list[str]) -> int:
    """The total in TFLM's allocation log: `[RecordingMicroAllocator] Arena allocation total 55936 bytes`."""
    found = re.search(r"Arena allocation total (\d+) bytes", "\n".join(printed))
    if not found:
        raise ModelError("tflite-micro did not report its arena")
    return int(found.group(1))


@contextlib.contextmanager
def captured() -> Iterator[list[str]]:
    """Collect the lines that native code writes to the process's standard output and error; filled when the block ends."""
    lines: list[str] = []
    with tempfile.TemporaryFile() as log:
        saved = [os.dup(1), os.dup(2)]
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(saved[0], 1)
            os.dup2(saved[1], 2)
            for descriptor in saved:
                os.close(descriptor)
            log.seek(0)
            lines += log.read().decode(errors="replace").splitlines()


def _invoke(interpreter: Any, row: list[Array]) -> Array:
    for index, x in enumerate(row):
        interpreter.set_input(x, index)
    interpreter.invoke()
    output: Array = interpreter.get_output(0)
    return output
