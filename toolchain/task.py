"""What a model is asked to do, told from its outputs and the labels; it decides the loss and the metric."""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from toolchain.data import Array
from toolchain.errors import DataError


class Task(StrEnum):
    """Kinds of work that can be scored."""

    CLASSIFICATION = "classification"
    BINARY = "binary"
    REGRESSION = "regression"


def infer(outputs: Array, labels: Array) -> Task:
    """Classes for whole-numbered labels `[N]`, otherwise values of the outputs' shape. Raises DataError when neither fits."""
    width = int(np.prod(outputs.shape[1:]))
    if labels.ndim == 1 and width > 1 and outputs.ndim == 2 and (labels == labels.astype(np.int64)).all():
        return Task.CLASSIFICATION
    if labels.ndim == 1 and width == 1 and labels.dtype.kind in "iub" and set(np.unique(labels)) <= {0, 1}:
        return Task.BINARY
    if int(np.prod(labels.shape[1:])) == int(np.prod(outputs.shape[1:])):
        return Task.REGRESSION
    raise DataError(f"labels {list(labels.shape[1:])} of {labels.dtype} do not fit outputs {list(outputs.shape[1:])}")


def are_probabilities(outputs: Array) -> bool:
    """Whether outputs are already squashed: rows that sum to 1, or single values within 0 and 1."""
    if outputs.min() < 0 or outputs.max() > 1:
        return False
    flat = outputs.reshape(len(outputs), -1)
    return flat.shape[1] == 1 or bool(np.abs(flat.sum(1) - 1).max() < 1e-2)
