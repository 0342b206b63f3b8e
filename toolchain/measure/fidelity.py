"""How far a file's outputs are from those of the model it came from."""

from __future__ import annotations

import msgspec
import numpy as np

from toolchain.data import Array
from toolchain.errors import ModelError
from toolchain.task import are_probabilities

FLOAT_TOLERANCE = 1e-3
"""Largest accepted difference of a float file, relative to the output's scale."""


class Fidelity(msgspec.Struct, frozen=True):
    """Differences of outputs `[N, ...]` over N examples."""

    max_error: float
    mean_error: float
    agreement: float | None
    """Share with the same answer; None where the model's outputs are no probabilities, whose largest is no answer."""
    examples: int


def compare(name: str, found: Array, expected: Array) -> Fidelity:
    """How far the outputs of the file `name` are off. Raises ModelError for outputs of another shape, and for NaN or infinite values."""
    if found.shape != expected.shape:
        raise ModelError(f"{name}: outputs have the shape {list(found.shape)} instead of {list(expected.shape)}")
    if not np.isfinite(found).all():
        raise ModelError(f"{name}: outputs are NaN or infinite")
    error = np.abs(found - expected)
    same = agreement(found, expected) if are_probabilities(expected) else None
    return Fidelity(float(error.max()), float(error.mean()), same, len(found))


def agreement(found: Array, expected: Array) -> float | None:
    """Share of examples with the same answer: the largest output, or the side of 0.5; None where there is no answer."""
    if found.ndim != 2:
        return None
    if found.shape[1] > 1:
        return float((found.argmax(1) == expected.argmax(1)).mean())
    if expected.min() < 0 or expected.max() > 1:
        return None
    return float(((found > 0.5) == (expected > 0.5)).mean())


def require_close(result: Fidelity, expected: Array, name: str) -> None:
    """Raise ModelError where a float file is not the model it claims to be."""
    scale = max(float(np.abs(expected).max()), 1e-6)
    if result.max_error > FLOAT_TOLERANCE * scale:
        raise ModelError(
            f"{name}: differs from its model by {result.max_error:.2e} at an output scale of {scale:.2e}; the converter broke it"
        )
