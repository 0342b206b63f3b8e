"""Files and folders that are either whole or absent, and the digests that name their content.

What is being written lies in a scratch folder beside its place, locked by the process that writes. A process that was
killed no longer holds its lock: whoever writes beside it next removes what it left.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from toolchain.errors import StorageError

_STORAGE = {errno.ENOSPC: "no space left on the device", errno.EROFS: "the file system is read-only",
            errno.EACCES: "permission denied", errno.EPERM: "not permitted", errno.EDQUOT: "the disk quota is used up",
            errno.EFBIG: "file too large",
            errno.ENOTEMPTY: "another process writes there", errno.EIO: "input/output error",
            errno.ENOTDIR: "a file stands where a folder should be"}  # fmt: skip
SCRATCH = ".secateur-"
"""What the names of scratch folders begin with."""


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
def storage_errors(path: Path | None = None) -> Iterator[None]:
    """Turn what the disk refuses into a StorageError that names `path`, or else the file that the system names."""
    try:
        yield
    except OSError as err:
        if err.errno not in _STORAGE:
            raise
        named = f"cannot write {path}" if path else str(err.filename or "cannot write")
        raise StorageError(f"{named}: {_STORAGE[err.errno]}; earlier files are untouched") from err


@contextlib.contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """An empty folder in `parent` that is gone after the block; first, those of killed processes are removed."""
    for left in parent.glob(f"{SCRATCH}*"):
        _remove_abandoned(left)
    made = False
    while not made:
        scratch = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=parent))
        with _locked(scratch, fcntl.LOCK_EX):
            made = scratch.exists()  # somebody who cleans up may have taken it before it was locked
            if made:
                try:
                    yield scratch
                finally:
                    shutil.rmtree(scratch, ignore_errors=True)


def _remove_abandoned(scratch: Path) -> None:
    with _locked(scratch, fcntl.LOCK_EX | fcntl.LOCK_NB) as locked:
        if locked:
            shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path, how: int) -> Iterator[bool]:
    """Hold the lock of a folder; False where another process holds it, where it is gone or foreign, and on disks without locks."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        yield False
        return
    try:
        yield _lock(handle, how)
    finally:
        os.close(handle)


def _lock(handle: int, how: int) -> bool:
    if os.fstat(handle).st_uid != os.geteuid():
        return False
    try:
        fcntl.flock(handle, how)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def temporary_files() -> Iterator[None]:
    """Have all temporary files of this process and its children in one folder, so that those of a killed one are found and removed.

    Raises StorageError where no temporary file can be written.
    """
    try:
        place = Path(tempfile.gettempdir())
    except FileNotFoundError as err:
        raise StorageError(f"{err.strerror}; make room, or name a folder in TMPDIR") from None
    with contextlib.ExitStack() as stack:
        with storage_errors(place):
            folder = stack.enter_context(scratch_folder(place))
        before = {"TMPDIR": os.environ["TMPDIR"]} if "TMPDIR" in os.environ else {}
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
        try:
            yield
        finally:
            tempfile.tempdir = str(place)
            del os.environ["TMPDIR"]
            os.environ.update(before)


@contextlib.contextmanager
def written(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` (file or folder) that takes its place when the block ends well.

    Raises StorageError when the disk is full or read-only; then nothing has changed.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(path.parent) as scratch:
            inner = scratch / path.name
            yield inner
            if inner.is_dir() and path.is_dir():
                os.replace(path, scratch / f"{path.name}.old")
            os.replace(inner, path)


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
