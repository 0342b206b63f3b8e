"""A sample of the training data for criteria that look at activations and gradients."""

from __future__ import annotations

import numpy as np

from toolchain import losses
from toolchain.channels import ChannelGraph
from toolchain.channels.criteria import Evidence
from toolchain.data import Array, Dataset, Split, balanced_sample
from toolchain.optional import require


def sample(data: Dataset, split: Split, count: int, seed: int) -> tuple[Array, Array | None]:
    """Up to `count` scaled inputs of a split, the same number from each class, and their labels (None: there are none)."""
    x, y = data.raw(split)
    chosen = balanced_sample(len(x), y, min(count, len(x)), seed)
    return data.inputs(split, chosen), None if y is None else np.asarray(y[chosen])


def gather(graph: ChannelGraph, data: Dataset, count: int, seed: int) -> Evidence:
    """What `count` training examples show of a model with one input. Raises StageError for a model with several outputs."""
    inputs, labels = sample(data, "train", count, seed)
    if labels is None:
        return Evidence(graph, inputs)
    loss = losses.label_loss(*losses.goal(graph.model, data))
    return Evidence(graph, inputs, require("tensorflow", "tf").constant(labels, "float32"), loss)
