"""An emulator as a child process with a time limit and a memory limit. A guest that hangs or crashes ends with a reason."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import msgspec
import psutil

from toolchain.errors import DependencyError, GuestError

PACKAGES = {"qemu-system-arm": "qemu-system-arm", "qemu-aarch64": "qemu-user"}
"""The Debian package of each emulator."""


class Limits(msgspec.Struct, frozen=True):
    """What a guest may take."""

    seconds: float = 120.0
    memory_bytes: int = 4 << 30
    """Resident memory of the emulator's process."""


STANDARD = Limits()


def find(program: str) -> str:
    """The path of an emulator. Raises DependencyError with the command that installs it."""
    found = shutil.which(program)
    if found is None:
        raise DependencyError(f"{program} is not installed; run: apt-get install {PACKAGES[program]}")
    return found


class Guest:
    """A running emulator; leaving the block ends it. Its output goes to files in `folder`."""

    def __init__(
        self, command: Sequence[str], folder: Path, limits: Limits = STANDARD, environment: Mapping[str, str] | None = None
    ) -> None:
        self._limits, self._deadline = limits, time.monotonic() + limits.seconds
        self._output, self._errors = folder / "stdout.txt", folder / "stderr.txt"
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, cwd=folder, env=environment)

    def __enter__(self) -> Guest:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()

    def wait(self, until: Callable[[], bool] = lambda: False) -> int | None:
        """Wait for the end and return the exit status, or None as soon as `until()` holds.

        Raises GuestError at a limit, or when the emulator was ended by a signal.
        """
        watched = psutil.Process(self._process.pid)
        while True:
            try:
                status = self._process.wait(0.02)
            except subprocess.TimeoutExpired:
                status = None
            if status is not None and status < 0:
                raise GuestError(f"the process crashed ({signal.Signals(-status).name}); its last words: {self._last_words()}")
            if until():
                return None
            if status is not None:
                return status
            if time.monotonic() > self._deadline:
                raise GuestError(f"the guest did not end within {self._limits.seconds:g} s; its last words: {self._last_words()}")
            if watched.is_running() and _resident(watched) > self._limits.memory_bytes:
                raise GuestError(f"the guest took more than {self._limits.memory_bytes:,} B of memory")

    @property
    def output(self) -> str:
        """What the emulator printed so far, beside its errors."""
        return self._output.read_text(errors="replace")

    @property
    def errors(self) -> str:
        """What the emulator wrote to standard error so far; semihosting writes there, too."""
        return self._errors.read_text(errors="replace")

    def _last_words(self) -> str:
        return " | ".join((self.output + self.errors).strip().splitlines()[-3:])[:400] or "none"


def run(command: Sequence[str], folder: Path, limits: Limits = STANDARD, environment: Mapping[str, str] | None = None) -> Guest:
    """Run an emulator to its end. Raises GuestError at a limit, after a crash, and for an exit status other than 0."""
    with Guest(command, folder, limits, environment) as guest:
        if status := guest.wait():
            raise GuestError(f"the guest ended with exit status {status}; its last words: {guest._last_words()}")
        return guest


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
