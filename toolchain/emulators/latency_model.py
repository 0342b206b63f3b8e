"""Estimate milliseconds on a real board from published measurements of its core and engine. Nothing is executed.

The estimate comes with a 90 % interval and its profile's name; where the measurements do not reach, it is refused.
`docs/latency.md` tells how profiles are calibrated and what their errors are.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from toolchain.artifact import Format, sniff
from toolchain.data import Array
from toolchain.device import Device
from toolchain.emulator import Emulator, EmulatorResult, How, Layer
from toolchain.errors import ModelError, TargetError
from toolchain.latency import estimate
from toolchain.latency.memory import activations
from toolchain.latency.profile import Board, Profile, load
from toolchain.tflite_file import TfliteFile


class LatencyModel(Emulator, frozen=True, tag="latency_model"):
    """A latency profile by name, or why there is none for the device; checked when the target loads."""

    how: ClassVar[How] = "estimated"

    profile: str | None = None
    board: str | None = None
    """Which of the profile's measured boards the device is; left out for another board of the same core."""
    uncalibrated: str | None = None
    """Instead of a profile: why no measurement reaches the device. Every estimate is refused with it."""

    def __post_init__(self) -> None:
        if (self.profile is None) == (self.uncalibrated is None):
            raise ValueError("give either profile or uncalibrated")
        if self.profile is None:
            return
        try:
            found = load(self.profile)
            if self.board is not None:
                found.board(self.board)
        except TargetError as err:
            raise ValueError(str(err)) from None

    def run(self, file: Path, inputs: list[Array], labels: Array | None, device: Device) -> EmulatorResult:
        """Milliseconds in all and by operator; examples and labels play no part."""
        if self.profile is None:
            return EmulatorResult(emulator="latency_model", how=self.how, status="refused", reason=f"uncalibrated: {self.uncalibrated}")
        known = load(self.profile)
        try:
            model = TfliteFile.read(file) if sniff(file) is Format.TFLITE else None
        except ModelError as err:
            return self._refused(known, str(err))
        if model is None:
            return self._refused(known, f"profile {known.name} is calibrated on .tflite files")
        if reason := estimate.refusal(model, known, device):
            return self._refused(known, reason)
        board = None if self.board is None else known.board(self.board)
        found = estimate.estimate(model, known, device.cpu.clock_hz, board)
        return EmulatorResult(
            emulator="latency_model",
            how=self.how,
            status="ok",
            reason=None,
            engine=known.engine,
            profile=known.name,
            ms=found.ms,
            interval_ms=found.interval_ms,
            ms_per_layer=tuple(
                Layer(index=index, operator=op.name, output=model.tensors[op.outputs[0]].name if op.outputs else "", macs=op.macs, ms=ms)
                for index, (op, ms) in enumerate(zip(model.operators, found.ms_per_operator, strict=True))
            ),
            notes=_notes(model, known, device, board),
        )

    def _refused(self, known: Profile, reason: str) -> EmulatorResult:
        return EmulatorResult(
            emulator="latency_model", how=self.how, status="refused", reason=reason, engine=known.engine, profile=known.name
        )


def _notes(model: TfliteFile, known: Profile, device: Device, board: Board | None) -> tuple[str, ...]:
    notes = [f"estimated for {known.engine}; another engine or version takes another time"]
    errors = known.errors
    if known.unit == "operator":
        notes.append("calibrated on the operators of a single network")
    if errors.leave_one_family_out is None:
        notes.append(f"too few networks to judge {known.name} by leaving one out; the engine's other profiles were judged instead")
    else:
        left_out = "families of networks" if known.unit == "network" else "sizes of image"
        notes.append(
            f"mean error on {left_out} left out of the calibration: {errors.leave_one_family_out:.0%} "
            f"over {errors.held_out_rows} measurements"
        )
    measured = ", ".join(f"{each.name} at {each.clock_hz / 1e6:g} MHz" for each in known.boards)
    if board is None:
        notes.append(f"{device.name} is not among the measured boards ({measured}): same cycles assumed, interval widened")
    elif abs(device.cpu.clock_hz / board.clock_hz - 1) >= 0.01:
        notes.append(f"measured at {board.clock_hz / 1e6:g} MHz: same cycles assumed, interval widened")
    need, room = activations(model), estimate.internal_bytes(device.memory)
    if room is not None and need.separate_bytes > room:
        notes.append(
            f"activations need {need.in_place_bytes:,} to {need.separate_bytes:,} B, by how much the engine overwrites; "
            f"beyond {room:,} B they lie in external memory and the estimate is too low"
        )
    return tuple(notes)
