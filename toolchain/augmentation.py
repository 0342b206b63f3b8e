"""Small random changes to images that do not change what they show: more to learn from than the files hold.

Every example's change is drawn once for each *copy* of the training set, so a copy can be made again: a teacher's answers
to it are asked for once, however many epochs follow.
"""

from __future__ import annotations

import msgspec
import numpy as np

from toolchain.data import Array
from toolchain.errors import StageError


class Changes(msgspec.Struct, frozen=True):
    """What happens to each of N images: whether it is mirrored, and by how many pixels it moves down and right."""

    mirrored: Array
    down: Array
    right: Array

    def apply(self, images: Array, indices: Array) -> Array:
        """The images `[n, height, width, channels]` with the given indices in the set; borders are filled by reflection."""
        height, width = images.shape[1:3]
        rows = _reflected(np.arange(height) - self.down[indices][:, None], height)
        columns = _reflected(np.arange(width) - self.right[indices][:, None], width)
        columns = np.where(self.mirrored[indices][:, None], columns[:, ::-1], columns)
        moved: Array = images[np.arange(len(images))[:, None, None], rows[:, :, None], columns[:, None, :]]
        return moved


def draw(shape: tuple[int, ...], *, flip: bool, shift: int, seed: int, copy: int) -> Changes | None:
    """The changes of one copy of a set of images of this shape `[N, height, width, channels]`; None where there are none.

    Random crops of a padded image and mirroring (Krizhevsky 2012, section 4.1). Raises StageError for what is no image.
    """
    if not flip and not shift:
        return None
    if len(shape) != 4:
        raise StageError(f"flip and shift are for images; the examples have the shape {list(shape[1:])}")
    if shift >= min(shape[1:3]):
        raise StageError(f"shift = {shift}: the images are only {shape[1]}x{shape[2]} pixels")
    rng = np.random.default_rng([seed, copy])
    moves = rng.integers(-shift, shift + 1, (2, shape[0]))
    return Changes(rng.random(shape[0]) < 0.5 * flip, *moves)


def _reflected(index: Array, size: int) -> Array:
    """Indices brought back into `[0, size)` by mirroring at the borders, which are not repeated."""
    folded: Array = size - 1 - np.abs(size - 1 - np.abs(index))
    return folded
