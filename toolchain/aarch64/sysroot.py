"""The small arm64 system in which the engines run: Debian's Python and C libraries, and the arm64 wheels of this machine's versions.

It lies in the user's cache under a name made from the versions, so both sides of a comparison always run the same
version, and a sysroot that was not finished does not exist.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import sys
import tempfile
import zipfile
from pathlib import Path

import msgspec

from toolchain.aarch64 import cores, debian
from toolchain.cache import Cache
from toolchain.errors import DependencyError, GuestError, TargetError
from toolchain.files import written
from toolchain.guests import compiler, process
from toolchain.worker import Progress

PACKAGES = ("python3-minimal", "libpython3-stdlib", "libstdc++6")
WHEELS = ("ai-edge-litert", "numpy", "onnxruntime")
PLATFORMS = tuple(f"manylinux_2_{minor}_aarch64" for minor in range(36, 16, -1))
"""What the C library of Debian 12 (glibc 2.36) runs: PEP 600."""
MODULES = {"ai-edge-litert": "ai_edge_litert.interpreter", "numpy": "numpy", "onnxruntime": "onnxruntime"}
INSTALL = "secateur targets --install aarch64"


class Sysroot(msgspec.Struct, frozen=True):
    """An installed arm64 system."""

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter. Raises TargetError where the packages brought none."""
        found = next((self.folder / "system/usr/bin").glob("python3.[0-9]*"), None)
        if found is None:
            raise TargetError("the arm64 packages hold no Python")
        return found

    def command(self, core: str, folder: Path, plugin: tuple[str, ...] = ()) -> list[str]:
        """How a Python program is run on an emulated core; `folder` receives what the core says about itself.

        Without `site`, so that nothing of this machine's Python is seen. Raises DependencyError without qemu.
        """
        prefix = folder / core
        if not prefix.exists():
            cores.describe(core, prefix)
            for part in (self.folder / "system").iterdir():
                (prefix / part.name).symlink_to(part)
        return [process.find("qemu-aarch64"), "-L", str(prefix), "-cpu", core, *plugin, str(self.python), "-s", "-S"]

    @property
    def environment(self) -> dict[str, str]:
        """All that the guest gets to see of an environment; a fixed seed of hashes makes runs repeat."""
        return {
            "PYTHONPATH": str(self.folder / "site"),
            "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }


def versions() -> dict[str, str]:
    """The engines installed here; the sysroot holds the same."""
    found = {}
    for name in WHEELS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def here() -> Sysroot:
    """The sysroot for this machine's versions, installed or not."""
    identity = msgspec.json.encode((versions(), PACKAGES, PLATFORMS))
    return Sysroot(Cache().tools / f"aarch64-{hashlib.sha256(identity).hexdigest()[:16]}")


def missing() -> str | None:
    """What this machine lacks, with the command that installs it."""
    try:
        process.find("qemu-aarch64")
    except DependencyError as err:
        return str(err)
    if (lacking := compiler.missing()) is not None:
        return lacking
    if not here().folder.is_dir():
        wanted = ", ".join(f"{name} {version}" for name, version in versions().items())
        return f"no arm64 system with {wanted} is installed; run: {INSTALL}"
    return None


def install(progress: Progress) -> None:
    """Fetch, unpack and try the sysroot. Raises TargetError, DependencyError where the emulator is missing."""
    process.find("qemu-aarch64")
    if here().folder.is_dir():
        return
    with written(here().folder) as scratch, tempfile.TemporaryDirectory() as work:
        scratch.mkdir()
        made = Sysroot(scratch)
        debian.unpack(PACKAGES, "arm64", scratch / "system", Path(work), progress)
        progress("arm64: wheels", 0, 0)
        _wheels(made, Path(work) / "wheels")
        progress("arm64: first start", 0, 0)
        _start(made, Path(work))


def _wheels(made: Sysroot, folder: Path) -> None:
    """The arm64 wheels, without what they depend on: the engines import NumPy and nothing else."""
    platforms = [option for name in PLATFORMS for option in ("--platform", name)]
    wanted = [f"{name}=={version}" for name, version in versions().items()]
    python = made.python.name.removeprefix("python")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version", python]
    try:
        debian.called([*command, *platforms, "--dest", str(folder), *wanted])
    except TargetError as err:
        raise TargetError(f"pip found no arm64 wheels of {', '.join(wanted)} for Python {python}; is the network there? ({err})") from None
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(made.folder / "site")


def _start(made: Sysroot, folder: Path) -> None:
    """Import the engines once, which also keeps them compiled: a start is five times shorter then."""
    program = "; ".join(f"import {MODULES[name]}" for name in versions())
    environment = {name: value for name, value in made.environment.items() if name != "PYTHONDONTWRITEBYTECODE"}
    try:
        process.run([*made.command("cortex-a53", folder), "-c", program], folder, environment=environment)
    except GuestError as err:
        raise TargetError(f"the arm64 system does not start: {err}") from None
