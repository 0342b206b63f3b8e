import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs import CODE_AT, program

from toolchain.corstone.elf import Program, Symbol
from toolchain.errors import GuestError

CODE = bytes(range(32))
ELF = program(CODE, {"first": (CODE_AT, 4), "second": (CODE_AT + 4, 8), "elsewhere": (0x7000_0000, 8)})


def test_symbols_are_found_without_the_thumb_bit():
    assert Program(ELF).symbol("second") == Symbol(CODE_AT + 4, 8)


def test_a_function_is_replaced_where_it_lies_and_nothing_else_changes():
    found = Program(ELF).replaced("second", b"\xff" * 6).content
    place = ELF.index(CODE)
    assert found[place : place + 32] == CODE[:4] + b"\xff" * 6 + CODE[10:]
    assert found[:place] == ELF[:place]
    assert found[place + 32 :] == ELF[place + 32 :]


@pytest.mark.parametrize(
    ("name", "why"),
    [("absent", "no symbol 'absent'"), ("first", "first has 4 B, too few for 6 B"), ("elsewhere", "no code for address 0x70000000")],
)
def test_what_cannot_be_replaced_is_refused(name, why):
    with pytest.raises(GuestError, match=why):
        Program(ELF).replaced(name, b"\0" * 6)


@pytest.mark.parametrize("content", [b"", b"MZ", b"\x7fELF\x02\x01" + bytes(60), b"\x7fELF\x01\x02" + bytes(60)])
def test_what_is_no_elf32_is_refused(content):
    with pytest.raises(GuestError, match="not a 32-bit little-endian ELF file"):
        Program(content)


@given(st.integers(6, len(ELF) - 1), st.binary(min_size=1, max_size=8))
def test_a_damaged_file_ends_in_a_guest_error_and_nowhere_else(place, noise):
    for damaged in (ELF[:place], ELF[:place] + noise + ELF[place + len(noise) :]):
        try:
            Program(damaged).replaced("second", b"\0" * 8)
        except GuestError:
            continue
