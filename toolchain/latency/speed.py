"""What pruning to a budget of milliseconds counts with, from a latency profile instead of from memory."""

from __future__ import annotations

from toolchain.device import Device, Speed
from toolchain.latency.profile import Profile

CHANNEL_STEP = 4
"""Four int8 values fill a register; kernels finish what is left over value by value."""


def speed_of(profile: Profile, device: Device) -> Speed:
    """The profile's mean rate over its measured networks, at the device's clock, and its cost of a call."""
    boards = {board.name: board for board in profile.boards}
    cycles = sum(row.fitted_ms / 1e3 * boards[row.board].clock_hz / boards[row.board].factor for row in profile.rows)
    macs_per_s = sum(row.macs for row in profile.rows) / cycles * device.cpu.clock_hz
    return Speed(CHANNEL_STEP, macs_per_s, profile.cycles["operator"] / device.cpu.clock_hz)
