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

HEADER_BYTES = 4096
"""More than the header of an .npy file takes."""


class Instructions(msgspec.Struct, frozen=True):
    """What one inference executes, rounded to whole instructions."""

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

    def instructions(self, repetitions: int) -> Instructions:
        """What an inference executes: the difference of two runs of which one repeats it. Raises GuestError."""
        once, often = (self._counted(repeated) for repeated in (0, repetitions))
        changed = [(code, count - once[code]) for code, count in often.items() if count != once[code]]
        blocks = {index: counting.Block(0, code) for index, (code, _) in enumerate(changed)}
        more = counting.Counts(blocks, ({index: count for index, (_, count) in enumerate(changed)},), "aarch64")
        mix = {name: round(count / repetitions) for name, count in more.mix(0).items()}
        return Instructions(round(more.instructions(0) / repetitions), {name: count for name, count in mix.items() if count > 0})

    def _counted(self, repetitions: int) -> Counter[tuple[bytes, ...]]:
        """Executions of every block by its code: addresses may differ from run to run."""
        written = self.folder / "counts.txt"
        self._run(1, repetitions, tuple(counting.arguments(written)))
        found = counting.read(written, "aarch64")
        executed: Counter[tuple[bytes, ...]] = Counter()
        for segment in found.segments:
            for block, count in segment.items():
                executed[found.blocks[block].code] += count
        return executed

    def _run(self, examples: int, repetitions: int, plugin: tuple[str, ...] = ()) -> None:
        command = [*self.sysroot.command(self.core, self.folder, plugin), "guest.py"]
        arguments = [self.engine, self.model, str(examples), str(repetitions)]
        process.run([*command, *arguments], self.folder, self.limits, self.sysroot.environment)


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
