"""A data set as its users hold it: three splits on disk, scaled batches on demand.

Arrays stay in the type they came in and are memory-mapped; a split is scaled batch by batch as it is read. The test
split is read by measurements only.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from toolchain.errors import DataError

Split = Literal["train", "validation", "test"]
Array = NDArray[Any]


class DataSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The `[data]` table of a recipe: what happens between the file and the model's input."""

    scale: float | str = 1.0
    """Factor on every input, as in keras.layers.Rescaling; a fraction is written "1/255"."""
    offset: float = 0.0
    """Added after `scale`."""
    calibration: Annotated[int, msgspec.Meta(ge=1)] = 200
    """How many training examples set the ranges of a static quantization."""
    synthetic: tuple[float, float] = (0.0, 1.0)
    """Range of the uniform random inputs that stand in for data where none is given."""

    def __post_init__(self) -> None:
        try:
            Fraction(self.scale)
        except (ValueError, ZeroDivisionError, OverflowError):
            raise ValueError(f'scale = {self.scale!r} is no number; write 0.0078 or "1/255"') from None
        if self.synthetic[0] >= self.synthetic[1]:
            raise ValueError(f"synthetic = {list(self.synthetic)}: the lower end comes first")

    @property
    def factor(self) -> float:
        """`scale` as a number."""
        return float(Fraction(self.scale))

    @classmethod
    def of(cls, scale: float | str, offset: float) -> DataSettings:
        """From values of a command line. Raises DataError."""
        try:
            return cls(scale=scale, offset=offset)
        except ValueError as err:
            raise DataError(str(err)) from None


class Dataset(msgspec.Struct, frozen=True, dict=True):
    """Three splits in a folder of .npy files that `data_sources` wrote."""

    name: str
    digest: str
    folder: Path
    settings: DataSettings = DataSettings()
    labels: tuple[str, ...] = ()
    """Names of the classes, where the source knows them."""

    def size(self, split: Split) -> int:
        """Number of examples."""
        return len(self.raw(split)[0])

    def raw(self, split: Split) -> tuple[Array, Array | None]:
        """Unscaled inputs `[N, ...]` and labels `[N, ...]` (None: the source has none), memory-mapped."""
        return self._arrays[split]

    @cached_property
    def _arrays(self) -> dict[str, tuple[Array, Array | None]]:
        def read(file: Path) -> Array | None:
            return np.load(file, mmap_mode="r", allow_pickle=False) if file.exists() else None

        splits = ("train", "validation", "test")
        return {s: (read(self.folder / f"x_{s}.npy"), read(self.folder / f"y_{s}.npy")) for s in splits}  # type: ignore[misc]

    def inputs(self, split: Split, indices: Array | slice = slice(None)) -> Array:
        """Scaled inputs; float32 for numbers, unchanged integers where there is nothing to scale."""
        return scaled(self.raw(split)[0][indices], self.settings)

    def calibration(self, seed: int) -> Array:
        """Indices of the training examples that calibrate, the same number from each class where labels are classes."""
        x, y = self.raw("train")
        return balanced_sample(len(x), y, min(self.settings.calibration, len(x)), seed)

    def describe(self, split: Split, count: int | None = None) -> str:
        """Which examples a step used, for the report: `200 of 3,600 in mnist_5k/train`."""
        size = self.size(split)
        return f"{size if count is None else count:,} of {size:,} in {self.name}/{split}"

    def check_inputs(self, shapes: Sequence[tuple[int, ...]]) -> None:
        """Raise DataError where an example is no input of a model that takes `[N, *shape]`."""
        if len(shapes) != 1:
            raise DataError(f"{self.name}: the model has {len(shapes)} inputs, a data set has one; run without --data")
        found = tuple(self.raw("test")[0].shape[1:])
        if found != shapes[0]:
            raise DataError(f"{self.name}: examples have the shape {list(found)}, the model takes {list(shapes[0])}")

    def check_labels(self, outputs: int) -> None:
        """Raise DataError where a class label lies beyond the model's outputs."""
        for split in ("train", "validation", "test"):
            y = self.raw(split)[1]
            if y is not None and y.dtype.kind in "iu" and y.ndim == 1 and len(y):
                low, top = int(y.min()), int(y.max())
                if outputs > 1 and (low < 0 or top >= outputs):
                    raise DataError(f"{self.name}: labels run from {low} to {top}, the model has {outputs} outputs")


def save_outputs(path: Path, outputs: Array, inputs: Sequence[Array]) -> None:
    """Write outputs `[N, ...]`, and the inputs that gave them where no data set holds them, for `np.load`."""
    named: dict[str, Any] = {f"input_{index}": x for index, x in enumerate(inputs)}
    np.savez(path, outputs=outputs, **named)


def scaled(x: Array, settings: DataSettings) -> Array:
    """`x * scale + offset` in float32; integers stay integers where that changes nothing (token ids)."""
    if settings.factor == 1.0 and settings.offset == 0.0 and x.dtype in (np.int32, np.int64):
        return np.asarray(x)
    return np.asarray(x, np.float32) * np.float32(settings.factor) + np.float32(settings.offset)


def balanced_sample(size: int, labels: Array | None, count: int, seed: int) -> Array:
    """`count` sorted indices out of `size`, drawn without replacement and spread evenly over integer classes."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(size)
    if labels is None or labels.ndim != 1 or labels.dtype.kind not in "iu":
        return np.sort(order[:count])
    shuffled = np.asarray(labels)[order]
    rank = np.empty(size, np.int64)
    for label in np.unique(shuffled):
        members = np.flatnonzero(shuffled == label)
        rank[members] = np.arange(len(members))
    return np.sort(order[np.argsort(rank, kind="stable")[:count]])
