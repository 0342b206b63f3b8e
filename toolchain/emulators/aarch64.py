"""Run a .tflite or an .onnx in the engines' own arm64 builds (the wheels from PyPI) on an emulated Cortex-A core.

qemu executes the instructions that a phone or a single-board computer would execute, so outputs and counts are real;
time is not. `-cpu max` is no choice: with its matrix extension, QEMU 7.2 computes wrong int8 outputs.
"""

from __future__ import annotations

import platform
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np

from toolchain.aarch64 import engines, sysroot
from toolchain.aarch64.execution import Execution
from toolchain.data import Array
from toolchain.device import Device
from toolchain.emulator import Emulator, EmulatorResult
from toolchain.errors import DependencyError, GuestError, ModelError
from toolchain.guests.process import Limits
from toolchain.measure import accuracy
from toolchain.report import percent
from toolchain.worker import Progress

LIMITS = Limits(seconds=300.0)
EXAMPLES = 100
INTEGER_RUN_MACS, FLOAT_RUN_MACS = 1_000_000_000, 300_000_000
"""Multiply-accumulates of all examples together: a few seconds of emulation. qemu computes floats in software."""
MOST_MACS = 3_000_000_000
"""An inference of more takes so long that a run comes near its time limit."""


class Aarch64(Emulator, frozen=True, tag="aarch64"):
    """One thread on one core, compared with this machine's build of the same version."""

    cpu: Literal["cortex-a53", "cortex-a72", "cortex-a76"]

    def missing(self, device: Device) -> str | None:
        """What lacks of qemu, the compiler of the counting plugin, and the arm64 system, with the command that installs it."""
        return sysroot.missing()

    @classmethod
    def install(cls, progress: Progress) -> None:
        """Fetch the arm64 system: Debian packages and wheels. Raises TargetError, DependencyError."""
        sysroot.install(progress)

    def run(self, file: Path, inputs: list[Array], labels: Array | None, device: Device) -> EmulatorResult:
        """Outputs, accuracy over at most 100 examples (fewer of a large model), and the instructions of one inference."""
        if (lacking := self.missing(device)) is not None:
            return self._without("unavailable", lacking)
        try:
            here = engines.load(file)
            if here.macs is not None and here.macs > MOST_MACS:
                raise ModelError(f"one inference has {here.macs:,} multiply-accumulates; an emulated core takes at most {MOST_MACS:,}")
            stored = here.quantize([x[: affordable(here.macs, here.floating)] for x in inputs])
            expected = here.predict_raw(stored)
            with tempfile.TemporaryDirectory() as folder:
                execution = Execution.prepare(sysroot.here(), self.cpu, here.kind, file, stored, Path(folder), LIMITS)
                found = execution.outputs(expected)
                executed = execution.instructions()
            scores = None if labels is None else [accuracy.score(here.dequantize(x), labels[: len(found)]) for x in (found, expected)]
        except DependencyError as err:
            return self._without("unavailable", str(err))
        except (ModelError, GuestError) as err:
            return self._without("refused", str(err))
        return EmulatorResult(
            emulator="aarch64",
            how="executed",
            status="ok",
            reason=None,
            engine=f"{here.runtime} on {self.cpu}",
            outputs_match=bool(np.array_equal(found, expected)),
            outputs_against=f"{here.runtime} on {platform.machine()}",
            outputs_differing=int((found != expected).sum()),
            outputs_max_difference=float(np.abs(found.astype(np.float64) - expected).max()),
            outputs_are_float=bool(np.issubdtype(found.dtype, np.floating)),
            examples=len(found),
            accuracy=None if scores is None else scores[0].value,
            instructions=executed.total,
            instruction_mix=executed.mix,
            notes=self._notes(found, expected, scores, device),
        )

    def _notes(self, found: Array, expected: Array, scores: list[accuracy.Score] | None, device: Device) -> tuple[str, ...]:
        notes = ["instructions: one call of the engine with one thread, without copying inputs and outputs"]
        if scores is not None:
            here = percent(scores[1].metric, scores[1].value)
            notes.append(f"{scores[1].metric}: of the first {len(found)} examples; on this machine, the same ones give {here}")
        if not np.array_equal(found, expected):
            notes.append(
                f"outputs: {int((found != expected).sum())} of {found.size} differ; builds for other processors round floats differently"
            )
        if device.cpu.core != self.cpu:
            notes.append(f"the device's core is {device.cpu.core}; {self.cpu} was emulated in its place")
        return tuple(notes)

    def _without(self, status: Literal["unavailable", "refused"], reason: str) -> EmulatorResult:
        return EmulatorResult(emulator="aarch64", how="executed", status=status, reason=reason)


def affordable(macs: int | None, floating: bool) -> int:
    """How many examples of a model of `macs` multiply-accumulates (None: unknown, taken for large) are run, 1 to 100."""
    return 1 if macs is None else max(1, min(EXAMPLES, (FLOAT_RUN_MACS if floating else INTEGER_RUN_MACS) // max(1, macs)))
