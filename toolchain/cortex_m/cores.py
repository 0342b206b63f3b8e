"""The cores that can be emulated: how to compile for each, and what memory the emulator gives it."""

from __future__ import annotations

import msgspec

from toolchain.errors import TargetError


class Memory(msgspec.Struct, frozen=True):
    """Where an image lies. `outside` holds examples and answers, which are the host's and no part of the model."""

    boot: int
    """The address of the vector table at reset."""
    rom: int
    ram: int
    outside: int
    rom_bytes: int
    ram_bytes: int
    outside_bytes: int


class Core(msgspec.Struct, frozen=True):
    """One kind of core."""

    name: str
    """As in `[cpu] core` of a target."""
    compiled_as: str
    """The `-mcpu` of clang."""
    abi: str
    """eabi passes floats in integer registers, eabihf in those of the floating point unit."""
    unicorn: str | None
    """The constant UC_CPU_ARM_... of the unicorn package; None where it does not know the core."""
    machine: str | None
    """The machine of qemu-system-arm; None where none of them has memory enough."""
    memory: Memory
    note: str | None = None
    """How what is emulated differs from the core."""


MIB = 1 << 20
_MPS2 = Memory(0x0, 0x400, 0x20000000, 0x21000000, 4 * MIB - 1024, 4 * MIB, 16 * MIB)
"""ZBT RAM and PSRAM of AN385 and AN386 (QEMU: hw/arm/mps2.c)."""
_AN500 = Memory(0x0, 0x400, 0x20000000, 0x60000000, 4 * MIB - 1024, 4 * MIB, 16 * MIB)
"""The same of AN500, whose PSRAM lies elsewhere."""
_AN505 = Memory(0x10000000, 0x10000400, 0x38000000, 0x80000000, 4 * MIB - 1024, 4 * MIB, 16 * MIB)
"""The secure side of AN505 (QEMU: hw/arm/mps2-tz.c)."""
_AN547 = Memory(0x0, 0x70000000, 0x71000000, 0x72000000, 16 * MIB, 16 * MIB, 64 * MIB)
"""Vectors in the ITCM, all else in DDR4, whose odd quarters are secure (QEMU: hw/arm/mps2-tz.c)."""

CORES = {
    core.name: core
    for core in (
        Core("cortex-m0", "cortex_m0", "eabi", "CORTEX_M0", None, _MPS2),
        Core("cortex-m0plus", "cortex_m0plus", "eabi", "CORTEX_M0", None, _MPS2, "executed as Cortex-M0, which has the same instructions"),
        Core("cortex-m3", "cortex_m3", "eabi", "CORTEX_M3", "mps2-an385", _MPS2),
        Core("cortex-m4", "cortex_m4", "eabihf", "CORTEX_M4", "mps2-an386", _MPS2),
        Core("cortex-m7", "cortex_m7", "eabihf", "CORTEX_M7", "mps2-an500", _AN500),
        Core("cortex-m33", "cortex_m33+dsp", "eabihf", "CORTEX_M33", "mps2-an505", _AN505),
        Core("cortex-m55", "cortex_m55+mve_fp+dsp", "eabihf", None, "mps3-an547", _AN547),
        Core(
            "cortex-m85", "cortex_m55+mve_fp+dsp", "eabihf", None, "mps3-an547", _AN547,
            "compiled for and executed as Cortex-M55, which has the same vector instructions",
        ),
    )
}  # fmt: skip


def core_of(name: str) -> Core:
    """Raises TargetError for a core that cannot be emulated."""
    if name not in CORES:
        raise TargetError(f"{name} cannot be emulated; cores that can: {', '.join(CORES)}")
    return CORES[name]
