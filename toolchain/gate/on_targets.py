"""What is known of a file on a target: whether it fits, its arena, its instructions, each with the emulator that found it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from toolchain.emulator import NEAREST, EmulatorResult
from toolchain.gate.evidence import Evidence, times, unknown
from toolchain.measure.fit import ARENAS
from toolchain.report import TargetReport

Number = Callable[[EmulatorResult], int | None]


def fits(on: TargetReport) -> Evidence:
    """Whether it fits; where that could not be found out, why."""
    why = "; ".join(on.reasons)
    if on.fits is None:
        return unknown(f"whether it fits is not known: {why or 'no reason is given'}")
    return Evidence(on.fits, why or "formats, types, operators, flash and SRAM")


def arena(on: TargetReport) -> Evidence:
    """Bytes of the interpreter's arena."""
    return _number(on, _arena, ARENAS, "arena")


def instructions(on: TargetReport) -> Evidence:
    """Instructions of one inference."""
    return _number(on, _instructions, NEAREST, "instructions")


def arena_ratio(on: TargetReport, old: TargetReport) -> Evidence:
    """The arena, times the baseline's."""
    return _ratio(on, old, _arena, ARENAS, "arena")


def instructions_ratio(on: TargetReport, old: TargetReport) -> Evidence:
    """Instructions, times the baseline's."""
    return _ratio(on, old, _instructions, NEAREST, "instructions")


def _arena(result: EmulatorResult) -> int | None:
    return result.arena_bytes


def _instructions(result: EmulatorResult) -> int | None:
    return result.instructions


def _number(on: TargetReport, number: Number, order: Sequence[str], what: str) -> Evidence:
    """From the emulator that is nearest to the device."""
    found = _found(on, number, order)
    if not found:
        return unknown(f"no emulator found the {what}: {_why(on, order)}")
    result = next(iter(found.values()))
    return Evidence(number(result), _origin(result))


def _ratio(on: TargetReport, old: TargetReport, number: Number, order: Sequence[str], what: str) -> Evidence:
    """From the nearest emulator that both runs had: numbers of two emulators are no comparison."""
    new, before = _found(on, number, order), _found(old, number, order)
    kind = next((kind for kind in new if kind in before), None)
    if kind is None:
        said = f"here {_why(on, order)}; in the baseline {_why(old, order)}"
        return unknown(f"no emulator found the {what} in both runs: {said}; run both with the same emulators")
    evidence = times(number(new[kind]) or 0, number(before[kind]) or 0, "B" if number is _arena else what)
    origin = _origin(new[kind])
    if before[kind].engine not in (None, new[kind].engine):
        origin += f", the baseline by {before[kind].engine}"
    return Evidence(evidence.value, f"{evidence.said}; {origin}")


def _found(on: TargetReport, number: Number, order: Sequence[str]) -> dict[str, EmulatorResult]:
    """Results that have the number, by emulator, the nearest first."""
    known = [result for result in on.results if result.status == "ok" and number(result) is not None and result.emulator in order]
    return {result.emulator: result for result in sorted(known, key=lambda result: order.index(result.emulator))}


def _origin(result: EmulatorResult) -> str:
    return f"{result.emulator}, {result.how}" + (f": {result.engine}" if result.engine else "")


def _why(on: TargetReport, order: Sequence[str]) -> str:
    """What became of the emulators that could have found a number."""
    asked = [result for result in on.results if result.emulator in order]
    said = [f"{one.emulator} ran" if one.status == "ok" else f"{one.emulator} {one.status}: {one.reason}" for one in asked]
    return "; ".join(said) or f"none that tells it ran the file (of {', '.join(order)})"
