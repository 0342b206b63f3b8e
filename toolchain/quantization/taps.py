"""What flows between a model's layers on given inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from toolchain.channels.nodes import functional
from toolchain.data import Array
from toolchain.keras_models import keras_of

BATCH = 64


def tap(model: Any, tensors: Sequence[Any], inputs: Array, batch: int = BATCH) -> list[Array]:
    """Values `[N, ...]` of symbolic tensors of a model with one input, for inputs `[N, ...]`, in float32.

    `tensors` are those of the model's outermost graph; a model inside the model is one layer here.
    """
    if not tensors:
        return []
    watched = keras_of(model).Model(functional(model).inputs[0], list(tensors))
    parts = [
        [np.asarray(y, np.float32) for y in _listed(watched(inputs[i : i + batch], training=False))] for i in range(0, len(inputs), batch)
    ]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def _listed(outputs: Any) -> list[Any]:
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
