"""Arm's inference runner for Corstone-300, from PyPI mlia-ethos-u: fetched by its user, changed in a copy in memory.

The package says Apache-2.0; the licence file beside the firmware says Apache-2.0 AND BSD-3-Clause AND CC-PDDC, and is kept
beside it. Nothing of it comes with secateur. Its dependencies (mlia) are not needed, so the one wheel is fetched alone.
Of its builds the one for the Ethos-U65 is taken, because it is optimized; that for the U55 is a debug build.
"""

from __future__ import annotations

import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from toolchain.cache import Cache
from toolchain.corstone.elf import Program
from toolchain.errors import DependencyError, GuestError, TargetError
from toolchain.files import written
from toolchain.optional import require
from toolchain.worker import Progress

PACKAGE = "mlia-ethos-u==0.1.0"
SHA256 = "883212dbecb724b274c3c681df01d91c9b368e2a69d8f903e56e5875a0de9dae"
"""Of the wheel."""
FILES = ("mlek_inference_runner.axf", "mlek_inference_runner.axf.license")
FOLDER = "mlia/resources/backends/applications/inference_runner-sse-300-26.03.0-tflm-ethos-U65-Default-noTA"
LIMIT_S = 300.0
INSTALL = "secateur targets --install corstone"

RETURN_0 = bytes.fromhex("00207047")
"""Thumb: movs r0, #0; bx lr."""
RESET = bytes.fromhex("014802490160fee7") + struct.pack("<II", 0xE000ED0C, 0x05FA0004)
"""Thumb: write SYSRESETREQ with its key to AIRCR (Armv8-M Architecture Reference Manual, D1.2.3), then wait for it.
The code loads two words behind it and so has to lie at a multiple of four."""


def path() -> Path:
    """Where the firmware lies once it is installed."""
    return Cache().tools / "corstone" / FILES[0]


def missing() -> str | None:
    """The command that fetches the firmware, or the library that reads it, where one is missing."""
    try:
        require("elftools", "emulate")
    except DependencyError as err:
        return str(err)
    return None if path().exists() else f"Arm's firmware for Corstone-300 is not here; run: {INSTALL}"


def install(progress: Progress) -> None:
    """Download the wheel with the user's pip, check its SHA-256, and keep the firmware and its licence. Raises TargetError."""
    progress(f"download {PACKAGE}", 0, 0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # a hash in the file makes pip refuse every other content
        (folder / "requirements.txt").write_text(f"{PACKAGE} --hash=sha256:{SHA256}\n")
        options = ["--no-deps", "--disable-pip-version-check", "--quiet", "--dest", name]
        command = [sys.executable, "-m", "pip", "download", *options, "--requirement", "requirements.txt"]
        try:
            done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S, check=False)
        except subprocess.TimeoutExpired:
            raise TargetError(f"the download of {PACKAGE} did not end within {LIMIT_S:.0f} s") from None
        if done.returncode:
            raise TargetError(f"pip could not fetch {PACKAGE}: {_complaint(done.stderr.decode(errors='replace'))}")
        (wheel,) = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive, written(path().parent) as scratch:
            scratch.mkdir()
            for file in FILES:
                (scratch / file).write_bytes(archive.read(f"{FOLDER}/{file}"))


def load() -> Program:
    """The firmware that runs where no Ethos-U is, and resets the machine when it is done. Raises GuestError when damaged."""
    try:
        return Program(path().read_bytes()).replaced("arm_ethosu_npu_init", RETURN_0).replaced("_exit", RESET)
    except GuestError as err:
        raise GuestError(f"{path()} is damaged ({err}); run: {INSTALL}") from None


def _complaint(printed: str) -> str:
    return next((line for line in printed.splitlines() if "ERROR" in line), printed.strip() or "no message")[:300]
