"""ELF programs for a Cortex-M made by hand: a vector table, a few instructions, and symbols."""

import struct

CODE_AT = 0x40
"""Behind a vector table of 16 words."""


def program(code: bytes, symbols: dict[str, tuple[int, int]] | None = None) -> bytes:
    """A program that starts with `code`; `symbols` are functions, by name: address and size."""
    loaded = struct.pack("<16I", 0x2000_1000, CODE_AT | 1, *[0] * 14) + code
    names, table = b"\0", struct.pack("<IIIBBH", 0, 0, 0, 0, 0, 0)
    for name, (address, size) in (symbols or {}).items():
        table += struct.pack("<IIIBBH", len(names), address | 1, size, 0x12, 0, 1)
        names += name.encode() + b"\0"
    segments_at = 52
    loaded_at = segments_at + 32
    table_at = loaded_at + len(loaded)
    names_at = table_at + len(table)
    sections_at = names_at + len(names)
    header = b"\x7fELF\x01\x01\x01".ljust(16, b"\0")
    header += struct.pack("<HHIIIIIHHHHHH", 2, 40, 1, CODE_AT | 1, segments_at, sections_at, 0x5000400, 52, 32, 1, 40, 3, 0)
    segment = struct.pack("<8I", 1, loaded_at, 0, 0, len(loaded), len(loaded), 7, 4)
    sections = struct.pack("<10I", *[0] * 10)
    sections += struct.pack("<10I", 0, 2, 0, 0, table_at, len(table), 2, 1, 4, 16)
    sections += struct.pack("<10I", 0, 3, 0, 0, names_at, len(names), 0, 0, 1, 0)
    return header + segment + loaded + table + names + sections
