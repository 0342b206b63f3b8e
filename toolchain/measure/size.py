"""Bytes of a file, raw and compressed: zeros show only in the compressed size."""

from __future__ import annotations

import gzip
from pathlib import Path

import msgspec
import zstandard


class Size(msgspec.Struct, frozen=True):
    """Sizes in bytes; gzip at level 9, zstd at level 19."""

    raw: int
    gzip: int
    zstd: int


def size(path: Path) -> Size:
    """Measure a file, or a folder as the sum of its files."""
    files = [path] if path.is_file() else sorted(item for item in path.rglob("*") if item.is_file())
    contents = [file.read_bytes() for file in files]
    compressor = zstandard.ZstdCompressor(level=19)
    return Size(
        sum(map(len, contents)),
        sum(len(gzip.compress(content, 9, mtime=0)) for content in contents),
        sum(len(compressor.compress(content)) for content in contents),
    )
