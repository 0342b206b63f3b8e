"""The output folder of a run: files appear when they are whole, never over one that no run wrote, and no stale one stays."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from toolchain import checksums, report
from toolchain.errors import StorageError, ToolchainError
from toolchain.files import SCRATCH, copy, digest, write
from toolchain.untrusted import TABLE_BYTES, read

MODEL = "final.keras"
REPORTS = ("report.json", "report.html")
PENDING = f"{SCRATCH}delivery.json"


def put(path: Path, out: Path) -> None:
    """Copy a finished file or package to its place, by one rename or file by file."""
    (checksums.deliver if path.is_dir() else copy)(path, out)


@contextlib.contextmanager
def announced(out: Path, files: Mapping[str, Path]) -> Iterator[None]:
    """While files go to `out`, a list of them lies there: a run that is killed meanwhile finds its own again."""
    write(out / PENDING, msgspec.json.encode({name: digest(path) for name, path in files.items()}))
    yield
    (out / PENDING).unlink()


def check_free(out: Path, names: Sequence[str]) -> None:
    """Raise StorageError where a file in `out` would be overwritten that no run wrote."""
    if out.exists() and not out.is_dir():
        raise StorageError(f"{out} is a file; give --out a folder")
    present = [name for name in names if (out / name).exists()]
    if not present:
        return
    try:
        rows = report.load(out / "report.json").artifacts
        ours = {row.name for row in rows if (out / row.name).is_dir() or digest(out / row.name) == row.digest} | {MODEL, *REPORTS}
    except ToolchainError:
        ours = set()
    ours |= _half_delivered(out, present)
    if foreign := [name for name in present if name not in ours]:
        raise StorageError(
            f"{out} already holds {', '.join(foreign)}, which no earlier run wrote, or somebody changed since; choose another --out"
        )
    for path in (out / name for name in present if (out / name).is_dir()):
        checksums.check(path)


def _half_delivered(out: Path, names: Sequence[str]) -> set[str]:
    """Which of the names a killed run brought; files of a package are looked at one by one when it is brought again."""
    try:
        listed = msgspec.json.decode(read(out / PENDING, TABLE_BYTES, StorageError), type=dict[str, str])
    except (StorageError, msgspec.DecodeError, ValueError, RecursionError):
        return set()
    return {name for name in names if name in REPORTS or (name in listed and ((out / name).is_dir() or digest(out / name) == listed[name]))}


def remove_stale(out: Path, products: Collection[str]) -> None:
    """Remove what an earlier run wrote and this one does not, so that no file stands beside a report that is not about it."""
    try:
        earlier = report.load(out / "report.json")
    except ToolchainError:
        return
    for row in earlier.artifacts:
        path = out / row.name
        if row.name in products:
            continue
        if path.is_dir():
            checksums.withdraw(path)
        elif path.is_file() and digest(path) == row.digest:
            path.unlink()
    if MODEL not in products and (earlier.settings.get("stages") or earlier.attempts):
        (out / MODEL).unlink(missing_ok=True)
