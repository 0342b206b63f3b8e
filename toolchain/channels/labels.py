"""Labels say which channel a value belongs to; a union-find says which channels live and die together.

A layer that makes channels creates one *atom* for each. A tensor of shape `[batch, ...]` carries a *label array*: atom
numbers, broadcastable to its shape without the batch. Label 0 is frozen: it is never removed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
FROZEN = 0


class Atoms:
    """All channels of a model, united into classes. A class with a reason is frozen."""

    def __init__(self) -> None:
        self._parent = [FROZEN]
        self._reasons = {FROZEN: "it is combined with values whose channels are not followed"}
        self.makers = [""]
        """Name of the layer that made each atom."""

    def new(self, count: int, maker: str) -> Labels:
        """Fresh atoms for the channels that a layer makes."""
        first = len(self._parent)
        self._parent += range(first, first + count)
        self.makers += [maker] * count
        return np.arange(first, first + count)

    def find(self, atom: int) -> int:
        """The number of an atom's class; FROZEN for every frozen class."""
        root = self._root(atom)
        return FROZEN if root in self._reasons else root

    def reason(self, atom: int) -> str:
        """Why a frozen atom is frozen."""
        return self._reasons[self._root(atom)]

    def unite(self, first: Labels, second: Labels) -> None:
        """Let the channels of two label arrays, broadcast against each other, live and die together."""
        pairs = np.stack([part.ravel() for part in np.broadcast_arrays(first, second)])
        for one, other in np.unique(pairs, axis=1).T.tolist():
            low, high = sorted((self._root(one), self._root(other)))
            if low != high:
                self._parent[high] = low
                if high in self._reasons:
                    self._reasons.setdefault(low, self._reasons[high])

    def freeze(self, labels: Labels, reason: str) -> None:
        """Never remove these channels."""
        for atom in np.unique(labels).tolist():
            self._reasons.setdefault(self._root(atom), reason)

    def roots(self) -> Labels:
        """The class of every atom."""
        return np.array([self.find(atom) for atom in range(len(self._parent))])

    def _root(self, atom: int) -> int:
        while self._parent[atom] != atom:
            self._parent[atom] = self._parent[self._parent[atom]]
            atom = self._parent[atom]
        return atom


def squeezed(labels: Labels) -> Labels:
    """The same labels with axes along which they do not vary reduced to size 1."""
    for axis in range(labels.ndim):
        if labels.shape[axis] > 1 and (labels == np.take(labels, [0], axis)).all():
            labels = np.take(labels, [0], axis)
    return labels


def varying(labels: Labels) -> list[int]:
    """Axes along which labels vary."""
    return [axis for axis, size in enumerate(labels.shape) if size > 1]


def frozen(ndim: int) -> Labels:
    """Labels of a tensor whose channels are never removed."""
    return np.zeros((1,) * ndim, np.int64)


def spread(vector: Labels, ndim: int, axis: int) -> Labels:
    """A vector of channel labels as the label array of a tensor of `ndim` axes without the batch."""
    shape = [1] * ndim
    shape[axis] = -1
    return vector.reshape(shape)


def take(values: Any, axis: int, alive: Any) -> Any:
    """The slices of an array that stay."""
    return np.compress(alive, values, axis=axis)
