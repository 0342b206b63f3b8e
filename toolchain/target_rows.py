"""A file on a target as one row of a table, for the command line and the page: of every number the best evidence, with its origin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from toolchain.emulator import EmulatorResult, Layer
from toolchain.report import ArtifactReport, TargetReport, percent

NEAREST = ("corstone", "cortex_m", "aarch64", "tflm")
"""Emulators that execute, those nearest to the device first: its own runtime, its instructions, then this host."""

FITS = {True: "yes", False: "no", None: "unknown"}


class TargetRow(msgspec.Struct, frozen=True):
    """Cells as text; empty where nothing is known."""

    file: str
    target: str
    fits: str
    flash: str
    sram: str
    outputs: str
    accuracy: str
    instructions: str
    ms: str


def row(artifact: ArtifactReport, on: TargetReport) -> TargetRow:
    """One artifact on one target."""
    executed = sorted((r for r in on.results if r.status == "ok" and r.emulator in NEAREST), key=lambda r: NEAREST.index(r.emulator))
    outputs = next((f"{r.comparison} ({r.emulator})" for r in executed if r.comparison), "")
    accuracy = next(
        (f"{percent(artifact.metric, r.accuracy)} on {r.examples} ({r.emulator})" for r in executed if r.accuracy is not None), ""
    )
    instructions = next((f"{r.instructions:,} ({r.emulator})" for r in executed if r.instructions is not None), "")
    return TargetRow(
        artifact.name,
        on.target,
        FITS[on.fits],
        "" if on.flash_bytes is None else f"{on.flash_bytes:,}",
        "" if on.sram_bytes is None else f"{on.sram_bytes:,}",
        outputs,
        accuracy,
        instructions,
        _first_milliseconds(on),
    )


def _first_milliseconds(on: TargetReport) -> str:
    """Of several engines the first that the target names; the others follow below the table."""
    timed = [result for result in on.results if result.ms is not None]
    more = f" (and {len(timed) - 1} more below)" if len(timed) > 1 else ""
    return f"{milliseconds(timed[0])}, {timed[0].how}: {timed[0].profile}{more}" if timed else ""


def milliseconds(result: EmulatorResult) -> str:
    """Milliseconds with their interval: `12.3 (11.1 to 13.6, 90 %)`."""
    interval = "" if result.interval_ms is None else f" ({result.interval_ms[0]:.3g} to {result.interval_ms[1]:.3g}, 90 %)"
    return f"{result.ms:.3g}{interval}"


def findings(result: EmulatorResult) -> str:
    """Everything one emulator found, in a line."""
    if result.status != "ok":
        return f"{result.emulator}: {result.status}: {result.reason}"
    parts = [
        result.engine or "",
        "" if result.arena_bytes is None else f"arena {result.arena_bytes:,} B",
        "" if result.flash_bytes is None else f"flash {result.flash_bytes:,} B",
        "" if result.ram_bytes is None else f"RAM {result.ram_bytes:,} B",
        "" if result.outputs_match is None else f"outputs {result.comparison}",
        "" if result.instructions is None else f"{result.instructions:,} instructions",
        "" if result.cycles is None else f"{result.cycles:,} cycles",
        "" if result.npu_share is None else f"{result.npu_share:.0%} of the operators on the NPU",
        "" if result.ms is None else f"{milliseconds(result)} ms by {result.profile}",
    ]
    return f"{result.emulator}, {result.how}: {', '.join(filter(None, parts))}"


class LayerTable(msgspec.Struct, frozen=True):
    """What the layers of files with the same operators cost on one emulator of a target."""

    target: str
    emulator: str
    profile: str | None
    unit: str
    how: str
    files: tuple[str, ...]
    rows: tuple[tuple[Layer, ...], ...]
    """Of each operator, its cost in every file."""


def layer_tables(artifacts: Sequence[ArtifactReport]) -> list[LayerTable]:
    """Files side by side, so that what pruning saved shows layer by layer."""
    columns: dict[tuple[str, str, str | None, str, str, tuple[str, ...]], list[tuple[str, tuple[Layer, ...]]]] = {}
    for artifact in artifacts:
        for on in artifact.targets:
            for result in on.results:
                for unit, layers in _layers(result):
                    kinds = tuple(layer.operator for layer in layers)
                    key = (on.target, result.emulator, result.profile, unit, result.how, kinds)
                    columns.setdefault(key, []).append((artifact.name, layers))
    return [
        LayerTable(*key[:5], tuple(name for name, _ in found), tuple(zip(*(layers for _, layers in found), strict=True)))
        for key, found in columns.items()
    ]


def _layers(result: EmulatorResult) -> Iterator[tuple[str, tuple[Layer, ...]]]:
    yield from (
        (unit, layers)
        for unit, layers in (
            ("instructions", result.instructions_per_layer), ("cycles", result.cycles_per_layer), ("ms", result.ms_per_layer),
        )
        if layers
    )  # fmt: skip
