"""Functions of a 32-bit ELF program: found by name in someone's firmware, and replaced in a copy of it."""

from __future__ import annotations

import io
from functools import cached_property
from typing import Any

import msgspec

from toolchain.errors import GuestError
from toolchain.optional import require


class Symbol(msgspec.Struct, frozen=True):
    """Where something lies once the program is loaded."""

    address: int
    """Of a Thumb function without the lowest bit, which marks the instruction set."""
    size_bytes: int


class Program(msgspec.Struct, frozen=True, dict=True):
    """A little-endian ELF32 file. Every method raises GuestError where it is damaged, DependencyError without pyelftools."""

    content: bytes

    def __post_init__(self) -> None:
        if self.content[:6] != b"\x7fELF\x01\x01":
            raise GuestError("not a 32-bit little-endian ELF file")

    @cached_property
    def _parts(self) -> tuple[dict[str, Symbol], list[tuple[int, int, int]]]:
        """Everything that has a name; and of every part that is loaded, its address, size, and place in the file."""
        elffile: Any = require("elftools.elf.elffile", "emulate")
        try:
            elf = elffile.ELFFile(io.BytesIO(self.content))
            symbols = [symbol for table in elf.iter_sections("SHT_SYMTAB") for symbol in table.iter_symbols()]
            loaded = [(part["p_vaddr"], part["p_filesz"], part["p_offset"]) for part in elf.iter_segments("PT_LOAD")]
            return {symbol.name: _symbol(symbol) for symbol in symbols}, loaded
        except Exception as err:  # pyelftools lets errors of its parser and of Python through
            raise GuestError(f"the ELF file is not whole ({type(err).__name__}: {err})") from None

    def symbol(self, name: str) -> Symbol:
        """What has this name."""
        symbols, _ = self._parts
        if name not in symbols:
            raise GuestError(f"the ELF file has no symbol {name!r}")
        return symbols[name]

    def replaced(self, name: str, code: bytes) -> Program:
        """The program with `code` at the beginning of a function that has room for it."""
        function = self.symbol(name)
        if function.size_bytes < len(code):
            raise GuestError(f"{name} has {function.size_bytes} B, too few for {len(code)} B of code")
        place = self._place(function.address, len(code))
        return Program(self.content[:place] + code + self.content[place + len(code) :])

    def _place(self, address: int, length: int) -> int:
        """Where in the file the bytes lie that are loaded to `address`."""
        _, loaded = self._parts
        for start, size, place in loaded:
            if start <= address and address + length <= start + min(size, len(self.content) - place):
                return place + address - start
        raise GuestError(f"the ELF file holds no code for address {address:#x}")


def _symbol(found: Any) -> Symbol:
    function = found["st_info"]["type"] == "STT_FUNC"
    return Symbol(found["st_value"] & ~1 if function else found["st_value"], found["st_size"])
