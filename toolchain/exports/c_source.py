"""Write a C99 package: the int8 .tflite of the same run without an interpreter, for firmware (docs/c_source.md)."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import msgspec

from toolchain import packaging
from toolchain.artifact import Format
from toolchain.cortex_m.cores import CORES
from toolchain.exports.tflite import Tflite
from toolchain.files import written
from toolchain.settings import suggest
from toolchain.stage import Context, Export, Note, Outcome


class CSource(Export, frozen=True, tag="c_source", kw_only=True):
    """A folder with the model, its weights, kernels, a Makefile, an example and a README with its cost on some cores."""

    produces: ClassVar[Format] = Format.C_SOURCE

    scheme: Literal["static_w8a8"] = "static_w8a8"
    prefix: str | None = None
    """What files and functions begin with; by default the model's name."""
    cores: tuple[str, ...] = packaging.CORES
    """Cores for which the README states flash, RAM, stack and instructions."""

    def __post_init__(self) -> None:
        for core in self.cores:
            if core not in CORES:
                raise ValueError(f"no {core!r} in cores; {suggest(core, list(CORES))}")

    @property
    def label(self) -> str:
        """The scheme."""
        return self.scheme

    @property
    def name(self) -> str:
        """The folder: `static_w8a8_c`."""
        return f"{'original_' if self.of == 'original' else ''}{self.label}_c"

    @property
    def source(self) -> Export:
        """The int8 .tflite."""
        return Tflite(scheme=self.scheme, of=self.of)

    def run(self, model: Path, out: Path, context: Context) -> Outcome:
        """Raises ModelError where an operator has no kernel, and where the C answers otherwise than the .tflite."""
        assert context.source is not None
        with written(out) as scratch:
            job = packaging.Job(context.source, scratch, self.prefix or context.original.stem, self.cores)
            found = packaging.package(job, context.progress)
        used = {"comparison": found.compared} if found.compared else {}
        return Outcome(tuple(Note(self.name, reason) for reason in found.unmeasured), used, {"package": msgspec.to_builtins(found)})
