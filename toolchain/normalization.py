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
    layers = _layers(model, "BatchNormalization")
    with _held(layers, "momentum"):
        for layer in layers:
            layer.momentum = min(layer.momentum, max(0.5, 1 - 10 / steps))
        yield


def recalibrate(model: Any, inputs: Array, batch_size: int = 128) -> None:
    """Replace BatchNormalization's averages by those over `inputs` `[N, ...]`, without dropout; nothing else changes.

    Removed channels shift what arrives at every later layer (Li et al. 2020, EagleEye, section 3.3). Frozen layers take part.
    """
    layers, dropouts = _layers(model, "BatchNormalization"), _layers(model, "Dropout")
    averages = {id(variable) for layer in layers for variable in (layer.moving_mean, layer.moving_variance)}
    others = [(variable, variable.numpy()) for variable in model.non_trainable_variables if id(variable) not in averages]
    with _held(layers, "momentum"), _held(layers, "trainable"), _held(dropouts, "rate"):
        for layer in layers:
            layer.trainable = True
        for layer in dropouts:
            layer.rate = 0.0
        for start in range(0, len(inputs), batch_size):
            batch = inputs[start : start + batch_size]
            for layer in layers:
                layer.momentum = start / (start + len(batch))
            model(batch, training=True)
    for variable, value in others:
        variable.assign(value)


@contextlib.contextmanager
def _held(layers: list[Any], setting: str) -> Iterator[None]:
    """A setting of each layer is afterwards as it was before."""
    before = [getattr(layer, setting) for layer in layers]
    try:
        yield
    finally:
        for layer, value in zip(layers, before, strict=True):
            setattr(layer, setting, value)


def _layers(model: Any, kind: str) -> list[Any]:
    return [layer for layer in model._flatten_layers() if kind in type(layer).__name__]
