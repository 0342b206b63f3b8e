"""Two files on the same inputs of one emulator: their answers, and layer by layer what each costs and how far it is off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from toolchain.data import Array
from toolchain.emulator import EmulatorResult, Layer, Trace


class Distance(msgspec.Struct, frozen=True):
    """How far real values are from others."""

    max_difference: float
    mean_difference: float
    sqnr_db: float | None
    """Signal to quantization noise: 10 log10(sum(a^2) / sum((a - b)^2)); None where nothing differs, and in JSON where `a` is 0."""
    cosine: float | None
    """Of the angle between both: sum(a b) / sqrt(sum(a^2) sum(b^2)); None where one of them is 0."""

    @classmethod
    def between(cls, first: Array, second: Array) -> Distance:
        """Of two arrays of one shape; `first` is the signal."""
        a, b = first.astype(np.float64), second.astype(np.float64)
        noise = float(((a - b) ** 2).sum())
        signal = float((a**2).sum())
        ratio = None if noise == 0 else 10 * float(np.log10(signal / noise)) if signal else float("-inf")
        lengths = float(np.sqrt(signal * (b**2).sum()))
        cosine = float((a * b).sum()) / lengths if lengths else None
        return cls(float(np.abs(a - b).max()), float(np.abs(a - b).mean()), ratio, cosine)


class LayerPair(msgspec.Struct, frozen=True):
    """One operator in both files."""

    first: Layer
    second: Layer
    distance: Distance | None
    """Of the values they computed; None where the shapes differ or the emulator does not show its layers."""


class Comparison(msgspec.Struct, frozen=True):
    """Two files on one emulator."""

    target: str
    emulator: str
    results: tuple[EmulatorResult, EmulatorResult]
    outputs: Distance | None
    """Of the first output over all examples; None where the emulator shows no values, or the shapes differ."""
    layers: tuple[LayerPair, ...]
    reason: str | None
    """Why layers are not set side by side."""


def compare(target: str, results: tuple[EmulatorResult, EmulatorResult], traces: tuple[Trace | None, Trace | None]) -> Comparison:
    """Set two results side by side, with the values of their layers where both were traced."""
    costs = [_layers(result) for result in results]
    values = tuple({} if trace is None else trace.layers for trace in traces)
    failed = next((result for result in results if result.status != "ok"), None)
    reason = f"{failed.status}: {failed.reason}" if failed else _not_aligned(*costs)
    pairs = [] if reason else [LayerPair(a, b, _distance(values, a.index, b.index)) for a, b in zip(*costs, strict=True)]
    outputs = None
    if traces[0] is not None and traces[1] is not None and traces[0].outputs.shape == traces[1].outputs.shape:
        outputs = Distance.between(traces[0].outputs, traces[1].outputs)
    return Comparison(target, results[0].emulator, results, outputs, tuple(pairs), reason)


def _layers(result: EmulatorResult) -> tuple[Layer, ...]:
    return result.instructions_per_layer or result.cycles_per_layer or result.ms_per_layer or ()


def _not_aligned(first: Sequence[Layer], second: Sequence[Layer]) -> str | None:
    if not first or not second:
        return "the emulator does not tell its layers apart"
    kinds = [[layer.operator for layer in layers] for layers in (first, second)]
    if kinds[0] != kinds[1]:
        return f"the files have different operators: {len(first)} and {len(second)}"
    return None


def _distance(values: tuple[dict[int, Any], ...], first: int, second: int) -> Distance | None:
    a, b = values[0].get(first), values[1].get(second)
    return None if a is None or b is None or a.shape != b.shape else Distance.between(a, b)
