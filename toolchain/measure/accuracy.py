"""Scores of a model's outputs, each with the interval that the number of test examples allows."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from toolchain.data import Array
from toolchain.task import Task, infer

Z95 = 1.959964
"""Two-sided 95 % quantile of the normal distribution."""


class Score(msgspec.Struct, frozen=True, omit_defaults=True):
    """One metric on one set of examples."""

    metric: str
    """top1, auc, or mean_absolute_error."""
    value: float
    interval: tuple[float, float] | None
    """95 % confidence interval; None for the error on a single example, which tells nothing about others."""
    examples: int
    others: dict[str, float] = {}
    """Further metrics on the same examples: top5, accuracy at 0.5, root mean squared error."""


def score(outputs: Array, labels: Array) -> Score:
    """The metric that the task asks for; `outputs` `[N, ...]`, `labels` `[N, ...]`. Raises DataError where they do not fit."""
    task = infer(outputs, labels)
    outputs = outputs.reshape(len(outputs), -1)
    if task is Task.CLASSIFICATION:
        hits = int((outputs.argmax(1) == labels).sum())
        others = {"top5": float((np.argsort(-outputs, 1)[:, :5] == labels[:, None]).any(1).mean())} if outputs.shape[1] > 5 else {}
        return Score("top1", hits / len(labels), wilson(hits, len(labels)), len(labels), others)
    if task is Task.BINARY:
        value = auc(outputs[:, 0], labels)
        middle = 0.5 if outputs.min() >= 0 and outputs.max() <= 1 else 0.0
        return Score(
            "auc", value, _auc_interval(value, labels), len(labels), {"accuracy": float(((outputs[:, 0] > middle) == labels).mean())}
        )
    errors = np.abs(outputs - labels.reshape(outputs.shape))
    each = errors.mean(1)
    mean, interval = float(each.mean()), None
    if len(each) > 1:
        half = Z95 * float(each.std(ddof=1)) / math.sqrt(len(each))
        interval = (mean - half, mean + half)
    return Score("mean_absolute_error", mean, interval, len(each), {"root_mean_squared_error": float(np.sqrt((errors**2).mean()))})


def quality(outputs: Array, labels: Array) -> float:
    """The score with its sign turned so that more is better."""
    found = score(outputs, labels)
    return -found.value if found.metric == "mean_absolute_error" else found.value


def wilson(hits: int, total: int) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927, equation for the score interval)."""
    share, z2 = hits / total, Z95**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = Z95 * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    return max(0.0, centre - half), min(1.0, centre + half)


def auc(scores: Array, labels: Array) -> float:
    """Area under the ROC curve as the Mann-Whitney statistic, ties counted half; NaN-free: 0.5 with one class only."""
    positive, negative = np.sort(scores[labels == 1]), np.sort(scores[labels != 1])
    if not len(positive) or not len(negative):
        return 0.5
    below = np.searchsorted(negative, positive, "left").sum() + np.searchsorted(negative, positive, "right").sum()
    return float(below / (2 * len(positive) * len(negative)))


def _auc_interval(area: float, labels: Array) -> tuple[float, float]:
    """Hanley & McNeil 1982, equations for Q1 and Q2."""
    positives, negatives = int((labels == 1).sum()), int((labels != 1).sum())
    if not positives or not negatives:
        return 0.0, 1.0
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + (positives - 1) * (q1 - area**2) + (negatives - 1) * (q2 - area**2)) / (positives * negatives)
    half = Z95 * math.sqrt(max(variance, 0.0))
    return max(0.0, area - half), min(1.0, area + half)
