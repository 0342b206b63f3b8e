"""How much accuracy each group of channels is worth: what `secateur sensitivity --channels` measures.

Every group is pruned alone, at several ratios, without training; batch normalization is recalibrated. The validation
split judges, so that a choice made from the table leaves the test split unseen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from toolchain import keras_models
from toolchain.channels import ChannelGraph, Plan
from toolchain.channels.criteria import Scoring, scores
from toolchain.data import Array, Dataset
from toolchain.errors import StageError
from toolchain.evidence import gather, sample
from toolchain.files import digest
from toolchain.keras_function import of_keras
from toolchain.measure import accuracy
from toolchain.normalization import recalibrate
from toolchain.worker import Progress

BATCH = 256
EVIDENCE = 256
"""Training examples that the criterion sees and that batch normalization is recalibrated with."""


class Point(msgspec.Struct, frozen=True):
    """One group at one ratio."""

    ratio: float
    """Share of the group's channels that was to go; `kept` is what that left."""
    kept: int
    score: float
    macs: int
    """Multiply-accumulates of the whole model without these channels."""


class GroupSensitivity(msgspec.Struct, frozen=True):
    """A group of coupled channels, pruned alone."""

    name: str
    layers: tuple[str, ...]
    channels: int
    points: tuple[Point, ...]


class Sensitivity(msgspec.Struct, frozen=True):
    """A model's groups, judged on the same examples."""

    model: str
    digest: str
    """SHA-256 of the model's file: another model may have its name."""
    criterion: str
    metric: str
    score: float
    """Of the whole model."""
    macs: int
    examples: str
    groups: tuple[GroupSensitivity, ...]


class SensitivityJob(msgspec.Struct, frozen=True):
    """What to prune, by what, how far, and on how many examples to judge."""

    model: Path
    data: Dataset
    criterion: str
    ratios: tuple[float, ...]
    examples: int
    seed: int
    trust: bool


def of_channels(job: SensitivityJob, progress: Progress) -> Sensitivity:
    """Prune every group alone; runs in a child process. Raises ModelError, DataError; StageError without labels."""
    net = keras_models.load(job.model, trust=job.trust)
    function = of_keras(net, net.name, BATCH)
    job.data.check_inputs(function.input_shapes)
    if job.data.raw("train")[1] is None:
        raise StageError(f"{job.data.name} has no labels to judge by")
    graph = ChannelGraph(net)
    evidence = gather(graph, job.data, EVIDENCE, job.seed)
    importance = scores(graph, job.criterion, Scoring(), job.seed, evidence)
    seen, judges = sample(job.data, "train", EVIDENCE, job.seed)[0], sample(job.data, "validation", job.examples, job.seed)
    whole = _score(net, judges)
    total, rows = len(graph.groups) * len(job.ratios), list[GroupSensitivity]()
    for group in graph.groups:
        ordered, points = sorted(group.classes, key=importance.__getitem__), list[Point]()
        for ratio in job.ratios:
            progress(f"sensitivity: {group.name}", len(rows) * len(job.ratios) + len(points), total)
            gone = min(round(ratio * len(ordered)), len(ordered) - 1)
            plan = Plan(graph, ordered[:gone])
            pruned = plan.masked()
            recalibrate(pruned, seen)
            kept = round(group.width * (1 - gone / len(ordered)))
            points.append(Point(ratio, kept, _score(pruned, judges).value, plan.macs_after))
        rows.append(GroupSensitivity(group.name, group.layers, group.width, tuple(points)))
    used = job.data.describe("validation", len(judges[0]))
    return Sensitivity(
        job.model.name, digest(job.model), job.criterion, whole.metric, whole.value, Plan(graph, ()).macs_before, used, tuple(rows)
    )


def _score(net: Any, judges: tuple[Array, Array | None]) -> accuracy.Score:
    inputs, labels = judges
    assert labels is not None
    return accuracy.score(of_keras(net, net.name, BATCH).predict([inputs])[0], labels)
