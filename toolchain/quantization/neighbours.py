"""Which linear layers lie right before and after a place in a model, so that an affine map of channels can move into them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from toolchain.channels.nodes import Node, functional, is_model, kind, nodes
from toolchain.quantization import affine

COMMUTES = frozenset(
    ["Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianNoise", "GaussianDropout", "Identity"]
)
COMMUTES_BY_PREFIX = ("AveragePooling", "GlobalAveragePooling", "UpSampling", "Cropping")
"""Layers that an affine map of channels can be moved past, at inference: means of values of one channel, or the values."""


class Blocked(Exception):
    """Why an affine map cannot go to one side."""


class Neighbours:
    """The calls of one model around each of its tensors."""

    def __init__(self, model: Any, times: Counter[int]) -> None:
        """`times` counts the calls of each layer, by its id, over the model and all around it."""
        self.calls = list(nodes(model))
        self.times = times
        self.gone: set[int] = set()
        """Ids of layers that are looked through, because they will be left out."""
        self._outputs = {id(tensor) for tensor in functional(model).outputs}
        self._maker = {id(tensor): node for node in self.calls for tensor in node.outputs}
        self._readers: dict[int, list[Node]] = defaultdict(list)
        for node in self.calls:
            for tensor in node.inputs:
                self._readers[id(tensor)].append(node)

    def before(self, tensor: Any, axis: int) -> Any:
        """The linear layer without activation that makes a tensor which is read once. Raises Blocked."""
        ndim = len(tensor.shape)
        while True:
            maker = self._maker.get(id(tensor))
            if maker is None:
                raise Blocked("an input of the model comes before it")
            where = f"{described(maker)} before it"
            if len(self._readers[id(tensor)]) > 1 or id(tensor) in self._outputs:
                raise Blocked(f"{where} has other readers")
            if not self._passes(maker):
                break
            tensor = maker.inputs[0]
        layer = maker.operation
        self._require_linear(layer, axis, ndim, where)
        if getattr(layer.activation, "__name__", "linear") != "linear":
            raise Blocked(f"the {layer.activation.__name__} of {described(maker)} comes before it")
        return layer

    def after(self, tensor: Any, axis: int, *, shifts: bool) -> dict[int, Any]:
        """The linear layers that read a tensor, by id; `shifts` where the map moves zero. Raises Blocked."""
        if id(tensor) in self._outputs:
            raise Blocked("it makes an output of the model")
        found: dict[int, Any] = {}
        for reader in self._readers[id(tensor)]:
            where = f"{described(reader)} after it"
            if self._passes(reader):
                output = reader.outputs[0]
                found |= self.after(output, 1 if axis == 1 else len(output.shape) - 1, shifts=shifts)
                continue
            self._require_linear(reader.operation, axis, len(tensor.shape), where)
            if shifts and affine.pads(reader.operation):
                raise Blocked(f"{where} pads with zeros, which are not mapped")
            found[id(reader.operation)] = reader.operation
        return found

    def _require_linear(self, layer: Any, axis: int, ndim: int, where: str) -> None:
        if not affine.is_linear(layer):
            raise Blocked(f"{where} has no kernel to take it in")
        if self.times[id(layer)] > 1:
            raise Blocked(f"{where} is called more than once")
        if axis != (1 if getattr(layer, "data_format", None) == "channels_first" else ndim - 1):
            raise Blocked(f"{where} has its channels on another axis")

    def _passes(self, node: Node) -> bool:
        name = kind(node.operation)
        linear = name == "Activation" and getattr(node.operation.activation, "__name__", "") == "linear"
        return linear or name in COMMUTES or name.startswith(COMMUTES_BY_PREFIX) or id(node.operation) in self.gone


def neighbourhoods(model: Any) -> list[Neighbours]:
    """One for the model and one for each model inside it."""
    found = list(_parts(model))
    times = Counter(id(node.operation) for part in found for node in nodes(part))
    return [Neighbours(part, times) for part in found]


def _parts(model: Any) -> Iterator[Any]:
    seen, waiting = set(), [model]
    while waiting:
        part = waiting.pop()
        if id(part) not in seen:
            seen.add(id(part))
            yield part
            waiting += [node.operation for node in nodes(part) if is_model(node.operation)]


def described(node: Node) -> str:
    """A call as it is named in a reason."""
    return f"{kind(node.operation)} {node.operation.name!r}"
