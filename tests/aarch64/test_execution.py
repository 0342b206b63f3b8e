import numpy as np
import pytest

from toolchain.aarch64.execution import address, checked
from toolchain.errors import GuestError

LIKE = np.zeros((3, 10), np.int8)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (np.zeros((3, 9), np.int8), r"int8 \[3, 9\] instead of int8 \[3, 10\]"),
        (np.zeros((3, 10), np.uint8), r"uint8 \[3, 10\] instead of int8"),
        (np.zeros(100_000, np.int8), "100,128 B instead of 30"),
        (np.array([{"a": 1}], object), "cannot be read"),
    ],
)
def test_outputs_of_another_shape_type_or_size_are_refused(content, reason, tmp_path):
    np.save(tmp_path / "outputs.npy", content, allow_pickle=True)
    with pytest.raises(GuestError, match=reason):
        checked(tmp_path / "outputs.npy", LIKE)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00", b"nothing of the kind"])
def test_what_is_no_array_is_refused(content, tmp_path):
    (tmp_path / "outputs.npy").write_bytes(content)
    with pytest.raises(GuestError, match="cannot be read"):
        checked(tmp_path / "outputs.npy", LIKE)


def test_outputs_that_are_not_numbers_are_refused(tmp_path):
    np.save(tmp_path / "outputs.npy", np.array([1, np.nan], np.float32))
    with pytest.raises(GuestError, match="not finite"):
        checked(tmp_path / "outputs.npy", np.zeros(2, np.float32))


def test_outputs_that_were_never_written_are_refused(tmp_path):
    with pytest.raises(GuestError, match="No such file"):
        checked(tmp_path / "outputs.npy", LIKE)


def test_whole_outputs_are_taken(tmp_path):
    np.save(tmp_path / "outputs.npy", LIKE + 3)
    assert (checked(tmp_path / "outputs.npy", LIKE) == 3).all()


def test_the_mark_is_an_address(tmp_path):
    (tmp_path / "mark.txt").write_text("46f0a1c")
    assert address(tmp_path / "mark.txt") == 0x46F0A1C
    (tmp_path / "mark.txt").write_text("46f0,out=/etc/passwd")
    with pytest.raises(GuestError, match="mark cannot be read"):
        address(tmp_path / "mark.txt")
