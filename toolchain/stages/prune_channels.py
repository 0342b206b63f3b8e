"""Remove channels, so that the network is smaller and faster everywhere; then train what is left.

Unlike zeros, removed channels need no special kernels. The graph of coupled channels, the criteria and the proof that
the smaller model is exact are in `toolchain/channels/`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from toolchain import keras_models
from toolchain import target as devices
from toolchain.channels import ChannelGraph, Plan
from toolchain.channels.budget import COSTS, Budget, OutOfReach, as_budget, macs, params, staircase, whole
from toolchain.channels.criteria import CRITERIA, Scoring
from toolchain.device import Speed
from toolchain.emulators.latency_model import LatencyModel
from toolchain.errors import StageError, TargetError
from toolchain.evidence import gather, sample
from toolchain.finetuning import Course, Recovery
from toolchain.latency import profile as profiles
from toolchain.latency.speed import speed_of
from toolchain.normalization import recalibrate
from toolchain.stage import Context, Note, Outcome


class PruneChannels(Recovery, frozen=True, tag="prune_channels", kw_only=True):
    """Remove the least important channels until `ratio` or `target` is met, in one or several steps, then fine-tune."""

    ratio: Annotated[float, msgspec.Meta(ge=0, lt=1)] | None = None
    """Share of the channels that go."""
    target: dict[str, float] = {}
    """What may be left: `{macs = 0.5}`, `{params = 0.5}` of the original, or an amount such as `{bytes = 60000}`."""
    device: str | None = None
    """The target, by name or .toml file, whose `[speed]` or first latency profile says what a layer costs: for `ms` and `round_to`."""
    criterion: str | None = None
    """One of the criteria; by default `contribution` with data and `l2` without."""
    scope: Literal["global", "layer"] = "global"
    """Rank all channels against each other, or take the same share of every group."""
    reduction: Literal["mean", "sum", "max"] = "mean"
    normalization: Literal["mean", "max", "none", "share"] | None = None
    """How scores of different groups are compared, see `Scoring`: by default `mean` with `ratio`; with `target` `share`, which
    alone is also divided by what a channel costs."""
    floor: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.1
    """Share of every group that stays."""
    round_to: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Widths are rounded up to a multiple of this, because latency is a staircase: the device's `channel_step`, or 8."""
    keep: tuple[str, ...] = ()
    """Name patterns of layers that lose nothing."""
    inexact: bool = False
    """Also prune under LayerNormalization and GroupNormalization, which changes what is left."""
    steps: Annotated[int, msgspec.Meta(ge=1)] = 1
    """Remove in that many steps of equal MACs or channels, with fine-tuning between."""
    rewind: str | None = None
    """A checkpoint from early in the original training, a path from the working directory; the channels that stay go back to
    its weights before the last fine-tuning (Frankle et al. 2020, Linear Mode Connectivity and the Lottery Ticket Hypothesis)."""
    epochs: Annotated[int, msgspec.Meta(ge=0)] = 6
    """Fine-tuning after the last step; a tenth of it, at least one epoch, between steps."""
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 2e-3
    alpha: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    evidence: Annotated[int, msgspec.Meta(ge=1)] = 256
    """Training examples that criteria look at and that batch normalization is recalibrated with."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.ratio is None) == (not self.target):
            raise ValueError("give exactly one of ratio and target, for example target = {macs = 0.5}")
        if self.criterion is not None and self.criterion not in CRITERIA:
            raise ValueError(f"criterion = {self.criterion!r}: choose from {', '.join(CRITERIA)}")
        if self.target and (len(self.target) != 1 or not set(self.target) <= {*COSTS, "ms"}):
            raise ValueError(f"target = {self.target}: give one of {', '.join(COSTS)}, ms")
        if any(limit <= 0 for limit in self.target.values()):
            raise ValueError(f"target = {self.target}: must be above 0")
        if "ms" in self.target and self.device is None:
            raise ValueError('target = {ms = ...} needs device = "...", the target that says what a layer costs')
        if self.rewind is not None and not self.epochs:
            raise ValueError("rewind with epochs = 0 would leave an untrained network")

    @property
    def files(self) -> tuple[Path, ...]:
        """The teachers, the checkpoint and the device's file."""
        device = () if self.device is None else (devices.path_of(self.device),)
        return (*super().files, *device, *(() if self.rewind is None else (Path(self.rewind),)))

    def run(self, model: Path, out: Path, context: Context) -> Outcome:
        """A target out of reach is met as far as it goes, with a note.

        Raises ModelError for a model without a graph; StageError, TargetError for a checkpoint, teacher or device that does
        not serve.
        """
        net = keras_models.load(model, trust=context.trust)
        original = ChannelGraph(net, inexact=self.inexact)
        notes = [Note(f.layer, f"{f.channels} channels frozen ({f.share_of_macs:.1%} of MACs): {f.reason}") for f in original.frozen]
        labelled = context.data is not None and context.data.raw("train")[1] is not None
        if not labelled:
            notes.append(
                Note("training", "no labelled data was given: pruned without fine-tuning" + (", not rewound" if self.rewind else ""))
            )
        early = self._early(net, context) if self.rewind and labelled else None
        course = Course(net, context, self) if labelled and self.epochs else None
        rows: dict[str, dict[str, Any]] = {}
        scores: list[float] = []
        for step in range(1, self.steps + 1):
            last = step == self.steps
            plan = self._plan(ChannelGraph(net, inexact=self.inexact), original, step, context, notes)
            for change in plan.changes:
                rows.setdefault(change.name, {"layers": change.layers, "before": change.before})["after"] = change.after
            net = plan.apply()
            if early is not None:
                early = Plan(ChannelGraph(early, inexact=self.inexact), plan.dead).apply()
                net = early if last else net
            if context.data is not None and len(net.inputs) == 1:
                recalibrate(net, sample(context.data, "train", self.evidence, context.seed)[0])
            if course is not None:
                scores = course.train(net, self.epochs if last else max(1, self.epochs // 10), f"prune_channels {step}/{self.steps}")
        keras_models.save(net, out)
        left = ChannelGraph(net, inexact=self.inexact)
        details: dict[str, Any] = {"groups": rows, "validation": scores}
        for name, cost in (("macs", macs), ("params", params)):
            details[name] = {"before": cost(original, whole(original)), "after": cost(left, whole(left))}
        return Outcome(tuple(notes), self._examples(context, labelled), details)

    def _speed(self) -> Speed | None:
        """What layers cost on the device. Raises TargetError where its file does not say."""
        if self.device is None:
            return None
        device = devices.load(self.device)
        if device.speed is not None:
            return device.speed
        profile = next((emulator.profile for emulator in device.emulators if isinstance(emulator, LatencyModel)), None)
        if profile is None:
            raise TargetError(
                f"{device.name} has neither a latency profile nor a [speed] table; add channel_step and macs_per_s to a copy of its .toml"
            )
        return speed_of(profiles.load(profile), device.device)

    def _early(self, net: Any, context: Context) -> Any:
        """The checkpoint to rewind to. Raises StageError where it is of another network."""
        early = keras_models.load(Path(str(self.rewind)), trust=context.trust)
        if [tuple(w.shape) for w in early.weights] != [tuple(w.shape) for w in net.weights] or type(early) is not type(net):
            raise StageError(f"rewind = {self.rewind}: its weights have other shapes than the model's; give an earlier checkpoint of it")
        return early

    def _plan(self, graph: ChannelGraph, original: ChannelGraph, step: int, context: Context, notes: list[Note]) -> Plan:
        """The plan of one step, towards a share of the *original* model, so that rounding does not add up."""
        share, speed, data = step / self.steps, self._speed(), context.data
        settings: dict[str, Any] = {
            "criterion": self.criterion,
            "scope": self.scope,
            "scoring": Scoring(self.reduction, self.normalization or ("share" if self.target else "mean")),
            "floor": self.floor,
            "round_to": self.round_to or (speed.channel_step if speed else 8),
            "keep": self.keep,
            "seed": context.seed,
            "sizes": {group.name: len(group.classes) for group in original.groups},
            "evidence": gather(graph, data, self.evidence, context.seed) if data and len(graph.model.inputs) == 1 else None,
        }
        if self.ratio is not None:
            return graph.plan(self.ratio * share, **settings)
        if speed is not None and "ms" in self.target:
            goal = Budget(self.target["ms"], staircase(speed.channel_step, speed.macs_per_s, speed.layer_s), "ms")
        else:
            goal = as_budget(original, self.target)
        full = goal.cost(original, whole(original))
        try:
            return graph.plan(target=msgspec.structs.replace(goal, limit=goal.limit + (full - goal.limit) * (1 - share)), **settings)
        except OutOfReach as err:
            notes.append(Note("target", f"{err}; pruned as far as that"))
            return graph.plan(target=err.nearest, **settings)

    def _examples(self, context: Context, labelled: bool) -> dict[str, str]:
        if context.data is None:
            return {}
        used = {"importance": context.data.describe("train", min(self.evidence, context.data.size("train")))}
        if labelled and self.epochs:
            used |= {"training": context.data.describe("train"), "choice of the epoch": context.data.describe("validation")}
        return used
