"""An image executed by the unicorn package: needs nothing beside Python packages."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from toolchain.cortex_m.image import Image, segments
from toolchain.errors import DependencyError, GuestError
from toolchain.guests import compiler
from toolchain.guests.counting import Block, Counts
from toolchain.optional import require

LIMIT_S = 300.0
SYSTEM = (0xE0000000, 1 << 20)
"""The private peripheral bus, as plain memory: the guest only switches its coprocessors on there."""


def missing() -> str | None:
    """What has to be installed."""
    try:
        for module in ("unicorn", "elftools", "capstone"):
            require(module, "emulate")
    except DependencyError as err:
        return str(err)
    return compiler.missing()


def execute(image: Image, plan: bytes, answers: int, layers: int) -> tuple[bytes, Counts]:
    """Run an image on what `plan` puts at its `outside`; returns what lies from `answers` on, and what was executed.

    Counts are cut each time a layer is done, and end with the first `layers`: uncounted code runs faster. Raises
    GuestError for a fault and after five minutes.
    """
    unicorn: Any = require("unicorn", "emulate")
    arm: Any = require("unicorn.arm_const", "emulate")
    memory = image.core.memory
    engine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
    engine.ctl_set_cpu_model(getattr(arm, f"UC_CPU_ARM_{image.core.unicorn}"))
    rom = min(memory.boot, memory.rom)
    for start, size in ((rom, memory.rom_bytes), (memory.ram, memory.ram_bytes), (memory.outside, memory.outside_bytes), SYSTEM):
        engine.mem_map(start, -(-size // 4096) * 4096)
    for address, content in (*segments(image.path), (memory.outside, plan)):
        engine.mem_write(address, content)
    counter = _Counter(engine, image.layer_done, layers)
    stack, start = np.frombuffer(engine.mem_read(memory.boot, 8), np.uint32).tolist()
    engine.reg_write(arm.UC_ARM_REG_SP, stack)
    try:
        engine.emu_start(start | 1, image.done, timeout=int(LIMIT_S * 1e6))
    except unicorn.UcError as err:
        raise GuestError(f"the core faulted at 0x{engine.reg_read(arm.UC_ARM_REG_PC):x} ({err})") from None
    if engine.reg_read(arm.UC_ARM_REG_PC) != image.done:
        raise GuestError(f"the guest did not end within {LIMIT_S:.0f} s")
    return bytes(engine.mem_read(memory.outside + answers, memory.outside_bytes - answers)), counter.counts()


class _Counter:
    """Counts blocks in C; the table is read at every cut."""

    def __init__(self, engine: Any, layer_done: int, cuts: int) -> None:
        unicorn: Any = require("unicorn", "emulate")
        native: Any = require("unicorn.unicorn_py3.unicorn", "emulate")
        source = (Path(__file__).parent / "unicorn_hook.c").read_bytes()
        library = ctypes.CDLL(str(compiler.build(["-O2", "-shared", "-fPIC", "-nostdlib", "hook.c"], {"hook.c": source}, "hook.so")))
        self._engine, self._library = engine, library
        self._slots = np.ctypeslib.as_array((ctypes.c_uint64 * (3 * 65536)).in_dll(library, "sct_slots")).reshape(-1, 3)
        self._lost = ctypes.c_uint64.in_dll(library, "sct_lost")
        self._slots[:], self._lost.value = 0, 0
        self._segments: list[dict[int, int]] = []
        self._wanted, self._before = cuts, np.zeros(len(self._slots), np.uint64)
        self._blocks, function = ctypes.c_size_t(), ctypes.cast(library.sct_block, ctypes.c_void_p)
        everywhere = ctypes.c_uint64(1), ctypes.c_uint64(0)  # a beginning beyond the end means all addresses
        self._uclib = native.uclib
        status = self._uclib.uc_hook_add(engine._uch, ctypes.byref(self._blocks), unicorn.UC_HOOK_BLOCK, function, None, *everywhere)
        if status:
            raise GuestError(f"unicorn does not count (error {status})")
        self._marks = engine.hook_add(unicorn.UC_HOOK_CODE, lambda *_: self._cut(), begin=layer_done, end=layer_done)

    def _cut(self) -> None:
        if len(self._segments) == self._wanted:
            return
        executed = self._slots[:, 2].copy()
        changed = np.flatnonzero(executed != self._before)
        self._segments.append(dict(zip(changed.tolist(), (executed - self._before)[changed].tolist(), strict=True)))
        self._before = executed
        if len(self._segments) == self._wanted:
            self._uclib.uc_hook_del(self._engine._uch, self._blocks)

    def counts(self) -> Counts:
        if self._lost.value:
            raise GuestError(f"{self._lost.value:,} executions could not be counted: too much code")
        used = np.flatnonzero(self._slots[:, 2])
        blocks = {slot: Block(int(self._slots[slot, 0]), tuple(self._instructions(slot))) for slot in used.tolist()}
        return Counts(blocks, tuple(self._segments), "thumb")

    def _instructions(self, slot: int) -> Iterator[bytes]:
        """Split a block: 11101, 11110 and 11111 begin an instruction of four bytes (Armv7-M ARM, A5.1)."""
        address, size = int(self._slots[slot, 0]), int(self._slots[slot, 1])
        code = bytes(self._engine.mem_read(address, size))
        while code:
            length = 4 if code[1] >> 3 in (0b11101, 0b11110, 0b11111) else 2
            yield code[:length]
            code = code[length:]
