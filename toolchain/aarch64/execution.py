"""One file on one emulated core: its outputs on examples, and the instructions of an inference."""

from __future__ import annotations

import importlib.resources
import shutil
from collections import Counter
from pathlib import Path

import msgspec
import numpy as np

from toolchain.aarch64.sysroot import Sysroot
from toolchain.data import Array
from toolchain.errors import GuestError
from toolchain.guests import counting, process

REPETITIONS = 5
"""The first prepares what later ones reuse, and a thread of the engine's may add to another: the median leaves both out."""
HEADER_BYTES = 4096
"""More than the header of an .npy file takes."""


class Instructions(msgspec.Struct, frozen=True):
    """What one inference executes."""

    total: int
    mix: dict[str, int]
    """By mnemonic, the most frequent first."""


class Execution(msgspec.Struct, frozen=True):
    """A folder with the model and its inputs as stored, and the core that runs them."""

    sysroot: Sysroot
    core: str
    engine: str
    folder: Path
    model: str
    limits: process.Limits

    @classmethod
    def prepare(
        cls, sysroot: Sysroot, core: str, engine: str, file: Path, stored: list[Array], folder: Path, limits: process.Limits
    ) -> Execution:
        """Copy all that the guest reads into `folder`; `stored` are inputs `[N, ...]`."""
        shutil.copyfile(file, folder / f"model{file.suffix}")
        (folder / "guest.py").write_bytes((importlib.resources.files("toolchain.aarch64") / "guest.py").read_bytes())
        for index, x in enumerate(stored):
            np.save(folder / f"input_{index}.npy", x)
        return cls(sysroot, core, engine, folder, f"model{file.suffix}", limits)

    def outputs(self, like: Array) -> Array:
        """The first output for as many examples as `like` holds, which also says what it must look like. Raises GuestError."""
        self._run(len(like), 0)
        return checked(self.folder / "outputs.npy", like)

    def instructions(self) -> Instructions:
        """What an inference executes, after `outputs`: the median of five, without the cost of marking. Raises GuestError."""
        written = self.folder / "counts.txt"
        self._run(1, REPETITIONS, tuple(counting.arguments(written, (address(self.folder / "mark.txt"),))))
        found = counting.read(written, "aarch64")
        if len(found.segments) != REPETITIONS + 3:  # start, marking, repetitions, end
            raise GuestError(f"the counts are cut into {len(found.segments)} segments instead of {REPETITIONS + 3}; did the program move?")
        median = sorted(range(2, REPETITIONS + 2), key=found.instructions)[REPETITIONS // 2]
        mix = Counter(_segment(found, median).mix(0))
        mix.subtract(_segment(found, 1).mix(0))
        return Instructions(found.instructions(median) - found.instructions(1), {name: n for name, n in mix.most_common() if n > 0})

    def _run(self, examples: int, repetitions: int, plugin: tuple[str, ...] = ()) -> None:
        command = [*self.sysroot.command(self.core, self.folder, plugin), "guest.py"]
        arguments = [self.engine, self.model, str(examples), str(repetitions)]
        process.run([*command, *arguments], self.folder, self.limits, self.sysroot.environment)


def _segment(counts: counting.Counts, segment: int) -> counting.Counts:
    """One segment with its own blocks alone: the start of the program has hundred times as many to disassemble."""
    executed = counts.segments[segment]
    return counting.Counts({block: counts.blocks[block] for block in executed}, (executed,), counts.isa)


def address(path: Path) -> int:
    """The address that the guest wrote, in hexadecimal digits. Raises GuestError."""
    try:
        with path.open() as file:
            return int(file.read(32), 16)
    except (OSError, ValueError) as err:
        raise GuestError(f"the guest's mark cannot be read ({err})") from None


def checked(path: Path, like: Array) -> Array:
    """An array that a guest wrote, of the shape and type of `like`. Raises GuestError for anything else."""
    try:
        if path.stat().st_size > like.nbytes + HEADER_BYTES:
            raise ValueError(f"{path.stat().st_size:,} B instead of {like.nbytes:,}")
        found: Array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as err:
        raise GuestError(f"the guest's outputs cannot be read ({err})") from None
    if (found.shape, found.dtype) != (like.shape, like.dtype):
        raise GuestError(f"the guest wrote outputs {found.dtype} {list(found.shape)} instead of {like.dtype} {list(like.shape)}")
    if not np.isfinite(found).all():
        raise GuestError("the guest wrote outputs that are not finite")
    return found
