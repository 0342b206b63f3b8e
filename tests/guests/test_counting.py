from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.errors import GuestError
from toolchain.guests.counting import Block, Counts, read

MOVS, ADDS, VECTOR, BX = bytes.fromhex("0120"), bytes.fromhex("4018"), bytes.fromhex("90ed001e"), bytes.fromhex("7047")
"""Thumb: movs r0, #1; adds r0, r0, r1; vldrb.8 q0, [r0] (Helium); bx lr."""

WRITTEN = """B 0 100 0120 4018
B 1 104 7047
S 0
C 0 a
S 1
C 0 1
C 1 2
"""


def test_instructions_are_executions_times_length(tmp_path):
    (tmp_path / "counts.txt").write_text(WRITTEN)
    found = read(tmp_path / "counts.txt", "thumb")
    assert found.blocks == {0: Block(0x100, (MOVS, ADDS)), 1: Block(0x104, (BX,))}
    assert [found.instructions(segment) for segment in (0, 1)] == [20, 4]
    assert found.mix(0) == {"movs": 10, "adds": 10}
    assert found.mix(1) == {"bx": 2, "movs": 1, "adds": 1}


def test_code_can_be_left_out(tmp_path):
    (tmp_path / "counts.txt").write_text(WRITTEN)
    found = read(tmp_path / "counts.txt", "thumb").without(0x100, 0x104)
    assert [found.instructions(segment) for segment in (0, 1)] == [0, 2]


def test_helium_is_named_as_what_it_is():
    assert Counts({0: Block(0, (VECTOR,))}, ({0: 3},), "thumb").mix(0) == {"vector": 3}


def test_arm64_is_disassembled_as_such():
    add = bytes.fromhex("2000028b")  # add x0, x1, x2
    assert Counts({0: Block(0, (add,))}, ({0: 5},), "aarch64").mix(0) == {"add": 5}


@given(st.lists(st.tuples(st.lists(st.sampled_from([MOVS, ADDS, BX, VECTOR]), min_size=1, max_size=9), st.integers(1, 1000))))
def test_the_mix_is_all_of_the_instructions(executed):
    blocks = {index: Block(4 * index, tuple(code)) for index, (code, _) in enumerate(executed)}
    found = Counts(blocks, ({index: count for index, (_, count) in enumerate(executed)},), "thumb")
    assert sum(found.mix(0).values()) == found.instructions(0)


@pytest.mark.parametrize(
    "written", ["C 0 1\n", "S 0\nC 5 1\n", "B 0 zz 0120\n", "B 0 100 012\n", "S 0\nC 0\n", "B\n"], ids=lambda text: text.replace("\n", " ")
)
def test_a_broken_file_is_refused(tmp_path, written):
    (tmp_path / "counts.txt").write_text(written)
    with pytest.raises(GuestError, match="the instruction counts are not whole"):
        read(tmp_path / "counts.txt", "thumb")
    with pytest.raises(GuestError, match="not whole"):
        read(Path(tmp_path / "none.txt"), "thumb")
