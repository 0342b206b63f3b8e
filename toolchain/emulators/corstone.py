"""Run a .tflite on an emulated Cortex-M55 with Arm's own firmware: TensorFlow Lite Micro with CMSIS-NN's Helium kernels.

Outputs, arena and instructions are those of that runtime. QEMU knows no cycles, so nothing here is a time. The firmware's
arena has 2 MiB; whether a device has that room is for `fit` to say.
"""

from __future__ import annotations

import importlib.metadata
import tempfile
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np

from toolchain.corstone import firmware
from toolchain.corstone.board import PROGRAM, Answer, Board
from toolchain.corstone.elf import Program
from toolchain.corstone.profile import Profile, marks, profile
from toolchain.data import Array
from toolchain.device import Device
from toolchain.emulator import Emulator, EmulatorResult
from toolchain.emulators.tflm import captured
from toolchain.errors import DependencyError, GuestError, ModelError, ToolchainError
from toolchain.guests import counting, process
from toolchain.measure import accuracy
from toolchain.optional import require
from toolchain.runners.litert import LiteRT, dequantized
from toolchain.tflite_file import TfliteFile
from toolchain.worker import Progress

ENGINE = f"tflm + cmsis-nn ({firmware.PACKAGE.replace('==', ' ')} firmware)"


class Corstone(Emulator, frozen=True, tag="corstone"):
    """Corstone-300 (Cortex-M55) without its Ethos-U: every operator runs on the core."""

    examples: Annotated[int, msgspec.Meta(ge=1)] = 16
    """How many are run, compared and scored; each takes a boot of 0.1 to 0.3 s."""
    limit_s: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    """For one of them."""

    def missing(self, device: Device) -> str | None:
        """QEMU's or the firmware's install command."""
        try:
            process.find(PROGRAM)
        except DependencyError as err:
            return str(err)
        return firmware.missing()

    @classmethod
    def install(cls, progress: Progress) -> None:
        """Fetch Arm's firmware."""
        firmware.install(progress)

    def run(self, file: Path, inputs: list[Array], labels: Array | None, device: Device) -> EmulatorResult:
        """Arena, outputs against tflite-micro and LiteRT's reference kernels, instructions by operator of the first example."""
        result = EmulatorResult(emulator="corstone", how="executed", status="refused", reason=None, engine=ENGINE)
        if missing := self.missing(device):
            return msgspec.structs.replace(result, status="unavailable", reason=missing)
        try:
            litert = LiteRT(file, kernels="reference")
            stored = litert.quantize([x[: self.examples] for x in inputs])
            answers, counted, notes = self._answers(file, stored)
            found = _first_output(answers, litert.outputs)
        except (ModelError, GuestError) as err:
            return msgspec.structs.replace(result, reason=str(err))
        references = {litert.runtime: litert.predict_raw(stored)}
        try:
            references = _interpreted(file, stored) | references
        except (DependencyError, ModelError) as err:
            notes.append(f"outputs were not compared with tflite-micro: {err}")
        (against, expected), *others = references.items()
        notes += [_difference(found, other, name) for name, other in others]
        return msgspec.structs.replace(
            result,
            status="ok",
            arena_bytes=answers[0].report.arena_bytes,
            outputs_match=bool(np.array_equal(found, expected)),
            outputs_against=against,
            outputs_differing=int((found != expected).sum()),
            outputs_max_difference=float(np.abs(found.astype(np.float64) - expected).max()),
            outputs_are_float=bool(np.issubdtype(found.dtype, np.floating)),
            examples=len(found),
            accuracy=None if labels is None else accuracy.score(dequantized(found, litert.outputs[0]), labels[: len(found)]).value,
            instructions=counted.instructions if counted else None,
            instructions_per_layer=counted.layers if counted else None,
            instruction_mix=(counted.mix or None) if counted else None,
            notes=tuple(notes),
        )

    def _answers(self, file: Path, stored: list[Array]) -> tuple[list[Answer], Profile | None, list[str]]:
        """Boot once for each example, counting in the first; the notes say why nothing was counted."""
        model, program, notes = TfliteFile.read(file), firmware.load(), list[str]()
        rows = [b"".join(x[index].tobytes() for x in stored) for index in range(len(stored[0]))]
        with tempfile.TemporaryDirectory() as name:
            board = Board(program.content, file.read_bytes(), Path(name), process.Limits(seconds=self.limit_s))
            written = Path(name) / "counts.txt"
            try:
                options = [*counting.arguments(written, marks(program)), "-icount", "shift=0"]  # timer interrupts fall alike each time
            except ToolchainError as err:
                options = []
                notes.append(f"instructions were not counted: {err}")
            answers = [board.infer(rows[0], options), *(board.infer(row) for row in rows[1:])]
            if [op.name for op in model.operators] != list(answers[0].report.operators):
                notes.append("the firmware's list of operators is not the file's: " + ", ".join(answers[0].report.operators))
            return answers, _counted(written, program, model, notes) if options else None, notes


def _counted(written: Path, program: Program, model: TfliteFile, notes: list[str]) -> Profile | None:
    try:
        return profile(counting.read(written, "thumb"), program, model)
    except (GuestError, DependencyError) as err:
        notes.append(f"instructions were not counted: {err}")
        return None


def _first_output(answers: list[Answer], outputs: Any) -> Array:
    """The first output of every answer as stored, `[N, ...]`. Raises GuestError where sizes are not those of the file."""
    sizes = [int(np.prod(detail["shape"])) * np.dtype(detail["dtype"]).itemsize for detail in outputs]
    for answer in answers:
        if len(answer.output) != sum(sizes):
            raise GuestError(f"the firmware gave {len(answer.output):,} B of outputs; the file has {sum(sizes):,}")
    rows = [np.frombuffer(answer.output[: sizes[0]], outputs[0]["dtype"]).reshape(outputs[0]["shape"]) for answer in answers]
    return np.concatenate(rows)


def _interpreted(file: Path, stored: list[Array]) -> dict[str, Array]:
    """What the same interpreter computes on this machine, by its name. Raises DependencyError, or ModelError where it refuses."""
    runtime = require("tflite_micro.python.tflite_micro.runtime", "emulate")
    rows = []
    with captured() as printed:
        try:
            interpreter = runtime.Interpreter.from_file(str(file), arena_size=max(10 * file.stat().st_size, 1 << 22))
            for row in range(len(stored[0])):
                for index, x in enumerate(stored):
                    interpreter.set_input(x[row : row + 1], index)
                interpreter.invoke()
                rows.append(interpreter.get_output(0))
        except (RuntimeError, ValueError, SystemError) as err:
            complaint = str(err).strip() or type(err).__name__
        else:
            complaint = ""
    if complaint:
        raise ModelError(" | ".join([complaint, *printed])[:300])
    return {f"tflite-micro {importlib.metadata.version('tflite-micro')}": np.concatenate(rows)}


def _difference(found: Array, expected: Array, against: str) -> str:
    differing = int((found != expected).sum())
    if not differing:
        return f"outputs are identical to {against}"
    largest = np.abs(found.astype(np.float64) - expected).max()
    unit = " steps" if np.issubdtype(found.dtype, np.integer) else ""
    return f"{differing} of {found.size} output values differ from {against}, by at most {largest:.2g}{unit}"
