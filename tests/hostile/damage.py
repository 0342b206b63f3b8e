"""Damaged files: bytes that are flipped, cut, moved and inserted, in a whole file or within a member of an archive."""

from __future__ import annotations

import contextlib
import io
import resource
import tempfile
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolchain.errors import ToolchainError

FEW, MANY = 150, 1500
BOUNDED = timedelta(seconds=20)
"""Generous, because a loaded machine is slow: what is looked for does not end at all."""
MEMORY = 1 << 30
"""What reading a file of some kilobytes may take beyond what the tests already have."""

lengths = pytest.mark.parametrize("examples", [FEW, pytest.param(MANY, marks=pytest.mark.prove)])
"""Some examples in every run of the tests, ten times as many with the longer proofs."""

_NUMBERS = [bytes(4), b"\x01\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\xff" * 8, b"\0\0\0\x40" * 2]


@st.composite
def damaged(draw: st.DrawFn, seed: bytes, inserted: tuple[bytes, ...] = ()) -> bytes:
    """One to four changes; `inserted` are pieces that mean something in the format."""
    content = bytearray(seed)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        kind = draw(st.sampled_from(["flip", "number", "cut", "splice", "insert", "piece", "drop"]))
        if kind == "flip" and at < len(content):
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "number":
            number = draw(st.sampled_from(_NUMBERS))
            content[at // 4 * 4 : at // 4 * 4 + len(number)] = number
        elif kind == "cut":
            del content[at:]
        elif kind == "splice":
            start = draw(st.integers(0, len(content)))
            content[at:at] = content[start : start + draw(st.integers(1, 64))]
        elif kind == "insert":
            content[at:at] = draw(st.binary(min_size=1, max_size=8)) * draw(st.sampled_from([1, 1, 100]))
        elif kind == "piece" and inserted:
            content[at:at] = draw(st.sampled_from(inserted))
        elif kind == "drop":
            del content[at : at + draw(st.integers(1, 64))]
    return bytes(content)


@st.composite
def damaged_archive(draw: st.DrawFn, members: dict[str, bytes], inserted: tuple[bytes, ...] = ()) -> bytes:
    """An archive that is damaged itself, or whole with a damaged member, so that its checksum does not hide it."""
    if draw(st.booleans()):
        chosen = draw(st.sampled_from(sorted(members)))
        return archive(members | {chosen: draw(damaged(members[chosen], inserted))})
    return draw(damaged(archive(members)))


def archive(members: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for name, value in members.items():
            file.writestr(name, value)
    return content.getvalue()


def holds(read: Callable[[Path], object], contents: st.SearchStrategy[bytes], name: str, examples: int) -> None:
    """Reading a damaged file gives something or a ToolchainError of one line, in bounded time and memory.

    The same files each time: what is looked for by chance is looked for with benchmarks/fuzz.py.
    """

    @settings(max_examples=examples, derandomize=True, deadline=BOUNDED, database=None, suppress_health_check=list(HealthCheck))
    @given(contents)
    def one(content: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder, limited_memory():
            path = Path(folder) / name
            path.write_bytes(content)
            try:
                read(path)
            except ToolchainError as err:
                assert len(str(err)) < 2000, str(err)[:600]

    one()


@contextlib.contextmanager
def limited_memory():
    """At most MEMORY bytes more than now; beyond it, MemoryError."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    now = next(int(line.split()[1]) << 10 for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (now + MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
