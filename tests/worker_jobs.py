"""Functions that tests/test_worker.py runs in a child process."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import msgspec

from toolchain.errors import DataError
from toolchain.worker import Progress


class Pair(msgspec.Struct, frozen=True):
    path: Path
    numbers: tuple[int, ...]


def echo(pair: Pair, progress: Progress) -> Pair:
    progress("echo", 1, 2)
    print("noise on standard output")
    return Pair(pair.path / "seen", pair.numbers[::-1])


def crash(text: str, progress: Progress) -> str:
    print("last words before the crash", file=sys.stderr, flush=True)
    os.abort()


def hang(text: str, progress: Progress) -> str:
    time.sleep(60)
    return text


def refuse(text: str, progress: Progress) -> str:
    raise DataError(f"no {text}")


def bug(text: str, progress: Progress) -> str:
    raise ZeroDivisionError(text)


def fill_disk(path: str, progress: Progress) -> str:
    with open(path, "wb") as file:
        for _ in range(64):
            file.write(b"0" * (1 << 20))
            file.flush()
    return path


def process(text: str, progress: Progress) -> int:
    return os.getpid()
