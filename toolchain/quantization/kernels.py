"""The kernels that a converter quantizes, each as a matrix with one row for each scale.

Every algorithm about weights works on such rows `[C, n]`: C output channels with n weights each, whatever the layer is.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from toolchain.data import Array

OUTPUT_AXES: dict[str, tuple[int, ...]] = {
    "Conv1D": (2,),
    "Conv2D": (3,),
    "Conv3D": (4,),
    "DepthwiseConv1D": (1, 2),
    "DepthwiseConv2D": (2, 3),
    "Conv1DTranspose": (1,),
    "Conv2DTranspose": (2,),
    "Conv3DTranspose": (3,),
    "Dense": (1,),
}
"""Axes of the kernel, the layer's first weight, that count output channels (keras.io/api/layers: shapes of the kernels).

A depthwise convolution's channels are input channels times multiplier, in that order.
"""


class Kernel(msgspec.Struct, frozen=True):
    """The kernel of one layer, and its bias where it has one."""

    layer: Any
    axes: tuple[int, ...]

    @property
    def rows(self) -> Array:
        """The weights `[C, n]` in float32, a copy."""
        return self.as_rows(np.asarray(self.layer.get_weights()[0], np.float32))

    def as_rows(self, value: Array) -> Array:
        """An array in the kernel's own shape as `[C, n]`, a copy."""
        return np.array(np.moveaxis(value, self.axes, range(len(self.axes))).reshape(self.channels, -1))

    def shaped(self, rows: Array) -> Array:
        """Rows `[C, n]` in the kernel's own shape."""
        shape = tuple(self.layer.weights[0].shape)
        moved = [shape[axis] for axis in self.axes] + [size for axis, size in enumerate(shape) if axis not in self.axes]
        return np.ascontiguousarray(np.moveaxis(rows.reshape(moved), range(len(self.axes)), self.axes))

    @property
    def channels(self) -> int:
        """C, the number of output channels."""
        return int(np.prod([self.layer.weights[0].shape[axis] for axis in self.axes]))

    @property
    def bias(self) -> Array | None:
        """The bias `[C]`, a copy; None where the layer has none."""
        return np.array(self.layer.get_weights()[1]) if self.layer.use_bias else None

    def assign(self, rows: Array, bias: Array | None = None) -> None:
        """Write weights `[C, n]` back into the layer, and a bias `[C]` where one is given."""
        rest = self.layer.get_weights()[1:] if bias is None else [bias]
        self.layer.set_weights([np.asarray(self.shaped(rows), np.float32), *rest])
