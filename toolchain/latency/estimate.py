"""Milliseconds of a file on a device from a latency profile, with a 90 % interval; or the reason why there is no estimate."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from toolchain.data import Array
from toolchain.device import Device, Memory
from toolchain.latency import work
from toolchain.latency.memory import Activations, activations
from toolchain.latency.profile import Board, Profile
from toolchain.tflite_file import TfliteFile

UNFAMILIAR = 0.1
"""An estimate is refused when more of its time than this lies in work that no measured network vouches for."""
TRUST = 2.0
"""A measured network whose time is to a share x in one kind of work vouches for shares up to this times x."""
REACH = 10.0
"""Networks with this many times the multiply-accumulates of the largest measured one, or fewer of the smallest, are refused."""


class Estimate(msgspec.Struct, frozen=True):
    """Milliseconds of one inference: the median, the 90 % interval, and each operator's part in the file's order."""

    ms: float
    interval_ms: tuple[float, float]
    ms_per_operator: tuple[float, ...]


def refusal(file: TfliteFile, profile: Profile, device: Device) -> str | None:
    """Why the profile cannot tell this file's latency on this device; None when it can."""
    if device.cpu.core != profile.core:
        return f"profile {profile.name} is calibrated on {profile.core}, {device.name} has {device.cpu.core}"
    if file.subgraphs > 1 or file.macs is None:
        return "the graph has a loop or a branch: how often its body runs is unknown"
    if file.scheme != "static_w8a8":
        return f"profile {profile.name} is calibrated on int8 networks, this file is {file.scheme}"
    computed = {file.tensors[index].dtype.lower() for op in file.operators if op.macs for index in op.outputs}
    if computed != {"int8"}:
        return f"profile {profile.name} is calibrated on int8 networks, this file computes in {', '.join(sorted(computed)) or 'nothing'}"
    works = [work.of(op, file.tensors) for op in file.operators]
    if unknown := sorted({op.name for op, found in zip(file.operators, works, strict=True) if found is None}):
        return f"no measurement of {profile.name} contains {', '.join(unknown)}"
    small, large = profile.macs
    if not small / REACH <= file.macs <= large * REACH:
        return f"{file.macs:,} MACs are far from the {small:,} to {large:,} that {profile.name} is calibrated on"
    return _unfamiliar(shares(profile, [found for found in works if found]), profile) or _memory(activations(file), device)


def shares(profile: Profile, works: list[work.Work]) -> dict[str, float]:
    """How much of the estimated time each kind of work takes."""
    whole = work.total(works)
    cycles = {term: cost * whole.get(term, 0) for term, cost in profile.cycles.items()}
    total = sum(cycles.values())
    return {term: value / total for term, value in cycles.items() if value}


def _unfamiliar(found: dict[str, float], profile: Profile) -> str | None:
    beyond = {term: share - TRUST * profile.shares.get(term, 0) for term, share in found.items()}
    worst = max(beyond, key=lambda term: beyond[term], default="")
    if sum(value for value in beyond.values() if value > 0) <= UNFAMILIAR:
        return None
    measured = profile.shares.get(worst, 0)
    return (
        f"{found[worst]:.0%} of the estimated time would be {worst} ({work.TERMS[worst]}); "
        f"no network that {profile.name} is calibrated on spends more than {measured:.0%} there"
    )


def internal_bytes(memory: Memory) -> int | None:
    """Bytes of SRAM that activations can take in one piece; None where a device has no SRAM of its own."""
    if memory.sram_bytes is None:
        return None
    return min(memory.sram_bytes - memory.reserved_sram_bytes, memory.contiguous_sram_bytes or memory.sram_bytes)


def _memory(need: Activations, device: Device) -> str | None:
    room = internal_bytes(device.memory)
    if room is None or need.in_place_bytes <= room:
        return None
    return (
        f"activations need at least {need.in_place_bytes:,} B, {device.name} has {room:,} B of SRAM for them; "
        "no measurement with activations in external memory is calibrated"
    )


def estimate(file: TfliteFile, profile: Profile, clock_hz: int, board: Board | None) -> Estimate:
    """Apply a profile to a file that is not refused.

    `board` is the measured board that the device is, None for another one of the same core: then the interval is wider by
    what boards differ by. So it is at another clock than the board's, because flash wait states change with it.
    """
    factor = 1.0 if board is None else board.factor
    known = board is not None and abs(clock_hz / board.clock_hz - 1) < 0.01
    works = [work.of(op, file.tensors) or {} for op in file.operators]
    parts = [factor * sum(profile.cycles[term] * units for term, units in found.items()) / clock_hz * 1e3 for found in works]
    ms = sum(parts)
    sd = math.sqrt(variance(profile, shares(profile, works), board) + (0 if known else profile.board_sd**2))
    reach = math.exp(profile.interval_z * sd)
    return Estimate(ms, (ms / reach, ms * reach), tuple(parts))


def variance(profile: Profile, found: dict[str, float], board: Board | None) -> float:
    """Variance of the logarithm of the cycles: of the costs by their shares (first order), and between networks."""
    names = [each.name for each in profile.boards]
    gradient: Array = np.array(
        [found.get(term, 0.0) for term in profile.cycles] + [float(board is not None and n == board.name) for n in names]
    )
    return float(gradient @ np.array(profile.covariance) @ gradient) + profile.residual_sd**2
