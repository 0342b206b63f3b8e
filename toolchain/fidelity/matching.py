"""Which tensor of a file is which tensor of the model it came from.

Converters rename, fold, fuse and transpose. What is left is the order, the shape, often the name, and always the values:
the right tensor is the one that correlates best, because quantization noise does not correlate with anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np

from toolchain.data import Array
from toolchain.fidelity.sites import INPUT, MOVES, Site

REPEATS = (*MOVES, "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity")
"""Operators whose answer is their input in another shape, order or grid."""
CORRELATED = 0.8
"""Smallest correlation of two tensors that are taken for the same without a common name."""
SAMPLE = 20_000
"""Values of a tensor that are correlated, evenly spread."""


class Match(msgspec.Struct, frozen=True):
    """The reference of a site."""

    reference: int
    """Its place in the reference."""
    channels_first: bool = False
    """The site has the channels on axis 1, the reference on the last."""

    def to_reference(self, values: Array, shape: tuple[int, ...]) -> Array:
        """Values of the site in the reference's layout, whose shape is `shape`."""
        if not self.channels_first:
            return values.reshape(shape)
        return np.moveaxis(values.reshape(channels_first(shape)), 1, -1)

    def from_reference(self, values: Array, shape: tuple[int, ...]) -> Array:
        """Values of the reference in the site's layout, whose shape is `shape`."""
        return (np.moveaxis(values, -1, 1) if self.channels_first else values).reshape(shape)


def channels_first(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape with the last axis moved to axis 1."""
    return (shape[0], shape[-1], *shape[1:-1])


def match(reference: Sequence[Site], found: Sequence[Site], outputs: tuple[int, int]) -> dict[int, Match]:
    """The reference of the sites of a file, by their places; `outputs` are the places of both first outputs.

    Inputs and outputs belong together by their order; others by a name that both files have once, with the same shape;
    by their place where both files are the same list of operators and shapes; the rest by correlation, the best first
    and what a quantized file stores before what it computes in between, every tensor once. What only repeats its input
    has its input's reference where it has none of its own.
    """
    matched = _ends(reference, found, outputs)
    taken = {m.reference for m in matched.values()}
    names = [Counter(site.name for site in sites) for sites in (reference, found)]
    by_name = {site.name: place for place, site in enumerate(reference) if names[0][site.name] == 1}
    for place, site in enumerate(found):
        other = by_name.get(site.name)
        if place in matched or other is None or other in taken or names[1][site.name] > 1:
            continue
        if reference[other].values.shape == site.values.shape:
            matched[place] = Match(other)
            taken.add(other)
    _by_order(reference, found, matched, taken)
    _by_correlation(reference, found, matched, taken)
    for place, site in enumerate(found):
        if place not in matched and site.operator in REPEATS and site.inputs and site.inputs[0] in matched:
            repeated = _repeated(reference, site, matched[site.inputs[0]])
            matched |= {place: repeated} if repeated else {}
    for place in reversed(range(len(found))):  # a dense layer as a convolution: what the RESHAPE repeats is the model's tensor, too
        site = found[place]
        if place in matched and site.operator in REPEATS and site.inputs and site.inputs[0] not in matched:
            above = found[site.inputs[0]]
            if above.operator != INPUT and (layouts := _layouts(reference[matched[place].reference], above)):
                matched[site.inputs[0]] = Match(matched[place].reference, layouts[0])
    return dict(sorted(matched.items()))


def _by_order(reference: Sequence[Site], found: Sequence[Site], matched: dict[int, Match], taken: set[int]) -> None:
    lists = [[(place, site) for place, site in enumerate(sites) if site.operator not in REPEATS] for sites in (reference, found)]
    kinds = [[(site.operator, _squeezed(site.values.shape)) for _, site in sites] for sites in lists]
    if kinds[0] == kinds[1]:
        for (other, _), (place, _) in zip(*lists, strict=True):
            if place not in matched and other not in taken:
                matched[place] = Match(other)
                taken.add(other)


def _repeated(reference: Sequence[Site], site: Site, above: Match) -> Match | None:
    """The match of a site with its input's reference, in the layout that correlates better."""
    origin = reference[above.reference]
    if site.operator in MOVES:
        return above
    layouts = _layouts(origin, site) or ([False] if origin.values.size == site.values.size else [])
    best = max(layouts, key=lambda first: _score(origin, site, first), default=None)
    return None if best is None else Match(above.reference, best)


def _ends(reference: Sequence[Site], found: Sequence[Site], outputs: tuple[int, int]) -> dict[int, Match]:
    given = [[place for place, site in enumerate(sites) if site.operator == INPUT] for sites in (reference, found)]
    pairs = [*zip(*given, strict=False), outputs]
    matched = {}
    for other, place in pairs:
        layouts = _layouts(reference[other], found[place])
        if layouts:
            matched[place] = Match(other, max(layouts, key=lambda first: _score(reference[other], found[place], first)))
    return matched


def _by_correlation(reference: Sequence[Site], found: Sequence[Site], matched: dict[int, Match], taken: set[int]) -> None:
    candidates, quantized = [], any(site.grid is not None for site in found)
    for place, site in enumerate(found):
        for other, origin in enumerate(reference):
            if place in matched or other in taken or site.operator in (*MOVES, INPUT) or origin.operator == INPUT:
                continue
            for first in _layouts(origin, site):
                score = _score(origin, site, first)
                if score >= CORRELATED:
                    apart = abs(place / len(found) - other / len(reference))
                    within = quantized and site.grid is None
                    candidates.append((within, -round(score, 3), apart, place, other, first))
    for *_, place, other, first in sorted(candidates):
        if place not in matched and other not in taken:
            matched[place] = Match(other, first)
            taken.add(other)


def _layouts(reference: Site, site: Site) -> list[bool]:
    """Whether the site's shape can be the reference's, axes of one aside: as it is, and with the channels first."""
    mine, theirs = _squeezed(site.values.shape), reference.values.shape
    same = [False] if _squeezed(theirs) == mine else []
    return same + ([True] if len(theirs) > 2 and _squeezed(channels_first(theirs)) == mine and _squeezed(theirs) != mine else [])


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[0], *(size for size in shape[1:] if size != 1))


def _score(reference: Site, site: Site, first: bool) -> float:
    """Pearson's correlation of two tensors in one layout; 0 where one is constant or not finite."""
    a = reference.values
    b = Match(0, first).to_reference(site.values, a.shape)
    step = max(1, a.size // SAMPLE)
    x, y = (v.reshape(-1)[::step].astype(np.float64) for v in (a, b))
    if not (np.isfinite(x).all() and np.isfinite(y).all()) or x.std() == 0 or y.std() == 0:
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])


def unmatched(sites: Sequence[Site], used: set[int]) -> list[int]:
    """The places of sites that have no partner; moves and inputs are not worth a word."""
    return [place for place, site in enumerate(sites) if place not in used and site.operator not in (*MOVES, INPUT)]
