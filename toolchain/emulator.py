"""What an emulator is: frozen settings in a target's file that turn a model file into a result on that target.

Each kind is one file in `emulators/`; its name is the `kind` in a target's `[[emulator]]` table.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar, Literal

import msgspec

from toolchain.data import Array
from toolchain.device import Device
from toolchain.errors import TargetError
from toolchain.quantities import Amount, Count, Milliseconds, Real, Share
from toolchain.worker import Progress

How = Literal["executed", "vendor", "estimated", "published"]
"""Executed on the target's own instruction set, found by the vendor's tool, estimated with an interval, or published."""

NEAREST = ("corstone", "cortex_m", "aarch64", "tflm")
"""Emulators that execute, those nearest to the device first: its own runtime, its instructions, then this host."""


class Layer(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What one operator of the file costs on a target. Fields that do not apply are absent."""

    index: Count
    """Its place in the file's list of operators."""
    operator: str
    """Its name in schema.fbs: `CONV_2D`."""
    output: str
    """The name of the tensor it computes."""
    macs: Count
    instructions: Count | None = None
    cycles: Count | None = None
    ms: Amount | None = None


class EmulatorResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What one emulator found. Sizes in bytes; fields that do not apply are absent."""

    emulator: str
    how: How
    status: Literal["ok", "unavailable", "refused"]
    reason: str | None
    """Why it is not `ok`, with the install command where something is missing; None where it is."""
    engine: str | None = None
    arena_bytes: Count | None = None
    flash_bytes: Count | None = None
    """Code and constants as linked, or as the vendor's tool counts them."""
    ram_bytes: Count | None = None
    """Everything in RAM as linked: arena, buffers, stack."""
    outputs_match: bool | None = None
    outputs_against: str | None = None
    """Which kernels the outputs were compared with."""
    outputs_differing: Count | None = None
    """How many output values differ, over all examples."""
    outputs_max_difference: Real | None = None
    """Largest difference: in steps of the output's scale, or absolute where `outputs_are_float`."""
    outputs_are_float: bool = False
    examples: Count | None = None
    """How many examples were run, compared and scored."""
    accuracy: Real | None = None
    instructions: Count | None = None
    """Executed by one inference."""
    instructions_per_layer: tuple[Layer, ...] | None = None
    instruction_mix: dict[str, Count] | None = None
    """Executed instructions of one inference by mnemonic."""
    cycles: Count | None = None
    cycles_per_layer: tuple[Layer, ...] | None = None
    ms: Milliseconds | None = None
    """Milliseconds of one inference on the device; never an emulator's wall time."""
    interval_ms: tuple[Milliseconds, Milliseconds] | None = None
    """90 % interval of an estimate."""
    ms_per_layer: tuple[Layer, ...] | None = None
    npu_share: Share | None = None
    """Share of the file's operators that the neural processor computes, 0 to 1; the rest runs on the CPU."""
    profile: str | None = None
    """What an estimate was calibrated on, or the vendor's configuration."""
    notes: tuple[str, ...] = ()
    """What a reader of the numbers should know: limits, differences from the real device."""

    @property
    def comparison(self) -> str:
        """The outputs against the kernels they were compared with, in words."""
        if self.outputs_match is None:
            return ""
        if self.outputs_match:
            return f"identical to {self.outputs_against} on {self.examples} examples"
        unit = "" if self.outputs_are_float else " steps"
        steps = "" if self.outputs_max_difference is None else f", by at most {self.outputs_max_difference:g}{unit}"
        values = "1 value differs" if self.outputs_differing == 1 else f"{self.outputs_differing:,} values differ"
        return f"{values} from {self.outputs_against}{steps}, on {self.examples} examples"


class Trace(msgspec.Struct, frozen=True):
    """The real values that an emulator computed."""

    outputs: Array
    """The first output of all examples: `[N, ...]`."""
    layers: dict[int, Array]
    """Of each operator, by its place in the file, its output for the first examples: `[n, ...]`."""


class Emulator(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """One way to find out what a file does on a target."""

    how: ClassVar[How] = "executed"
    """How its numbers come about."""

    def missing(self, device: Device) -> str | None:
        """What this machine lacks to run it for a device, with the command that installs it; None when nothing is missing."""
        del device
        return None

    @classmethod
    def install(cls, progress: Progress) -> None:
        """Fetch what the kind needs beside Python packages (`secateur targets --install KIND`). Raises TargetError."""
        raise TargetError("there is nothing to install beside Python packages; see: secateur targets")

    def trace(self, file: Path, inputs: list[Array], device: Device) -> Trace | None:
        """The values that layers computed, for comparisons of two files; None where the emulator does not show them."""
        del file, inputs, device
        return None

    @abstractmethod
    def run(self, file: Path, inputs: list[Array], labels: Array | None, device: Device) -> EmulatorResult:
        """Execute or estimate `file` on examples `[N, ...]`; an unsupported file is a result, not an exception."""
