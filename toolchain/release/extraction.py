"""Unpack a release that may be hostile: read as strictly as `archive` writes, into a new folder, within fixed limits.

An archive that any other program could have meant differently is refused: every header must be, byte for byte, the one
that `archive` writes for that name and size. So links, devices, extended headers, sparse files and second meanings of a
name have no way in, and nothing between, in or behind the files goes unread.
"""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from toolchain.errors import BundleError
from toolchain.release import archive
from toolchain.untrusted import check_plain

MOST_FILES: Final = 2_000
MOST_BYTES: Final = 2 << 30
"""Of all files together."""
MOST_FILE_BYTES: Final = 1 << 30
MOST_RATIO: Final = 200
"""Unpacked size over packed size, from the first `FREE_BYTES` on; models come to 10, deflate can reach 1,032."""
FREE_BYTES: Final = 1 << 20
CHUNK: Final = 1 << 16


def sealed(path: Path) -> bool:
    """Whether the compressed data are those that were written. Raises BundleError where this is no archive of a release."""
    check_plain(path, BundleError)
    try:
        with path.open("rb") as file:
            head = file.read(archive.SEALED)
            if len(head) < archive.SEALED or not head.startswith(archive.GZIP):
                raise BundleError(f"{path}: not a release: its first bytes are not those that secateur writes")
            return hashlib.file_digest(file, "sha256").digest() == head[len(archive.GZIP) :]
    except OSError as err:
        raise BundleError(f"{path}: cannot be read ({err.strerror})") from None


def unpack(path: Path, folder: Path) -> str:
    """Unpack into `folder`, which is empty, and return the name of the archive's one folder in it.

    Raises BundleError, with what was unpacked so far left in `folder`, for anything that `archive.pack` does not write.
    """
    contents = _Contents(path)
    with path.open("rb") as file:
        file.seek(archive.SEALED)
        tar = _Unzipped(file, path)
        while (block := tar.exactly(archive.BLOCK)) != bytes(archive.BLOCK):
            name, size = contents.add(block)
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as out:
                for piece in tar.pieces(size):
                    out.write(piece)
            tar.zeros(archive.padding(size, archive.BLOCK))
        tar.zeros(archive.BLOCK)
        tar.zeros(archive.padding(tar.read, archive.RECORD))
        tar.end()
    return contents.top()


class _Contents:
    """The files so far: plain, in one top folder, in order, none twice, also where a disk does not tell capitals from small letters."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._spelled: dict[str, str] = {}
        self._folders: set[str] = set()
        self._files: list[str] = []
        self._bytes = 0

    def add(self, block: bytes) -> tuple[str, int]:
        """Take in a file by its header; its name and size."""
        try:
            info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError) as err:
            raise BundleError(f"{self._path}: a damaged tar header behind {self._files[-1:] or 'nothing'} ({err})") from None
        if info.type != tarfile.REGTYPE:
            raise BundleError(f"{self._path}: {info.name!r} is no plain file but of tar's type {info.type!r}")
        self._add_name(info.name)
        self._bytes += info.size
        if not 0 <= info.size <= MOST_FILE_BYTES or self._bytes > MOST_BYTES:
            raise BundleError(
                f"{self._path}: {info.name!r} claims {info.size:,} B; unpacked are {MOST_FILE_BYTES:,} at most, {MOST_BYTES:,} of all files"
            )
        if block != archive.header(info.name, info.size):
            raise BundleError(f"{self._path}: the tar header of {info.name!r} is not the one of a release")
        return info.name, info.size

    def top(self) -> str:
        """The one folder."""
        if not self._files:
            raise BundleError(f"{self._path}: an empty archive")
        return self._files[0].split("/")[0]

    def _add_name(self, name: str) -> None:
        parts = name.split("/")
        if name.startswith("/") or ".." in parts:
            raise BundleError(f"{self._path}: {name!r} leads out of the folder that it is unpacked to")
        archive.check_name(name)
        prefixes = ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]
        clash = [prefix for prefix in prefixes if self._spelled.setdefault(prefix.casefold(), prefix) != prefix]
        if clash or name in self._files or name in self._folders or set(prefixes) & set(self._files):
            raise BundleError(f"{self._path}: {name!r} and an earlier name are one to some disk")
        if len(parts) < 2 or (self._files and parts[0] != self.top()):
            raise BundleError(f"{self._path}: {name!r} lies outside the one folder of a release")
        if self._files and name <= self._files[-1]:
            raise BundleError(f"{self._path}: {name!r} is out of order")
        self._folders.update(prefixes[:-1])
        self._files.append(name)
        if len(self._files) > MOST_FILES:
            raise BundleError(f"{self._path}: more than {MOST_FILES:,} files")


class _Unzipped:
    """The decompressed stream, a piece at a time, never further than asked."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._crc = 0
        self._packed = 0
        self.read = 0

    def pieces(self, size: int) -> Iterator[bytes]:
        """The next `size` bytes."""
        while size:
            piece = self._some(min(size, CHUNK))
            if not piece:
                raise BundleError(f"{self._path}: the archive ends too early")
            size -= len(piece)
            yield piece

    def exactly(self, size: int) -> bytes:
        """The next `size` bytes in one."""
        return b"".join(self.pieces(size))

    def zeros(self, size: int) -> None:
        """Read over zeros."""
        if any(self.exactly(size)):
            raise BundleError(f"{self._path}: something lies between or behind the files of the archive")

    def end(self) -> None:
        """Check that nothing follows but the checksum and the length (RFC 1952)."""
        if self._some(1):
            raise BundleError(f"{self._path}: something lies behind the last file of the archive")
        rest = self._inflate.unused_data + self._file.read(CHUNK)
        if rest != self._crc.to_bytes(4, "little") + (self.read & 0xFFFFFFFF).to_bytes(4, "little"):
            raise BundleError(f"{self._path}: the archive's checksum does not fit its content, or something follows it")

    def _some(self, most: int) -> bytes:
        """At least one byte, at most `most`; none at the end of the compressed data."""
        piece = b""
        while not piece and not self._inflate.eof:
            data = self._inflate.unconsumed_tail
            if not data:
                data = self._file.read(CHUNK)
                self._packed += len(data)
            try:
                piece = self._inflate.decompress(data, most)
            except zlib.error as err:
                raise BundleError(f"{self._path}: damaged compressed data ({err})") from None
            if not data and not piece:
                raise BundleError(f"{self._path}: the archive ends too early")
        self.read += len(piece)
        self._crc = zlib.crc32(piece, self._crc)
        if self.read > FREE_BYTES and self.read > MOST_RATIO * self._packed:
            raise BundleError(f"{self._path}: unpacks to more than {MOST_RATIO} times its size")
        return piece
