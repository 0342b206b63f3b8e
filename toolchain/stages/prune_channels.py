"""Remove channels, so that the network is smaller and faster everywhere; then train what is left.

Unlike zeros, removed channels need no special kernels. The graph of coupled channels, the criteria and the proof that
the smaller model is exact are in `toolchain/channels/`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from toolchain import keras_models, training
from toolchain.channels import ChannelGraph, Plan
from toolchain.channels.criteria import CRITERIA, Evidence, Scoring
from toolchain.channels.selection import COSTS
from toolchain.data import balanced_sample
from toolchain.finetuning import finetune
from toolchain.optional import require
from toolchain.stage import Context, Note, Outcome, Stage


class PruneChannels(Stage, frozen=True, tag="prune_channels", kw_only=True):
    """Remove the least important channels until `ratio` or `target` is met, in one or several steps, then fine-tune."""

    ratio: Annotated[float, msgspec.Meta(ge=0, lt=1)] | None = None
    """Share of the channels that go."""
    target: dict[str, float] = {}
    """What may be left: `{macs = 0.5}`, `{params = 0.5}` of the original, or an amount such as `{bytes = 60000}`."""
    criterion: str | None = None
    """One of the criteria; by default `contribution` with data and `l2` without."""
    scope: Literal["global", "layer"] = "global"
    """Rank all channels against each other, or take the same share of every group."""
    reduction: Literal["mean", "sum", "max"] = "mean"
    normalization: Literal["mean", "max", "none"] = "mean"
    floor: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.1
    """Share of every group that stays."""
    round_to: Annotated[int, msgspec.Meta(ge=1)] = 8
    """Widths are rounded up to a multiple of this: latency is a staircase."""
    keep: tuple[str, ...] = ()
    """Name patterns of layers that lose nothing."""
    inexact: bool = False
    """Also prune under LayerNormalization and GroupNormalization, which changes what is left."""
    steps: Annotated[int, msgspec.Meta(ge=1)] = 1
    """Remove in that many steps of equal MACs or channels, with fine-tuning between."""
    epochs: Annotated[int, msgspec.Meta(ge=0)] = 6
    """Fine-tuning after the last step; a tenth of it, at least one epoch, between steps."""
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 2e-3
    batch_size: Annotated[int, msgspec.Meta(ge=1)] = 64
    alpha: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    """Weight of the original model's outputs against the labels; 0 is plain training."""
    temperature: Annotated[float, msgspec.Meta(gt=0)] = 4.0
    budget_s: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """Stop fine-tuning after that many seconds; the best epoch so far is kept."""
    evidence: Annotated[int, msgspec.Meta(ge=1)] = 256
    """Training examples that criteria look at."""

    def __post_init__(self) -> None:
        if (self.ratio is None) == (not self.target):
            raise ValueError("give exactly one of ratio and target, for example target = {macs = 0.5}")
        if self.criterion is not None and self.criterion not in CRITERIA:
            raise ValueError(f"criterion = {self.criterion!r}: choose from {', '.join(CRITERIA)}")
        if self.target and (len(self.target) != 1 or not set(self.target) <= set(COSTS)):
            raise ValueError(f"target = {self.target}: give one of {', '.join(COSTS)}")

    def run(self, model: Path, out: Path, context: Context) -> Outcome:
        """Raises StageError where the target is out of reach, ModelError for a model without a graph."""
        net = keras_models.load(model, trust=context.trust)
        original = ChannelGraph(net, inexact=self.inexact)
        notes = [Note(f.layer, f"{f.channels} channels frozen ({f.share_of_macs:.1%} of MACs): {f.reason}") for f in original.frozen]
        labelled = context.data is not None and context.data.raw("train")[1] is not None
        if not labelled:
            notes.append(Note("training", "no labelled data was given: pruned without fine-tuning"))
        macs = original.count_macs(np.ones(len(original.root), bool))
        rows: dict[str, dict[str, int]] = {}
        for step in range(1, self.steps + 1):
            graph = ChannelGraph(net, inexact=self.inexact) if step > 1 else original
            plan = self._plan(graph, original, step, context)
            for change in plan.changes:
                rows.setdefault(change.name, {"before": change.before})["after"] = change.after
            net = plan.apply()
            if labelled and self.epochs:
                last = step == self.steps
                epochs = self.epochs if last else max(1, self.epochs // 10)
                schedule = training.Schedule(epochs, self.learning_rate, self.batch_size)
                finetune(net, context, schedule, f"prune_channels {step}/{self.steps}", self.alpha, self.temperature, self.budget_s)
        keras_models.save(net, out)
        left = ChannelGraph(net, inexact=self.inexact)
        details: dict[str, Any] = {"groups": rows, "macs": {"before": macs, "after": left.count_macs(np.ones(len(left.root), bool))}}
        return Outcome(tuple(notes), self._examples(context, labelled), details)

    def _plan(self, graph: ChannelGraph, original: ChannelGraph, step: int, context: Context) -> Plan:
        """The plan of one step, towards a share of the *original* model, so that rounding does not add up."""
        share = step / self.steps
        whole = {name: cost(original, np.ones(len(original.root), bool)) for name, cost in COSTS.items()}
        settings: dict[str, Any] = {
            "criterion": self.criterion, "scope": self.scope, "floor": self.floor, "round_to": self.round_to, "keep": self.keep,
            "scoring": Scoring(self.reduction, self.normalization), "seed": context.seed, "evidence": self._evidence(graph, context),
        }  # fmt: skip
        if self.target:
            ((name, limit),) = self.target.items()
            goal = limit * whole[name] if limit < 1 else limit
            return graph.plan(target={name: max(goal + (whole[name] - goal) * (1 - share), 1.0)}, **settings)
        assert self.ratio is not None
        before = sum(len(group.classes) for group in original.groups)
        now = sum(len(group.classes) for group in graph.groups)
        return graph.plan(max(0.0, 1 - (1 - self.ratio * share) * before / max(now, 1)), **settings)

    def _evidence(self, graph: ChannelGraph, context: Context) -> Evidence | None:
        if context.data is None or len(graph.model.inputs) != 1:
            return None
        x, y = context.data.raw("train")
        chosen = balanced_sample(len(x), y, min(self.evidence, len(x)), context.seed)
        inputs = context.data.inputs("train", chosen)
        if y is None:
            return Evidence(graph, inputs)
        task, probabilities = training.goal(graph.model, context.data)
        labels = require("tensorflow", "tf").constant(np.asarray(y[chosen], np.float32))
        return Evidence(graph, inputs, labels, training.label_loss(task, probabilities))

    def _examples(self, context: Context, labelled: bool) -> dict[str, str]:
        if context.data is None:
            return {}
        used = {"importance": context.data.describe("train", min(self.evidence, context.data.size("train")))}
        if labelled and self.epochs:
            used |= {"training": context.data.describe("train"), "choice of the epoch": context.data.describe("validation")}
        return used
