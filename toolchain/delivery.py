"""The output folder of a run: files appear when they are whole, never over one that no run wrote, and no stale one stays."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from toolchain import checksums, report
from toolchain.errors import StorageError, ToolchainError
from toolchain.files import copy, digest

MODEL = "final.keras"
REPORTS = ("report.json", "report.html")


def put(path: Path, out: Path) -> None:
    """Copy a finished file or package to its place, by one rename or file by file."""
    (checksums.deliver if path.is_dir() else copy)(path, out)


def check_free(out: Path, names: Sequence[str]) -> None:
    """Raise StorageError where a file in `out` would be overwritten that no run wrote."""
    if out.exists() and not out.is_dir():
        raise StorageError(f"{out} is a file; give --out a folder")
    present = [name for name in names if (out / name).exists()]
    if not present:
        return
    try:
        ours = {row.name for row in report.load(out / "report.json").artifacts} | {MODEL, *REPORTS}
    except ToolchainError:
        ours = set()
    if foreign := [name for name in present if name not in ours]:
        raise StorageError(f"{out} already holds {', '.join(foreign)}, which no earlier run wrote; choose another --out")
    for path in (out / name for name in present if (out / name).is_dir()):
        checksums.check(path)


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
