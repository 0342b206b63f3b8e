"""Executed instructions of each operator: the interpreter's own calls mark where one ends and the next begins."""

from __future__ import annotations

from collections import Counter

import msgspec

from toolchain.corstone.elf import Program
from toolchain.emulator import Layer
from toolchain.errors import GuestError
from toolchain.guests.counting import Counts
from toolchain.tflite_file import TfliteFile

BEGIN = "_ZN6tflite16MicroInterpreter6InvokeEv"
"""An inference begins."""
END = "_ZN6tflite14MicroAllocator20ResetTempAllocationsEv"
"""After each operator (tensorflow/lite/micro/micro_interpreter_graph.cc), and while the interpreter is set up."""


class Profile(msgspec.Struct, frozen=True):
    """One inference."""

    layers: tuple[Layer, ...]
    mix: dict[str, int]
    """Instructions by mnemonic, the most frequent first; empty when they were not named."""

    @property
    def instructions(self) -> int:
        """Of all operators; the interpreter's own are in each operator's."""
        return sum(layer.instructions or 0 for layer in self.layers)


def marks(firmware: Program) -> tuple[int, int]:
    """The addresses at which the counts are cut."""
    return firmware.symbol(BEGIN).address, firmware.symbol(END).address


def profile(counts: Counts, firmware: Program, file: TfliteFile) -> Profile:
    """Sort the counts by operator. Raises GuestError where they do not fit the file's list, as with loops."""
    begin, end = marks(firmware)
    begun = [index for index in range(len(counts.segments)) if _passed(counts, index, begin)]
    if len(begun) != 1:
        raise GuestError(f"instructions of one inference were to be counted, but {len(begun)} began")
    first = begun[0] + 1
    chosen = range(first, first + len(file.operators))
    if len(counts.segments) != chosen.stop + 1 or not all(_passed(counts, index, end) == 1 for index in chosen):
        raise GuestError(f"the file has {len(file.operators)} operators, but {len(counts.segments) - 1 - first} were executed")
    layers = tuple(
        Layer(
            index=index,
            operator=operator.name,
            output=file.tensors[operator.outputs[0]].name if operator.outputs else "",
            macs=operator.macs,
            instructions=counts.instructions(segment),
        )
        for index, (operator, segment) in enumerate(zip(file.operators, chosen, strict=True))
    )
    mix: Counter[str] = Counter()
    for segment in chosen:
        mix.update(counts.mix(segment))
    return Profile(layers, dict(mix.most_common()))


def _passed(counts: Counts, segment: int, address: int) -> int:
    """How often a function was entered: a call begins a block."""
    return sum(count for block, count in counts.segments[segment].items() if counts.blocks[block].address == address)
