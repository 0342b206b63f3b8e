"""How many instructions a guest executed, and which: counted by block, so that counting costs one addition a block."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Literal

import msgspec

from toolchain.errors import GuestError
from toolchain.guests import compiler
from toolchain.optional import require

Isa = Literal["thumb", "aarch64"]


COPROCESSOR = ("ldc", "stc", "cdp", "mcr", "mrc")
"""Instructions that no core emulated here has."""


class Block(msgspec.Struct, frozen=True):
    """Instructions that are executed one after the other, as the emulator translated them."""

    address: int
    code: tuple[bytes, ...]
    """The bytes of each instruction."""


class Counts(msgspec.Struct, frozen=True, dict=True):
    """Executions of every block, cut into segments."""

    blocks: dict[int, Block]
    segments: tuple[dict[int, int], ...]
    """Of each segment, how often which block was executed."""
    isa: Isa

    def instructions(self, segment: int) -> int:
        """Instructions executed in a segment; a skipped conditional instruction counts, as it takes its place in the core."""
        return sum(count * len(self.blocks[block].code) for block, count in self.segments[segment].items())

    def mix(self, segment: int) -> dict[str, int]:
        """Instructions of a segment by mnemonic, the most frequent first."""
        found: Counter[str] = Counter()
        for block, count in self.segments[segment].items():
            for mnemonic in self._mnemonics[block]:
                found[mnemonic] += count
        return dict(found.most_common())

    def without(self, start: int, end: int) -> Counts:
        """The same without the code from `start` to before `end`."""
        kept = {key: block for key, block in self.blocks.items() if not start <= block.address < end}
        segments = tuple({key: count for key, count in segment.items() if key in kept} for segment in self.segments)
        return Counts(kept, segments, self.isa)

    @cached_property
    def _mnemonics(self) -> dict[int, list[str]]:
        capstone = require("capstone", "emulate")
        engine = (
            capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8)
            if self.isa == "thumb"
            else capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)
        )
        return {key: [_mnemonic(engine, code) for code in block.code] for key, block in self.blocks.items()}


def _mnemonic(engine: object, code: bytes) -> str:
    """The name without its width; "vector" for Helium, which capstone 5 does not know or reads as coprocessor instructions."""
    found = next(engine.disasm_lite(code, 0), None)  # type: ignore[attr-defined]
    name = "vector" if found is None else str(found[2]).removesuffix(".w")
    return "vector" if name.startswith(COPROCESSOR) else name


def plugin() -> Path:
    """The TCG plugin for qemu, compiled for this machine. Raises DependencyError without a compiler."""
    source = (Path(__file__).parent / "plugin.c").read_bytes()
    return compiler.build(["-O2", "-shared", "-fPIC", "plugin.c"], {"plugin.c": source}, "plugin.so")


def arguments(written: Path, marks: tuple[int, ...] = ()) -> list[str]:
    """The options with which qemu counts into the file `written`, cutting at the addresses `marks`."""
    return ["-plugin", ",".join([str(plugin()), f"out={written}", *(f"mark={address:x}" for address in marks)])]


def read(written: Path, isa: Isa) -> Counts:
    """What the plugin wrote. Raises GuestError for a file that is not whole."""
    blocks: dict[int, Block] = {}
    segments: list[dict[int, int]] = []
    try:
        for line in written.read_text().splitlines():
            kind, *fields = line.split()
            if kind == "B":
                blocks[int(fields[0], 16)] = Block(int(fields[1], 16), tuple(map(bytes.fromhex, fields[2:])))
            elif kind == "S":
                segments.append({})
            elif kind == "C":
                segments[-1][int(fields[0], 16)] = int(fields[1], 16)
        if any(block not in blocks for segment in segments for block in segment):
            raise IndexError("a block that was not described")
    except (OSError, ValueError, IndexError) as err:
        raise GuestError(f"the instruction counts are not whole ({err})") from None
    return Counts(blocks, tuple(segments), isa)
