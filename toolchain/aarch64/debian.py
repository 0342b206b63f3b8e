"""Debian packages of another architecture, without root rights and without touching the system's own packages.

apt resolves the dependencies, and checks the signatures with the system's keys; its lists and downloads lie in a
temporary folder, and an empty list of installed packages makes it fetch all that a package needs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from toolchain.errors import TargetError
from toolchain.worker import Progress

LIMIT_S = 600.0
"""For one call of a package manager."""

CONFIGURATION = """\
#clear APT::Architectures;
#clear APT::Update;
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "";
Debug::NoLocking "true";
Dir::State "{folder}/state";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
"""
"""Read after the system's own configuration. `APT::Update` holds the system's hooks, `Sandbox::User` is root's concern."""


def unpack(packages: Sequence[str], architecture: str, root: Path, folder: Path, progress: Progress) -> None:
    """Fetch packages and all they depend on into `folder` and unpack them below `root`. Raises TargetError."""
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise TargetError(f"{program} is not here: the {architecture} packages come from Debian 12 or newer, or a system made from it")
    for part in ("state/lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "apt.conf").write_text(CONFIGURATION.format(architecture=architecture, folder=folder))
    progress(f"{architecture}: lists of packages", 0, 0)
    complaints = called(["apt-get", "-c", str(folder / "apt.conf"), "update"], check=False)
    progress(f"{architecture}: packages", 0, 0)
    try:
        called(["apt-get", "-c", str(folder / "apt.conf"), "--yes", "--download-only", "install", *packages])
    except TargetError as err:
        first = next((line for line in complaints.splitlines() if line.startswith(("E:", "W:"))), "")
        raise TargetError(
            f"{err}; {first or f'do the package sources of this system offer {architecture}?'} Check the network and the package sources."
        ) from None
    archives = sorted((folder / "cache/archives").glob("*.deb"))
    for done, archive in enumerate(archives):
        progress(f"{architecture}: {archive.name.partition('_')[0]}", done, len(archives))
        called(["dpkg-deb", "--extract", str(archive), str(root)])
    if not (root / "lib").exists():  # Debian 13 on: all files lie below /usr, and the link belongs to no package
        (root / "lib").symlink_to("usr/lib")


def called(command: Sequence[str], check: bool = True) -> str:
    """Run a package manager and return what it wrote to standard error. Raises TargetError with its first complaint."""
    try:
        done = subprocess.run(
            command, env=os.environ | {"LC_ALL": "C"}, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise TargetError(f"{' '.join(command[:3])} did not end within {LIMIT_S:.0f} s") from None
    complaints = done.stderr.decode(errors="replace").strip()
    if check and done.returncode:
        lines = complaints.splitlines()
        first = next((line for line in lines if line.lower().startswith(("e:", "error"))), lines[-1] if lines else "no message")
        raise TargetError(f"{Path(command[0]).name} failed: {first[:300]}")
    return complaints
