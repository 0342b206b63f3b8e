"""Walk a model once: which channels hang together, which are frozen and why, and what each costs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from toolchain.channels.labels import FROZEN, Atoms, Labels, frozen
from toolchain.channels.nodes import functional, is_model, kind, leaves, nodes, shape_of
from toolchain.channels.probes import Rewrite, mixes, weightless
from toolchain.channels.rules import RULES, Role, Site, Slot
from toolchain.keras_models import keras_of

if TYPE_CHECKING:
    from toolchain.channels.criteria import Evidence
    from toolchain.channels.plan import Plan


class Group(msgspec.Struct, frozen=True):
    """Channels that compete with each other: those of layers that are coupled, such as the ends of a residual block."""

    name: str
    """The first layer that makes them."""
    layers: tuple[str, ...]
    classes: tuple[int, ...]
    """One number for each channel, or for each bundle of channels that must go together."""
    width: int
    """Channels in the widest of the layers."""


class Frozen(msgspec.Struct, frozen=True):
    """Channels that are never removed."""

    layer: str
    channels: int
    reason: str
    share_of_macs: float
    """Of the model's MACs, those that would go if these channels could all go."""


class Edit(msgspec.Struct, frozen=True):
    """A setting of a layer that counts channels: its place in the configuration."""

    path: tuple[str, ...]
    labels: Labels


class Work(msgspec.Struct, frozen=True):
    """Multiply-accumulates: `times` the product of the living channels of each label vector."""

    times: int
    factors: tuple[Labels, ...]


class ChannelGraph:
    """The channels of a functional or Sequential model of either Keras; the model is never changed.

    `inexact` lets channels go under LayerNormalization and GroupNormalization, whose statistics then change.
    Raises ModelError for a subclassed or unbuilt model.
    """

    def __init__(self, model: Any, *, inexact: bool = False) -> None:
        self.model, self.inexact, self.keras = model, inexact, keras_of(model)
        self.atoms = Atoms()
        self.slots: list[Slot] = []
        self.work: list[Work] = []
        self.edits: dict[int, list[Edit]] = defaultdict(list)
        self.rescales: list[tuple[Any, int, Labels]] = []
        self.rewrites: dict[int, Rewrite] = {}
        self.inner_inputs: dict[int, list[Labels]] = {}
        self._made: dict[tuple[int, tuple[str, ...]], Labels] = {}
        self._seen: dict[int, list[Labels]] = {}
        outputs = self._walk(model, [frozen(len(shape_of(t))) for t in functional(model).inputs])
        for labels in outputs:
            self.atoms.freeze(labels, "an output of the model")
        self.root = self.atoms.roots()

    # what rules and probes use

    def vector(self, labels: Labels, shape: tuple[int, ...], axis: int, site: Site) -> Labels:
        """Labels of one axis of an input, as a vector of its size."""
        return self.axis_vector(labels, shape, axis, f"{site.owner.name!r} reads positions that belong to different channels")

    def axis_vector(self, labels: Labels, shape: tuple[int, ...], axis: int, reason: str) -> Labels:
        """Labels of one axis; frozen where they vary along another."""
        if any(size > 1 for place, size in enumerate(labels.shape) if place != axis):
            self.atoms.freeze(labels, reason)
            return np.zeros(shape[axis], np.int64)
        return np.broadcast_to(labels.ravel(), (shape[axis],))

    def make(self, site: Site, path: tuple[str, ...], count: int, mixes_channels: Any = None) -> Labels:
        """Atoms for the channels a layer makes; the setting at `path` counts them. A shared layer makes them once."""
        key = (id(site.owner), (*site.path, *path))
        if key not in self._made:
            self._made[key] = self.atoms.new(count, site.owner.name)
            self.count(site, path, self._made[key])
            if mixes_channels is not None and mixes(mixes_channels):
                self.atoms.freeze(self._made[key], f"the activation of {site.owner.name!r} lets channels see each other")
        return self._made[key]

    def count(self, site: Site, path: tuple[str, ...], labels: Labels) -> None:
        """Say that the setting at `path` counts these channels; once for a shared layer."""
        if id(site.owner) not in self._seen:
            self.edits[id(site.owner)].append(Edit((*site.path, *path), labels))

    def slot(self, site: Site, weight: int, axis: int, labels: Labels, role: Role) -> None:
        """Say that an axis of a weight carries channels; once for a shared layer."""
        if id(site.owner) not in self._seen:
            self.slots.append(Slot(site.owner, site.first + weight, axis, labels, role))

    def rescale(self, site: Site, weight: int, labels: Labels) -> None:
        """Multiply a weight by sqrt(living / all) of these channels in the smaller model."""
        if id(site.owner) not in self._seen:
            self.rescales.append((site.owner, site.first + weight, labels))

    def macs(self, times: int, *factors: Labels) -> None:
        """Count multiply-accumulates, for every call of a shared layer."""
        self.work.append(Work(times, factors))

    def tie(self, vector: Labels, parts: int) -> None:
        """Let the channels at the same place in each of `parts` equal parts go together, so that parts stay equal."""
        whole = vector.reshape(parts, -1)
        self.atoms.unite(whole, whole[:1])

    def refuse(self, site: Site, ins: Sequence[Labels], reason: str) -> list[Labels]:
        """Freeze what goes into a layer that is not understood."""
        for labels in ins:
            self.atoms.freeze(labels, f"{kind(site.owner)} {site.owner.name!r}: {reason}")
        return [frozen(len(shape)) for shape in site.out_shapes]

    def canonical(self, labels: Labels) -> Labels:
        """Labels with each atom replaced by its class."""
        flat, back = np.unique(labels, return_inverse=True)
        return np.array([self.atoms.find(atom) for atom in flat.tolist()], np.int64)[back].reshape(labels.shape)

    # the walk

    def _walk(self, model: Any, inputs: list[Labels]) -> list[Labels]:
        graph = functional(model)
        if id(model) in self.inner_inputs:
            for before, now in zip(self.inner_inputs[id(model)], inputs, strict=True):
                self.atoms.unite(before, now)
        else:
            self.inner_inputs[id(model)] = inputs
        table = {id(tensor): labels for tensor, labels in zip(graph.inputs, inputs, strict=True)}
        for node in nodes(model):
            ins = [table[id(tensor)] for tensor in node.inputs]
            for tensor, labels in zip(node.outputs, self._follow(node, ins), strict=True):
                table[id(tensor)] = labels
        return [table[id(tensor)] for tensor in graph.outputs]

    def _follow(self, node: Any, ins: list[Labels]) -> list[Labels]:
        operation = node.operation
        if is_model(operation):
            return self._walk(operation, ins)
        if not getattr(operation, "weights", None):
            return weightless(self, node, ins)
        rule = RULES.get(kind(operation))
        site = Site(operation, operation, [shape_of(t) for t in node.inputs], [shape_of(t) for t in node.outputs])
        if rule is None or type(operation).__module__.partition(".")[0] not in ("keras", "tf_keras"):
            return self.refuse(site, ins, "no rule for this layer")
        for before, now in zip(self._seen.get(id(operation), ()), ins, strict=False):
            self.atoms.unite(before, now)
        outs = rule(self, site, ins)
        self._seen.setdefault(id(operation), ins)
        return outs

    # what came of it

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """Coupled channels that compete with each other."""
        parent: dict[Any, Any] = {}

        def find(item: Any) -> Any:
            while parent.setdefault(item, item) != item:
                item = parent[item]
            return item

        producers = [(slot, np.unique(self.root[slot.labels])) for slot in self.slots if slot.role == "out"]
        for slot, classes in producers:
            for number in classes[classes != FROZEN].tolist():
                parent[find(number)] = find((id(slot.layer), slot.weight, slot.axis))
        members: dict[Any, list[int]] = defaultdict(list)
        layers: dict[Any, list[str]] = defaultdict(list)
        widths: dict[Any, int] = defaultdict(int)
        for slot, classes in producers:
            living = classes[classes != FROZEN].tolist()
            if not living:
                continue
            group = find((id(slot.layer), slot.weight, slot.axis))
            members[group] += [number for number in living if number not in members[group]]
            if slot.layer.name not in layers[group]:
                layers[group].append(slot.layer.name)
            widths[group] = max(widths[group], int((self.root[slot.labels] != FROZEN).sum()))
        return tuple(Group(layers[g][0], tuple(layers[g]), tuple(sorted(members[g])), widths[g]) for g in members)

    @cached_property
    def frozen(self) -> tuple[Frozen, ...]:
        """Channels that stay whatever the plan, by the layer that makes them."""
        found: dict[tuple[str, str], list[int]] = defaultdict(list)
        for atom in np.flatnonzero(self.root == FROZEN).tolist()[1:]:
            found[self.atoms.makers[atom], self.atoms.reason(atom)].append(atom)
        total = self.count_macs(np.ones(len(self.root), bool))
        rows = []
        for (layer, reason), members in found.items():
            without = np.ones(len(self.root), bool)
            without[members] = False
            rows.append(Frozen(layer, len(members), reason, 1 - self.count_macs(without) / total if total else 0.0))
        return tuple(rows)

    def alive(self, dead: Sequence[int]) -> Any:
        """Over all atoms: True for those that stay when the classes `dead` go."""
        return ~np.isin(self.root, np.asarray(dead, np.int64))

    def count_macs(self, alive: Any) -> int:
        """Multiply-accumulates of one inference with these channels."""
        return sum(work.times * int(np.prod([int(alive[labels].sum()) for labels in work.factors])) for work in self.work)

    def count_params(self, alive: Any) -> int:
        """Weights of the model with these channels."""
        sizes = {(id(layer), i): list(w.shape) for layer in self.leaves() for i, w in enumerate(layer.weights)}
        for slot in self.slots:
            sizes[id(slot.layer), slot.weight][slot.axis] = int(alive[slot.labels].sum())
        return sum(int(np.prod(size)) for size in sizes.values())

    def leaves(self) -> tuple[Any, ...]:
        """Layers that are no models themselves, once each."""
        return leaves(self.model)

    def slots_of(self, layer: Any) -> tuple[Slot, ...]:
        """The slots of one layer's weights."""
        return self._slots_by_layer.get(id(layer), ())

    @cached_property
    def _slots_by_layer(self) -> dict[int, tuple[Slot, ...]]:
        found: dict[int, tuple[Slot, ...]] = {}
        for slot in self.slots:
            found[id(slot.layer)] = (*found.get(id(slot.layer), ()), slot)
        return found

    def plan(self, ratio: float | None = None, *, evidence: Evidence | None = None, **choice: Any) -> Plan:
        """Choose which channels go: `ratio` of them, or as many as `target` asks. Settings: `selection.Choice`.

        Raises StageError for a ratio or a target that cannot be met.
        """
        from toolchain.channels.plan import Plan
        from toolchain.channels.selection import Choice, choose

        return Plan(self, choose(self, Choice(ratio=ratio, **choice), evidence))
