"""A file on a target as one row of a table, for the command line and the page: of every number the best evidence, with its origin."""

from __future__ import annotations

import msgspec

from toolchain.emulator import NEAREST, EmulatorResult, How
from toolchain.report import ArtifactReport, TargetReport, percent

EVIDENCE: tuple[How, ...] = ("executed", "vendor", "estimated", "published")
"""How milliseconds come about, the best evidence first."""

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
    outputs = next((f"{r.comparison} ({r.emulator})" for r in nearest(on) if r.comparison), "")
    accuracy = next((f"{percent(artifact.metric, r.accuracy)} on {r.examples} ({r.emulator})" for r in scored(on)), "")
    instructions = next((f"{r.instructions:,} ({r.emulator})" for r in counted(on)), "")
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


def nearest(on: TargetReport) -> list[EmulatorResult]:
    """What ran there, the emulator nearest to the device first."""
    return sorted((r for r in on.results if r.status == "ok" and r.emulator in NEAREST), key=lambda r: NEAREST.index(r.emulator))


def counted(on: TargetReport) -> list[EmulatorResult]:
    """Those of them that counted instructions."""
    return [result for result in nearest(on) if result.instructions is not None]


def scored(on: TargetReport) -> list[EmulatorResult]:
    """Those of them that scored their answers."""
    return [result for result in nearest(on) if result.accuracy is not None]


def timed(on: TargetReport) -> list[EmulatorResult]:
    """What tells milliseconds on the device, the best evidence first, else in the target's order."""
    return sorted((result for result in on.results if result.status == "ok" and result.ms is not None), key=lambda r: EVIDENCE.index(r.how))


def origin(result: EmulatorResult) -> str:
    """How a number came about: `estimated: x-cube-ai-8.1.0/cortex-m7`, `executed: cortex_m`."""
    return f"{result.how}: {result.profile or result.emulator}"


def _first_milliseconds(on: TargetReport) -> str:
    """Of several the best evidence; the others follow below the table."""
    results = timed(on)
    more = f" (and {len(results) - 1} more below)" if len(results) > 1 else ""
    return f"{milliseconds(results[0])}, {origin(results[0])}{more}" if results else ""


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
