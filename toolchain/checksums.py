"""A folder that lists its own files in SHA256SUMS: what an earlier export wrote is replaced, what somebody changed is not."""

from __future__ import annotations

from pathlib import Path

from toolchain.errors import StorageError
from toolchain.files import copy, digest, write
from toolchain.untrusted import TABLE_BYTES, read

LIST = "SHA256SUMS"


def seal(folder: Path) -> None:
    """List all files of a folder, as `sha256sum --check` reads it."""
    lines = [f"{digest(path)}  {path.name}\n" for path in sorted(folder.iterdir()) if path.name != LIST]
    write(folder / LIST, "".join(lines).encode())


def deliver(source: Path, folder: Path) -> None:
    """Copy a sealed folder's files, each by one rename; what an earlier delivery left there and is in the way is removed.

    Raises StorageError, before anything is written, where a file stands there that no export wrote or somebody changed.
    """
    new, old = _listed(source), _listed(folder)
    check(folder)
    foreign = [name for name in new if (folder / name).exists() and digest(folder / name) not in (new[name], old.get(name))]
    if foreign:
        raise StorageError(f"{folder} already holds {', '.join(foreign)}, which no export wrote; choose another folder")
    for name in [*new, LIST]:
        copy(source / name, folder / name)
    for name in old.keys() - new.keys():
        (folder / name).unlink(missing_ok=True)


def check(folder: Path) -> None:
    """Raise StorageError where a listed file was changed since it was written."""
    if folder.exists() and not folder.is_dir():
        raise StorageError(f"{folder} is a file; give a folder")
    changed = [name for name, found in _listed(folder).items() if (folder / name).exists() and digest(folder / name) != found]
    if changed:
        raise StorageError(f"{folder}: {', '.join(changed)} changed since the export wrote it; move it away, or choose another folder")


def withdraw(folder: Path) -> None:
    """Remove the listed files that nobody changed, and the folder where nothing else is in it."""
    for name, found in _listed(folder).items():
        if (folder / name).exists() and digest(folder / name) == found:
            (folder / name).unlink()
    (folder / LIST).unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _listed(folder: Path) -> dict[str, str]:
    """The digests in a folder's list; a name that leads out of the folder is no name of a file there."""
    try:
        rows = [line.split("  ", 1) for line in read(folder / LIST, TABLE_BYTES, StorageError).decode().splitlines()]
    except (StorageError, UnicodeDecodeError):
        return {}
    return {row[1]: row[0] for row in rows if len(row) == 2 and Path(row[1]).name == row[1] not in ("", "..")}
