import pytest
from programs import CODE_AT, program

from toolchain.corstone.elf import Program
from toolchain.corstone.profile import BEGIN, END, marks, profile
from toolchain.errors import GuestError
from toolchain.guests.counting import Block, Counts
from toolchain.tflite_file import TfliteFile

FIRMWARE = Program(program(bytes(64), {BEGIN: (CODE_AT, 8), END: (CODE_AT + 8, 8)}))
NOP, ADD = bytes.fromhex("00bf"), bytes.fromhex("4018")
BLOCKS = {0: Block(CODE_AT, (NOP,)), 1: Block(CODE_AT + 8, (NOP, NOP)), 2: Block(0x1000, (ADD, ADD, ADD))}


def counts(*segments: dict[int, int]) -> Counts:
    return Counts(BLOCKS, segments, "thumb")


def test_marks_are_the_addresses_of_both_functions():
    assert marks(FIRMWARE) == (CODE_AT, CODE_AT + 8)


def test_instructions_go_to_the_operator_that_executed_them(tiny_int8):
    file = TfliteFile.read(tiny_int8)
    boot, end = [{1: 1, 2: 5}, {1: 1}, {0: 1, 2: 7}], {2: 100}
    operators = [{1: 1, 2: 10 * (index + 1)} for index in range(len(file.operators))]
    found = profile(counts(*boot, *operators, end), FIRMWARE, file)
    assert [layer.instructions for layer in found.layers] == [2 + 30 * (index + 1) for index in range(len(file.operators))]
    assert [layer.operator for layer in found.layers] == [op.name for op in file.operators]
    assert found.instructions == sum(layer.instructions for layer in found.layers)
    assert sum(found.mix.values()) == found.instructions
    assert list(found.mix) == ["adds", "nop"]


@pytest.mark.parametrize(
    ("segments", "why"),
    [
        ([{1: 1}] * 8, "but 0 began"),
        ([{0: 1}, {0: 1}], "but 2 began"),
        ([{0: 1}, {1: 1}, {2: 1}], "operators, but 1 were executed"),
        ([{0: 1}, *[{1: 1}] * 20, {2: 1}], "operators, but 20 were executed"),
    ],
)
def test_counts_that_do_not_fit_the_file_are_refused(segments, why, tiny_int8):
    with pytest.raises(GuestError, match=why):
        profile(counts(*segments), FIRMWARE, TfliteFile.read(tiny_int8))
