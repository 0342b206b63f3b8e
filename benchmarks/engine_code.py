"""How much flash TensorFlow Lite Micro takes: its core, and what each operator adds, from Arm's Cortex-M55 firmware.

    secateur targets --install corstone
    python benchmarks/engine_code.py

The firmware of the corstone emulator (a release build with CMSIS-NN) registers every operator and keeps its symbols. A
linker that drops unused sections keeps what can be reached from the functions that a program names, so that is what is
counted: functions reached by branches and by addresses in literal pools and tables, the C library included. Prints the
`[code]` table of targets/engines/tflm.toml. Strings without a symbol are not counted.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import capstone

from toolchain.corstone import firmware

CORE = (
    "MicroInterpreterC",
    "MicroInterpreter15AllocateTensors",
    "MicroInterpreter6Invoke",
    "MicroInterpreter5input",
    "MicroInterpreter6output",
)

CUSTOM = {"ETHOSU": "ethos-u", "DETECTION_POSTPROCESS": "TFLite_Detection_PostProcess"}
"""Names under which files carry custom operators."""


class Symbol(NamedTuple):
    """A function or a table, at its address in flash."""

    address: int
    size: int
    name: str
    function: bool


class Firmware:
    """Symbols of an ELF file and the bytes behind them."""

    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()
        start, count = struct.unpack_from("<I", self.data, 32)[0], struct.unpack_from("<H", self.data, 48)[0]
        self.sections = [struct.unpack_from("<10I", self.data, start + 40 * index) for index in range(count)]
        symbols = {symbol.address: symbol for symbol in self._symbols() if symbol.size}
        self.symbols = [symbols[address] for address in sorted(symbols)]
        self.by_pointer = {symbol.address | symbol.function: symbol for symbol in self.symbols}
        self.decoder = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
        self.decoder.skipdata = True
        self._reached: dict[Symbol, set[Symbol]] = {}

    def _symbols(self) -> Iterator[Symbol]:
        table = next(section for section in self.sections if section[1] == 2)
        names = self.sections[table[6]][4]
        for offset in range(table[4], table[4] + table[5], 16):
            name, value, size, info, _, section = struct.unpack_from("<IIIBBH", self.data, offset)
            if info & 15 in (1, 2) and 0 < section < 0xFF00:
                end = self.data.index(b"\0", names + name)
                yield Symbol(value & ~1 if info & 15 == 2 else value, size, self.data[names + name : end].decode(), info & 15 == 2)

    def content(self, symbol: Symbol) -> bytes:
        """Its bytes; none for what is only reserved (.bss)."""
        for _, kind, _, address, offset, size, *_ in self.sections:
            if kind == 1 and address <= symbol.address < address + size:
                begin = offset + symbol.address - address
                return self.data[begin : begin + symbol.size]
        return b""

    def references(self, symbol: Symbol) -> set[Symbol]:
        """Functions and tables that a symbol names."""
        if symbol not in self._reached:
            content = self.content(symbol)
            lead = -symbol.address % 4
            words = [word for (word,) in struct.iter_unpack("<I", content[lead : lead + (len(content) - lead) // 4 * 4])]
            if symbol.function:
                words += self._addresses(content, symbol.address)
            named = {self.by_pointer[word] for word in words if word and word in self.by_pointer} - {symbol}  # 0 is no pointer
            self._reached[symbol] = {found for found in named if "arm3app" not in found.name}
        return self._reached[symbol]

    def _addresses(self, content: bytes, address: int) -> Iterator[int]:
        """Pointers that a function's instructions hold: branch targets, and halves put together by movw and movt."""
        low: dict[str, int] = {}
        for _, _, mnemonic, operands in self.decoder.disasm_lite(content, address):
            if mnemonic.startswith("b") and (found := re.search(r"#(0x[0-9a-f]+)$", operands)):
                yield int(found.group(1), 16) | 1
            elif mnemonic in ("movw", "movt") and (found := re.fullmatch(r"(\w+), #(\w+)", operands)):
                register, value = found.group(1), int(found.group(2), 0)
                if mnemonic == "movw":
                    low[register] = value
                elif register in low:
                    yield value << 16 | low[register]

    def closure(self, roots: list[Symbol]) -> set[Symbol]:
        """All that a linker keeps for these roots."""
        found, waiting = set(roots), list(roots)
        while waiting:
            new = self.references(waiting.pop()) - found
            found |= new
            waiting += new
        return found

    def bytes_of(self, symbols: set[Symbol]) -> int:
        """Flash: nothing for what is only reserved in RAM."""
        return sum(len(self.content(symbol)) for symbol in symbols)


def main() -> None:
    runner = Firmware(firmware.path())
    core = runner.closure([s for s in runner.symbols if s.function and any(name in s.name for name in CORE)])
    print(f"[code]\ncore_bytes = {runner.bytes_of(core):_}\n\n[code.operator_bytes]")
    found = {match.group(1): s for s in runner.symbols if (match := re.fullmatch(r"_ZN6tflite\d+Register_([A-Z0-9_]+)Ev", s.name))}
    for name in sorted(found):
        print(f"{CUSTOM.get(name, name)} = {runner.bytes_of(runner.closure([found[name]]) - core):_}")


if __name__ == "__main__":
    main()
