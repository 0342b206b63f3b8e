"""Batch normalization in short runs: its averages must describe the network as it is now, not as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from toolchain.data import Array


@contextlib.contextmanager
def settling(model: Any, steps: int) -> Iterator[None]:
    """Lower BatchNormalization's momentum so that its averages span a tenth of a training run; restored afterwards.

    The default of 0.99 forgets over hundreds of steps: after a short fine-tune the averages still describe the old
    network and accuracy collapses.
    """
    with _momentum(model) as layers:
        for layer, usual in layers:
            layer.momentum = min(usual, max(0.5, 1 - 10 / steps))
        yield


def recalibrate(model: Any, inputs: Array, batch_size: int = 128) -> None:
    """Replace BatchNormalization's averages by those over `inputs` `[N, ...]`; nothing else changes.

    Removed channels shift what arrives at every later layer (Li et al. 2020, EagleEye, section 3.3).
    """
    keep = {id(variable) for layer, _ in _layers(model) for variable in (layer.moving_mean, layer.moving_variance)}
    others = [(variable, variable.numpy()) for variable in model.non_trainable_variables if id(variable) not in keep]
    with _momentum(model) as layers:
        for seen, start in enumerate(range(0, len(inputs), batch_size)):
            for layer, _ in layers:
                layer.momentum = seen / (seen + 1)
            model(inputs[start : start + batch_size], training=True)
    for variable, value in others:
        variable.assign(value)


@contextlib.contextmanager
def _momentum(model: Any) -> Iterator[list[tuple[Any, float]]]:
    """BatchNormalization layers with their momentum, which is put back."""
    layers = _layers(model)
    try:
        yield layers
    finally:
        for layer, momentum in layers:
            layer.momentum = momentum


def _layers(model: Any) -> list[tuple[Any, float]]:
    return [(layer, layer.momentum) for layer in model._flatten_layers() if type(layer).__name__ == "BatchNormalization"]
