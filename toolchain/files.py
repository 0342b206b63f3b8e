"""Files and folders that are either whole or absent, and the digests that name their content."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from toolchain.errors import StorageError

_STORAGE = {errno.ENOSPC: "no space left on the device", errno.EROFS: "the file system is read-only",
            errno.EACCES: "permission denied", errno.EDQUOT: "the disk quota is used up", errno.EFBIG: "file too large"}  # fmt: skip


def digest(path: Path, pattern: str = "*") -> str:
    """SHA-256 of a file's bytes; of a folder, over the sorted names and contents of the files that match `pattern`."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    total = hashlib.sha256()
    for part in sorted(item for item in path.rglob(pattern) if item.is_file()):
        total.update(f"{part.relative_to(path).as_posix()}\0{digest(part)}\0".encode())
    return total.hexdigest()


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what the disk refuses into a StorageError that names `path`."""
    try:
        yield
    except OSError as err:
        if err.errno not in _STORAGE:
            raise
        raise StorageError(f"cannot write {path}: {_STORAGE[err.errno]}; earlier files are untouched") from err


@contextlib.contextmanager
def written(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` (file or folder) that takes its place when the block ends well.

    Raises StorageError when the disk is full or read-only; then nothing has changed.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        try:
            inner = scratch / path.name
            yield inner
            if inner.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            os.replace(inner, path)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def copy(source: Path, destination: Path) -> None:
    """Copy a file or a folder atomically."""
    with written(destination) as scratch:
        if source.is_dir():
            shutil.copytree(source, scratch)
        else:
            shutil.copyfile(source, scratch)


def write(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    with written(path) as scratch:
        scratch.write_bytes(content)
