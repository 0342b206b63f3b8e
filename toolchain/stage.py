"""What a stage and an export are: frozen settings that turn one model file into the next.

Nothing here loads a framework. A recipe is checked against these types; only `run`, called in a child process, imports
what it needs.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec

from toolchain.artifact import Format
from toolchain.data import Dataset
from toolchain.worker import Progress


class Note(msgspec.Struct, frozen=True):
    """Something that was skipped, frozen, refused, replaced or unavailable, and why."""

    what: str
    reason: str


class Outcome(msgspec.Struct, frozen=True):
    """What a stage or an export has to tell beside the file it wrote."""

    notes: tuple[Note, ...] = ()
    examples: dict[str, str] = {}
    """Which examples it used, by purpose: `{"training": "3,600 of mnist_5k/train"}`."""
    details: dict[str, Any] = {}


class Context(msgspec.Struct, frozen=True):
    """What a step may use beside its own settings and its input file."""

    original: Path
    """The model the run started from: teacher of a distillation, source of an export `of = "original"`."""
    source: Path | None
    """The file of the export that this one starts from."""
    data: Dataset | None
    synthetic: tuple[float, float]
    """Range of the uniform random inputs that stand in where there is no data."""
    seed: int
    trust: bool
    progress: Progress


class Stage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="use"):
    """Keras -> Keras. A recipe's stages form one line."""

    consumes: ClassVar[Format] = Format.KERAS
    produces: ClassVar[Format] = Format.KERAS

    @property
    def files(self) -> tuple[Path, ...]:
        """Files beside the model that the stage reads; their content is part of the cache's key."""
        return ()

    @abstractmethod
    def run(self, model: Path, out: Path, context: Context) -> Outcome:
        """Write the changed model to `out`; the caller's file stays as it is."""


class Export(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="use", kw_only=True):
    """Keras -> a deployable file. A recipe's exports fan out from the end of its stages."""

    produces: ClassVar[Format]

    scheme: str
    of: Literal["final", "original"] = "final"
    """Which model is exported: the last stage's, or the one the run started from (to compare with)."""

    @property
    @abstractmethod
    def label(self) -> str:
        """The scheme and what is special about it; names the file."""

    @property
    def source(self) -> Export | None:
        """Another export whose file this one starts from; its path is `context.source`."""
        return None

    @abstractmethod
    def run(self, model: Path, out: Path, context: Context) -> Outcome:
        """Write the file, load it again, and compare it with the model it came from."""

    @property
    def name(self) -> str:
        """The file's name, unique in a recipe: `static_w8a8.tflite`, `original_float32.onnx`."""
        prefix = "original_" if self.of == "original" else ""
        return f"{prefix}{self.label}.{self.produces.value}"
