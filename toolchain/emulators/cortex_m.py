"""Run a .tflite as generated C on an emulated Cortex-M: bit for bit, layer by layer, with every instruction counted.

What is measured are the kernels of `targets/cortex_m`, not TensorFlow Lite Micro or CMSIS-NN: outputs, linked sizes and
instructions are those of the package that `c_source` exports. Instructions are no cycles.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from toolchain.c_source.package import Package
from toolchain.c_source.program import Program, compile_file
from toolchain.cortex_m import qemu_machine, unicorn_machine
from toolchain.cortex_m.cores import Core, core_of
from toolchain.cortex_m.execution import Execution, Machine, capacity, execute
from toolchain.cortex_m.image import Image, build
from toolchain.data import Array
from toolchain.device import Device
from toolchain.emulator import Emulator, EmulatorResult, Layer
from toolchain.errors import DependencyError, GuestError, TargetError, ToolchainError
from toolchain.measure import accuracy
from toolchain.runners.litert import LiteRT, dequantized
from toolchain.runners.litert_layers import Layers

TRACED = 2
"""Examples of which the answer of every layer is compared."""
EXAMPLES = (TRACED, 100)
MACS: dict[Machine, int] = {"unicorn": 40_000_000, "qemu": 400_000_000}
"""As many examples are run as take about so many multiply-accumulates: a few seconds on an emulated core."""


class CortexM(Emulator, frozen=True, tag="cortex_m"):
    """The device's core: in QEMU where it is installed, else in unicorn, which needs only Python packages; both count the same."""

    machine: Literal["auto", "unicorn", "qemu"] = "auto"

    @property
    def missing(self) -> str | None:
        """What this machine lacks; which core it is for is not known here, so unicorn decides unless qemu is asked for."""
        return qemu_machine.missing() if self.machine == "qemu" else unicorn_machine.missing()

    def missing_for(self, device: Device) -> str | None:
        """The same for a device, whose core may need QEMU."""
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
            if missing := self.missing_for(device):
                return _without(file, "unavailable", missing)
            program = compile_file(file)
            image = build(Package(program, file.stem), core)
            rows = _rows(file, program, image, inputs, MACS[machine])
            found = execute(program, image, rows, min(TRACED, len(rows)), machine)
        except DependencyError as err:
            return _without(file, "unavailable", str(err))
        except ToolchainError as err:
            return _without(file, "refused", str(err))
        return _result(file, program, image, found, rows, None if labels is None else labels[: len(rows)], machine)

    def _machine(self, core: Core) -> Machine:
        """Raises TargetError where the machine asked for does not know the core."""
        chosen = self.machine
        if chosen == "auto":
            chosen = "qemu" if core.machine and (qemu_machine.missing() is None or not core.unicorn) else "unicorn"
        if (core.unicorn if chosen == "unicorn" else core.machine) is None:
            raise TargetError(f"{chosen} has no machine for {core.name} with memory enough; leave `machine` at auto")
        return chosen


def _without(file: Path, status: Literal["unavailable", "refused"], reason: str) -> EmulatorResult:
    return EmulatorResult(emulator="cortex_m", how="executed", status=status, reason=reason.removeprefix(f"{file.name}: "))


def _rows(file: Path, program: Program, image: Image, inputs: list[Array], macs: int) -> list[list[Array]]:
    """Examples as the file stores them, one row each. Raises GuestError where not one fits the emulator's memory."""
    wanted = int(np.clip(macs // max(program.macs or 1, 1), *EXAMPLES))
    count = min(wanted, len(inputs[0]), capacity(program, image, TRACED))
    if count < 1:
        raise GuestError(f"an example and the answers of its layers do not fit the emulator's {image.core.memory.outside_bytes:,} B")
    stored = LiteRT(file, kernels="reference").quantize([x[:count] for x in inputs])
    return [[x[i : i + 1] for x in stored] for i in range(count)]


def _result(
    file: Path, program: Program, image: Image, found: Execution, rows: list[list[Array]], labels: Array | None, machine: Machine
) -> EmulatorResult:
    layers = instructions(program, found)
    reference = LiteRT(file, kernels="reference")
    expected = reference.predict_raw([np.concatenate(column) for column in zip(*rows, strict=True)])
    answers = found.outputs[0]
    different = differing_layers(file, program, found, rows)
    differing = int((answers != expected).sum())
    scored = None if labels is None else accuracy.score(dequantized(answers, reference.outputs[0]), labels)
    mix: dict[str, int] = {}
    for segment in range(len(layers)):
        for mnemonic, count in found.counts.mix(segment).items():
            mix[mnemonic] = mix.get(mnemonic, 0) + count
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
        examples=len(rows),
        accuracy=None if scored is None else scored.value,
        instructions=sum(layer.instructions or 0 for layer in layers),
        instructions_per_layer=layers,
        instruction_mix=dict(sorted(mix.items(), key=lambda item: -item[1])),
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


def differing_layers(file: Path, program: Program, found: Execution, rows: list[list[Array]]) -> dict[str, int]:
    """How many values of each operator differ from LiteRT's reference kernels over the traced examples, where any do."""
    layers = Layers(file)
    different: dict[str, int] = {}
    for row, answers in zip(rows, found.layers, strict=False):
        layers.run(row)
        for step, answer in zip(program.steps, answers, strict=True):
            if count := int((answer != layers.tensor(step.operator.outputs[0])).sum()):
                name = f"operator {step.index}, {step.operator.name}"
                different[name] = different.get(name, 0) + count
    return different


def _notes(image: Image, found: Execution, different: dict[str, int]) -> tuple[str, ...]:
    notes = [f"RAM as linked: {image.ram_bytes:,} B of static data and {found.stack_bytes:,} B of stack; input and output are the caller's"]
    if image.core.note:
        notes.append(image.core.note)
    return (*notes, *(f"{count} values of {name} differ from the reference" for name, count in different.items()))
