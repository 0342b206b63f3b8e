"""The files of a bundle by path, with their digests, and SHA256SUMS: what `sha256sum --check` reads."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from toolchain.errors import BundleError
from toolchain.release.extraction import MOST_FILES
from toolchain.release.manifest import Listed


def listed(files: Mapping[str, bytes]) -> tuple[Listed, ...]:
    """In the order of their paths."""
    return tuple(Listed(path, hashlib.sha256(content).hexdigest(), len(content)) for path, content in sorted(files.items()))


def sums(files: Mapping[str, str]) -> bytes:
    """SHA256SUMS of digests by path."""
    return "".join(f"{found}  {path}\n" for path, found in sorted(files.items())).encode()


def tree(folder: Path) -> tuple[dict[str, Listed], tuple[str, ...]]:
    """The plain files of a folder by their path in it, and what is neither that nor a folder with files. Links are not followed.

    Raises BundleError where there are more than a release may hold.
    """
    found, foreign = dict[str, Listed](), list[str]()
    for parent, folders, names in os.walk(folder, followlinks=False):
        if not folders and not names:
            foreign.append(f"{_path(folder, parent)}: an empty folder")
        for name in (*folders, *names):
            path = Path(parent, name)
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode):
                with path.open("rb") as file:
                    found[_path(folder, path)] = Listed(
                        _path(folder, path), hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size
                    )
            elif not stat.S_ISDIR(mode):
                foreign.append(f"{_path(folder, path)}: {'a link' if stat.S_ISLNK(mode) else 'no plain file'}")
        if len(found) > MOST_FILES:
            raise BundleError(f"{folder}: more than {MOST_FILES:,} files, which no release holds")
    return found, tuple(foreign)


def _path(folder: Path, path: Path | str) -> str:
    return Path(path).relative_to(folder).as_posix()
