"""What a file answers class by class, and which examples it answers otherwise than the original: a score can hide a lost class."""

from __future__ import annotations

import base64
from typing import Final

import numpy as np

from toolchain.data import Array
from toolchain.report import Answers, Changed
from toolchain.task import Task, infer

KEPT: Final = 24
"""Examples with another answer that are kept, those first that the original answers rightly."""
LARGEST_CONFUSION: Final = 100
"""Classes up to which the whole confusion matrix is kept."""


def answers(outputs: Array, labels: Array, original: Array) -> Answers | None:
    """Compare the answers in `outputs` `[N, ...]` with labels `[N]` and with the original's outputs; None where no class is the answer."""
    task = infer(outputs, labels)
    if task is Task.REGRESSION:
        return None
    found, before, wanted = _classes(outputs, task), _classes(original, task), np.asarray(labels, np.int64).reshape(-1)
    right, was_right = found == wanted, before == wanted
    count = max(2, int(np.prod(outputs.shape[1:])))
    confusion = np.zeros((count, count), np.int64)
    np.add.at(confusion, (wanted, found), 1)
    lost, gained = was_right & ~right, right & ~was_right
    other = np.flatnonzero(found != before)
    order = other[np.argsort(np.where(lost[other], 0, np.where(gained[other], 2, 1)), kind="stable")]
    return Answers(
        support=tuple(map(int, confusion.sum(1))),
        hits=tuple(map(int, confusion.diagonal())),
        confusion=tuple(tuple(map(int, row)) for row in confusion) if count <= LARGEST_CONFUSION else (),
        right=base64.b64encode(np.packbits(right).tobytes()).decode(),
        lost=int(lost.sum()),
        gained=int(gained.sum()),
        differing=len(other),
        changed=tuple(Changed(int(i), int(wanted[i]), int(before[i]), int(found[i])) for i in order[:KEPT]),
    )


def rights(given: Answers) -> Array:
    """Which examples were answered rightly: `[N]` of bool, in the order of the test split."""
    return np.unpackbits(np.frombuffer(base64.b64decode(given.right), np.uint8), count=sum(given.support)).astype(bool)


def _classes(outputs: Array, task: Task) -> Array:
    """The class that is answered: the largest output, or of one output its side of the middle, as `measure.accuracy` takes it."""
    flat = outputs.reshape(len(outputs), -1)
    if task is Task.CLASSIFICATION:
        return np.asarray(flat.argmax(1))
    middle = 0.5 if flat.min() >= 0 and flat.max() <= 1 else 0.0
    return (flat[:, 0] > middle).astype(np.int64)
