"""The .tar.gz of a release: one folder of plain files, the same bytes from the same files, and sealed.

What usually differs between two archives of one content is fixed: order, dates, owners, modes, and the gzip header's
time and name. That header carries the SHA-256 of all that follows it (RFC 1952, section 2.3.1.1, extra field "SC"), because
a checksum of the content cannot see every changed bit of its compressed form, and because no two builds of zlib need to
compress alike: whoever reads the archive compares digests and need not compress again.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
import zlib
from collections.abc import Mapping
from typing import Final

from toolchain.errors import BundleError

BLOCK: Final = 512
RECORD: Final = 10240
"""A tar ends with zeros up to a multiple of this."""
EXTRA: Final = b"\x24\x00SC\x20\x00"
GZIP: Final = b"\x1f\x8b\x08\x04" + bytes(4) + b"\x02\xff" + EXTRA
"""A gzip header with an extra field, no time, best compression, unknown system; 32 bytes of digest follow."""
SEALED: Final = len(GZIP) + 32
"""Where the compressed data begin."""

_PART: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*", re.ASCII)


def check_name(path: str) -> None:
    """Raise BundleError for a path that is not the same file on every system, or could lead out of its folder."""
    if not all(_PART.fullmatch(part) for part in path.split("/")):
        raise BundleError(f"{path!r}: names in a release are made of ASCII letters, digits and ._+- and begin with a letter, a digit or _")


def header(path: str, size: int) -> bytes:
    """The 512 bytes before a file's content (POSIX.1-1988 ustar). Raises BundleError for a path over about 250 characters."""
    info = tarfile.TarInfo(path)
    info.size, info.mode = size, 0o644
    try:
        return info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")
    except ValueError as err:
        raise BundleError(f"{path[:300]!r}: no name or size for a tar archive ({err})") from None


def padding(size: int, multiple: int) -> int:
    """Zeros that follow `size` bytes up to a multiple."""
    return -size % multiple


def pack(top: str, files: Mapping[str, bytes]) -> bytes:
    """An archive of files by their paths below the folder `top`. Raises BundleError for a name that is not plain."""
    parts = []
    for path, content in sorted(files.items()):
        check_name(f"{top}/{path}")
        parts += [header(f"{top}/{path}", len(content)), content, bytes(padding(len(content), BLOCK))]
    tar = b"".join([*parts, bytes(2 * BLOCK)])
    tar += bytes(padding(len(tar), RECORD))
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = packer.compress(tar) + packer.flush()
    body += zlib.crc32(tar).to_bytes(4, "little") + (len(tar) & 0xFFFFFFFF).to_bytes(4, "little")
    return GZIP + hashlib.sha256(body).digest() + body
