"""Run a .tflite as generated C on an emulated Cortex-M: bit for bit, layer by layer, with every instruction counted.

What is measured are the kernels of `targets/cortex_m`, not TensorFlow Lite Micro or CMSIS-NN: outputs, linked sizes and
instructions are those of the package that `c_source` exports. Instructions are no cycles.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from toolchain.c_source.package import Package
from toolchain.c_source.program import Program, compile_file
from toolchain.c_source.reference import differing as reference_differences
from toolchain.cortex_m import qemu_machine, unicorn_machine
from toolchain.cortex_m.cores import Core, core_of
from toolchain.cortex_m.execution import Execution, Machine, capacity, execute
from toolchain.cortex_m.image import Image, build
from toolchain.data import Array
from toolchain.device import Device
from toolchain.emulator import Emulator, EmulatorResult, Layer, Trace
from toolchain.errors import DependencyError, GuestError, TargetError, ToolchainError
from toolchain.measure import accuracy
from toolchain.runners.litert import LiteRT, dequantized
from toolchain.tflite_file import Tensor

TRACED = 2
"""Examples of which the answer of every layer is compared."""
EXAMPLES = (TRACED, 100)
MACS: dict[Machine, int] = {"unicorn": 25_000_000, "qemu": 400_000_000}
"""As many examples are run as take about so many multiply-accumulates: a few seconds on an emulated core."""


class CortexM(Emulator, frozen=True, tag="cortex_m"):
    """The device's core: in QEMU where it is installed, else in unicorn, which needs only Python packages; both count the same."""

    machine: Literal["auto", "unicorn", "qemu"] = "auto"

    def missing(self, device: Device) -> str | None:
        """What this machine lacks: some cores need QEMU, others only Python packages."""
        try:
            machine = self._machine(core_of(device.cpu.core))
        except TargetError as err:
            return str(err)
        return qemu_machine.missing() if machine == "qemu" else unicorn_machine.missing()

    def run(self, file: Path, inputs: list[Array], labels: Array | None, device: Device) -> EmulatorResult:
        """Compile, link and execute; compare every layer with LiteRT's reference kernels."""
        try:
            core = core_of(device.cpu.core)
            machine = self._machine(core)
            if missing := self.missing(device):
                return _without(file, "unavailable", missing)
            done = _execute(file, inputs, core, machine)
        except DependencyError as err:
            return _without(file, "unavailable", str(err))
        except ToolchainError as err:
            return _without(file, "refused", str(err))
        return _result(file, done, labels, machine)

    def trace(self, file: Path, inputs: list[Array], device: Device) -> Trace | None:
        """What every layer computed for the first examples; None where the file or the core cannot be emulated."""
        try:
            core = core_of(device.cpu.core)
            done = _execute(file, inputs, core, self._machine(core))
        except ToolchainError:
            return None
        tensors = [done.program.tensors[step.operator.outputs[0]] for step in done.program.steps]
        return Trace(
            _real(done.found.outputs[0], done.program.outputs[0]),
            {
                step.index: _real(np.concatenate(answers), tensor)
                for step, tensor, answers in zip(done.program.steps, tensors, zip(*done.found.layers, strict=True), strict=True)
            },
        )

    def _machine(self, core: Core) -> Machine:
        """Raises TargetError where the machine asked for does not know the core."""
        chosen = self.machine
        if chosen == "auto":
            chosen = "qemu" if core.machine and (qemu_machine.missing() is None or not core.unicorn) else "unicorn"
        if (core.unicorn if chosen == "unicorn" else core.machine) is None:
            raise TargetError(f"{chosen} has no machine for {core.name} with memory enough; leave `machine` at auto")
        return chosen


def _without(file: Path, status: Literal["unavailable", "refused"], reason: str) -> EmulatorResult:
    return EmulatorResult(
        emulator="cortex_m", how="executed", status=status, reason=reason.removeprefix(f"{file}: ").removeprefix(f"{file.name}: ")
    )


class Done(msgspec.Struct, frozen=True):
    """A file after its execution."""

    program: Program
    image: Image
    rows: list[list[Array]]
    """The examples, as the file stores them."""
    found: Execution


def _execute(file: Path, inputs: list[Array], core: Core, machine: Machine) -> Done:
    program = compile_file(file)
    image = build(Package(program, file.stem), core)
    wanted = int(np.clip(MACS[machine] // max(program.macs or 1, 1), *EXAMPLES))
    count = min(wanted, len(inputs[0]), capacity(program, image, TRACED))
    if count < 1:
        raise GuestError(f"an example and the answers of its layers do not fit the emulator's {image.core.memory.outside_bytes:,} B")
    stored = LiteRT(file, kernels="reference").quantize([x[:count] for x in inputs])
    rows = [[x[i : i + 1] for x in stored] for i in range(count)]
    return Done(program, image, rows, execute(program, image, rows, min(TRACED, count), machine))


def _real(stored: Array, tensor: Tensor) -> Array:
    if not tensor.scale:
        return stored.astype(np.float32)
    real: Array = (stored.astype(np.float32) - np.float32(tensor.zero_point[0])) * np.float32(tensor.scale[0])
    return real


def _result(file: Path, done: Done, labels: Array | None, machine: Machine) -> EmulatorResult:
    program, image, found, rows = done.program, done.image, done.found, done.rows
    layers = instructions(program, found)
    reference = LiteRT(file, kernels="reference")
    expected = reference.predict_raw([np.concatenate(column) for column in zip(*rows, strict=True)])
    answers = found.outputs[0]
    different = reference_differences(program, rows, found.layers)
    differing = int((answers != expected).sum())
    scored = None if labels is None else accuracy.score(dequantized(answers, reference.outputs[0]), labels[: len(rows)])
    mix: Counter[str] = Counter()
    for segment in range(len(layers)):
        mix.update(found.counts.mix(segment))
    return EmulatorResult(
        emulator="cortex_m",
        how="executed",
        status="ok",
        reason=None,
        engine=f"c_source on {image.core.name} ({machine})",
        arena_bytes=program.arena.bytes,
        flash_bytes=image.flash_bytes,
        ram_bytes=image.ram_bytes + found.stack_bytes,
        outputs_match=not differing and not different,
        outputs_against=f"{reference.runtime}, every layer",
        outputs_differing=differing + sum(different.values()),
        outputs_max_difference=float(np.abs(answers.astype(np.float64) - expected).max()),
        outputs_are_float=bool(np.issubdtype(answers.dtype, np.floating)),
        examples=len(rows),
        accuracy=None if scored is None else scored.value,
        instructions=sum(layer.instructions or 0 for layer in layers),
        instructions_per_layer=layers,
        instruction_mix=dict(mix.most_common()),
        notes=_notes(image, found, different),
    )


def instructions(program: Program, found: Execution) -> tuple[Layer, ...]:
    """What each operator of the file cost in the first inference."""
    return tuple(
        Layer(
            index=step.index,
            operator=step.operator.name,
            output=program.tensors[step.operator.outputs[0]].name,
            macs=step.operator.macs,
            instructions=found.counts.instructions(segment),
        )
        for segment, step in enumerate(program.steps)
    )


def _notes(image: Image, found: Execution, different: dict[str, int]) -> tuple[str, ...]:
    notes = [f"RAM as linked: {image.ram_bytes:,} B of static data and {found.stack_bytes:,} B of stack; input and output are the caller's"]
    if image.core.note:
        notes.append(image.core.note)
    return (*notes, *(f"{count} values of {name} differ from the reference" for name, count in different.items()))
