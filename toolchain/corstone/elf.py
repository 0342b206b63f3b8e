"""Symbols and bytes of a 32-bit ELF program: what it takes to find a function in someone's firmware and to replace it.

Layout of headers, sections and symbols: Tool Interface Standard, Executable and Linking Format 1.2, book I.
"""

from __future__ import annotations

import struct
from functools import cached_property

import msgspec

from toolchain.errors import GuestError

_SYMTAB, _LOAD, _FUNCTION = 2, 1, 2


class Symbol(msgspec.Struct, frozen=True):
    """Where something lies once the program is loaded."""

    address: int
    """Of a Thumb function without the lowest bit, which marks the instruction set."""
    size_bytes: int


class Program(msgspec.Struct, frozen=True, dict=True):
    """A little-endian ELF32 file. Every method raises GuestError where the file is damaged."""

    content: bytes

    def __post_init__(self) -> None:
        if self.content[:6] != b"\x7fELF\x01\x01":
            raise GuestError("not a 32-bit little-endian ELF file")

    @cached_property
    def symbols(self) -> dict[str, Symbol]:
        """Everything that has a name."""
        try:
            offset, stride, count = self._table(0x20, 0x2E)
            sections = [struct.unpack_from("<10I", self.content, offset + stride * i) for i in range(count)]
            found = {}
            for section in sections:
                if section[1] != _SYMTAB:
                    continue
                names = sections[section[6]][4]
                for place in range(section[4], section[4] + section[5], section[9]):
                    name, value, size, info = struct.unpack_from("<3IB", self.content, place)
                    end = self.content.index(b"\0", names + name)
                    address = value & ~1 if info & 15 == _FUNCTION else value
                    found[self.content[names + name : end].decode()] = Symbol(address, size)
            return found
        except (struct.error, IndexError, ValueError, UnicodeDecodeError) as err:
            raise GuestError(f"the ELF file has no whole table of symbols ({err})") from None

    def symbol(self, name: str) -> Symbol:
        """What has this name."""
        if name not in self.symbols:
            raise GuestError(f"the ELF file has no symbol {name!r}")
        return self.symbols[name]

    def replaced(self, name: str, code: bytes) -> Program:
        """The program with `code` at the beginning of a function that has room for it."""
        function = self.symbol(name)
        if function.size_bytes < len(code):
            raise GuestError(f"{name} has {function.size_bytes} B, too few for {len(code)} B of code")
        place = self._offset(function.address, len(code))
        return Program(self.content[:place] + code + self.content[place + len(code) :])

    def _offset(self, address: int, length: int) -> int:
        """The place in the file of bytes that are loaded to `address`."""
        try:
            offset, stride, count = self._table(0x1C, 0x2A)
            for i in range(count):
                kind, place, start, _, stored = struct.unpack_from("<5I", self.content, offset + stride * i)
                if kind == _LOAD and start <= address and address + length <= start + stored <= start + len(self.content) - place:
                    return int(place + address - start)
        except struct.error:
            raise GuestError("the ELF file has no whole table of segments") from None
        raise GuestError(f"the ELF file holds no code for address {address:#x}")

    def _table(self, offset_at: int, size_at: int) -> tuple[int, int, int]:
        (offset,) = struct.unpack_from("<I", self.content, offset_at)
        stride, count = struct.unpack_from("<HH", self.content, size_at)
        return offset, stride, count
