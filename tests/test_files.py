import os
import subprocess
from pathlib import Path

import pytest
from conftest import HERE
from hypothesis import given
from hypothesis import strategies as st

from toolchain.errors import StorageError
from toolchain.files import copy, digest, written
from toolchain.worker import Worker


def test_a_failed_write_leaves_the_old_file_and_no_scratch(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), written(path) as scratch:
        scratch.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.json"]


def test_a_folder_takes_the_place_of_a_folder(tmp_path):
    (tmp_path / "entry").mkdir()
    (tmp_path / "entry" / "stale").touch()
    with written(tmp_path / "entry") as scratch:
        scratch.mkdir()
        (scratch / "fresh").touch()
    assert os.listdir(tmp_path / "entry") == ["fresh"]


@given(st.dictionaries(st.text("abc", min_size=1, max_size=4), st.binary(max_size=20), min_size=1, max_size=4), st.integers(0, 3))
def test_a_folders_digest_changes_with_any_content_and_not_with_its_place(tmp_path_factory, contents, index):
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    for name, content in contents.items():
        (one / name).write_bytes(content)
    copy(one, two / "moved")
    assert digest(one) == digest(two / "moved")
    changed = sorted(contents)[index % len(contents)]
    (one / changed).write_bytes(contents[changed] + b"!")
    assert digest(one) != digest(two / "moved")


def test_digest_of_a_file_is_sha256(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    assert digest(tmp_path / "f") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB; mounting needs root."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("cannot mount a small file system here: " + mounted.stderr.decode().strip())
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_full_disk_is_one_clear_error_and_the_old_file_stays(small_disk):
    path = small_disk / "model.tflite"
    path.write_bytes(b"old")
    with pytest.raises(StorageError, match=r"model.tflite: no space left on the device; earlier files are untouched"):
        with written(path) as scratch:
            scratch.write_bytes(bytes(4 << 20))
    assert path.read_bytes() == b"old"
    assert [p.name for p in small_disk.iterdir()] == ["model.tflite"]


def test_a_full_disk_in_the_child_reaches_the_parent_as_a_storage_error(small_disk, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    with Worker() as worker, pytest.raises(StorageError, match="no space left"):
        worker.call("worker_jobs:fill_disk", str(small_disk / "big"), str, "fill")


def test_a_read_only_folder_is_one_clear_error(tmp_path):
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(tmp_path)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("cannot mount a read-only file system here: " + mounted.stderr.decode().strip())
    try:
        with pytest.raises(StorageError, match="read-only"), written(Path(tmp_path) / "x") as scratch:
            scratch.touch()
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
