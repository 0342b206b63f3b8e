"""Files from outside, before anything reads them: plain files of bounded size that do not lead elsewhere.

A FIFO blocks its reader, a device never ends, an archive of a kilobyte can hold a terabyte, a link can name any file of
the user's. What is refused here never reaches a reader.
"""

from __future__ import annotations

import os
import stat
import tomllib
import zipfile
from pathlib import Path
from typing import Any

from toolchain.errors import ToolchainError

TABLE_BYTES = 1 << 20
"""The largest recipe, target or list of checksums that is read; those that ship have a few kilobytes."""


def memory_bytes() -> int:
    """What one input may take when it is read: half of this machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def check_plain(path: Path, error: type[ToolchainError]) -> None:
    """Raise `error` where `path` is no file: a FIFO or a device would block its reader, or never end."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as err:  # ValueError: a NUL in the name
        raise error(f"{path}: {err}") from None
    if not stat.S_ISREG(mode):
        raise error(f"{path}: is a folder, not a file" if stat.S_ISDIR(mode) else f"{path}: neither a file nor a folder")


def check_within(path: Path, folder: Path, error: type[ToolchainError]) -> None:
    """Raise `error` where a link leads out of the folder that was given."""
    if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
        raise error(f"{path}: a link that leads out of {folder}; put the file itself there (cp --dereference)")


def check_size(size: int, what: str, error: type[ToolchainError]) -> None:
    """Raise `error` where reading takes more than half of this machine's memory."""
    if size > memory_bytes():
        raise error(f"{what}: takes {size:,} B when it is read, more than half of this machine's memory ({memory_bytes():,} B)")


def check_archive(path: Path, error: type[ToolchainError]) -> None:
    """Raise `error` for a zip that unpacks to more than half of this machine's memory, and for one that is encrypted or damaged.

    zipfile never unpacks more of a member than its header declares, so that the declared sizes bound the memory.
    """
    check_plain(path, error)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as err:
        raise error(f"{path}: not a readable {path.suffix} archive ({err})") from None
    if any(member.flag_bits & 1 for member in members):
        raise error(f"{path}: an encrypted archive; unpack it and save it plainly")
    check_size(sum(member.file_size for member in members), str(path), error)


def read(path: Path, most: int, error: type[ToolchainError]) -> bytes:
    """The content of a file of at most `most` bytes. Raises `error`."""
    check_plain(path, error)
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as err:
        raise error(f"{path}: {err}") from None
    if len(content) > most:
        raise error(f"{path}: larger than {most:,} B")
    return content


def table(path: Path, error: type[ToolchainError]) -> dict[str, Any]:
    """A TOML file. Raises `error`."""
    try:
        found = tomllib.loads(read(path, TABLE_BYTES, error).decode())
    except RecursionError:
        raise error(f"{path}: nested too deeply") from None
    except ValueError as err:  # no TOML, no UTF-8, or a number of thousands of digits
        raise error(f"{path}: {str(err)[:300]}") from None
    values: list[Any] = [found]
    while values:
        value = values.pop()
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise error(f"{path}: a whole number has at most 64 bits in TOML (toml.io/en/v1.0.0#integer), and one here has more")
        values += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return found
