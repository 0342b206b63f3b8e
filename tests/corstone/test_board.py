import shutil

import pytest
from programs import program

from toolchain.corstone import board
from toolchain.corstone.board import Board
from toolchain.corstone.firmware import RESET
from toolchain.errors import GuestError
from toolchain.guests.process import Limits

pytestmark = pytest.mark.skipif(not shutil.which(board.PROGRAM), reason="qemu-system-arm is not installed")


def test_a_program_that_resets_the_board_ends_qemu(tmp_path):
    with pytest.raises(GuestError, match="the firmware ended early; its last words: none"):
        Board(program(RESET), b"model", tmp_path, Limits(seconds=20)).infer(b"input")


def test_a_program_that_hangs_is_stopped(tmp_path):
    with pytest.raises(GuestError, match=r"did not end within 0\.5 s"):
        Board(program(b"\xfe\xe7"), b"model", tmp_path, Limits(seconds=0.5)).infer(b"input")


def test_a_program_that_crashes_says_how(tmp_path):
    with pytest.raises(GuestError, match=r"crashed \(qemu: fatal: Lockup.*after it said: nothing"):
        Board(program(b"\x00\xde"), b"model", tmp_path, Limits(seconds=20)).infer(b"input")


def test_a_file_that_is_no_program_is_a_reason(tmp_path):
    with pytest.raises(GuestError):
        Board(b"\x7fELF", b"model", tmp_path, Limits(seconds=20)).infer(b"input")


def test_too_much_for_the_firmwares_buffers_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(board, "_MODEL_BYTES", 4)
    with pytest.raises(GuestError, match="keeps 4 B for the model; the file has 5"):
        Board(b"", b"model", tmp_path, Limits())
    monkeypatch.setattr(board, "_BUFFER_BYTES", 4)
    with pytest.raises(GuestError, match="keeps 4 B for inputs; the model takes 5"):
        Board(b"", b"mode", tmp_path, Limits()).infer(b"input")


def test_model_and_input_lie_where_the_firmware_looks(tmp_path):
    found = Board(program(RESET), b"a model", tmp_path, Limits(seconds=20))
    with pytest.raises(GuestError):
        found.infer(b"an input")
    with (tmp_path / "ddr.bin").open("rb") as memory:
        memory.seek(0x9000_0000 - 0x6000_0000)
        assert memory.read(7) == b"a model"
        memory.seek(0x9200_0000 - 0x6000_0000)
        assert memory.read(8) == b"an input"
    assert (tmp_path / "ddr.bin").stat().st_blocks * 512 < 1 << 20, "the memory file is not sparse"
