"""Spread the ranges of channels on purpose, as training sometimes does: the float function stays, int8 fails."""

from __future__ import annotations

from typing import Any

import numpy as np

from toolchain.quantization.equalization import scale_channels
from toolchain.quantization.scaling import ScaleGraph


def spread(model: Any, seed: int, octaves: float) -> None:
    """Make every channel that can be scaled up to 2^octaves larger or smaller where it is made, and undo it where it is read.

    Changes the model's weights. Powers of two, so that float outputs stay as they are. Channels that an activation clips stay.
    """
    graph = ScaleGraph(model)
    powers = np.random.default_rng(seed).uniform(-octaves, octaves, len(graph.root)).round()
    powers[0] = 0
    for labels, _ in graph.clips:
        powers[graph.root[labels]] = 0
    scale_channels(graph, np.exp2(powers)[graph.root])
