"""From an int8 .tflite to a C package that somebody can rely on: written, compiled, compared, measured, described."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from toolchain import checksums
from toolchain.artifact import Artifact, Format
from toolchain.c_source.host import Host
from toolchain.c_source.package import Cost, Package
from toolchain.c_source.program import compile_file
from toolchain.c_source.reference import differing, random_rows
from toolchain.cortex_m.cores import core_of
from toolchain.cortex_m.costs import cost_of
from toolchain.errors import DependencyError, GuestError, ModelError
from toolchain.worker import Progress, Worker, silent

CORES = ("cortex-m4", "cortex-m55")
EXAMPLES = 3


class Job(msgspec.Struct, frozen=True):
    """One package to write into an empty folder."""

    file: Path
    folder: Path
    name: str
    cores: tuple[str, ...]


class Packaged(msgspec.Struct, frozen=True):
    """What was found out about a package."""

    name: str
    arena_bytes: int
    macs: int | None
    costs: tuple[Cost, ...]
    compared: str | None
    """With what its answers were compared on this machine; None where they were not."""
    unmeasured: tuple[str, ...]
    """What could not be compared or measured, and why."""


def package(job: Job, progress: Progress) -> Packaged:
    """Write the package, compare it with the reference kernels on this machine, and measure it on every core.

    Runs in a child process. Raises ModelError for a file that cannot become C and for a package whose answers differ.
    """
    progress(f"C from {job.file.name}", 0, 0)
    made = Package(compile_file(job.file), job.name)
    made.write(job.folder)
    rows = random_rows(made.program, EXAMPLES, seed=1)
    unmeasured, costs, compared = [], list[Cost](), None
    try:
        host = Host(made)
        if different := differing(made.program, rows, map(host.run, rows)):
            raise ModelError(f"{job.name}: the C answers otherwise than the reference kernels: {different}")
        compared = f"LiteRT's reference kernels, every operator, {EXAMPLES} random inputs"
    except DependencyError as err:
        unmeasured.append(f"not compiled and not compared with the reference kernels: {err}")
    for done, core in enumerate(job.cores):
        progress(f"C from {job.file.name}: cores", done, len(job.cores))
        try:
            costs.append(cost_of(made, core, rows[:1]))
        except (DependencyError, GuestError) as err:
            unmeasured.append(f"not measured on {core}: {err}")
    made.write_readme(job.folder, costs, unmeasured, compared)
    checksums.seal(job.folder)
    return Packaged(made.name, made.program.arena.bytes, made.program.macs, tuple(costs), compared, tuple(unmeasured))


def export(
    file: Path,
    out: Path,
    *,
    name: str | None = None,
    cores: Sequence[str] = CORES,
    limit_s: float = 600.0,
    progress: Progress = silent,
) -> Packaged:
    """Do what `secateur c-source` does: write the package of an int8 .tflite to the folder `out`.

    Raises ModelError, TargetError, and StorageError where `out` holds something that no export wrote.
    """
    if Artifact.of(file).format is not Format.TFLITE:
        raise ModelError(f"{file}: C is generated from an int8 .tflite; make one first: secateur run static_w8a8 --model {file} --out out")
    for core in cores:
        core_of(core)
    checksums.check(out)
    with tempfile.TemporaryDirectory() as scratch, Worker(progress) as worker:
        job = Job(file, Path(scratch) / "package", name or file.stem, tuple(cores))
        found: Packaged = worker.call("toolchain.packaging:package", job, Packaged, file.name, limit_s)
        checksums.deliver(job.folder, out)
    return found
