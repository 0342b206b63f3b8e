"""A file against its model, layer by layer, and the layer that lost the accuracy.

A layer's own error is exact, not guessed from how the error grows. With the model's values as inputs, `r` for its answer,
`real` for the operator in real numbers with the file's weights, and `file` for the operator as the file runs it:

    file(Q(x)) - r  =  [real(x) - r]  +  [file(Q(x)) - real(Q(x))]  +  [real(Q(x)) - real(x)]
                        weights           answer                        grids of the inputs

The last part belongs to the layers that made the inputs; the first two are the layer's own.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from toolchain.data import Array
from toolchain.errors import ModelError
from toolchain.fidelity.findings import Blame, LayerError, Own, Reason
from toolchain.fidelity.matching import Match
from toolchain.fidelity.noise import channel_sqnr_db, decibels, lower, sqnr_db
from toolchain.fidelity.reasons import explain, of_grid, saturated
from toolchain.fidelity.sites import INPUT, Site, Walk, on_grid

FIXED_GRIDS = ("SOFTMAX", "LOGISTIC", "TANH", "L2_NORMALIZATION", "Softmax", "Sigmoid", "Tanh")
"""Operators whose grid the TFLite quantization specification fixes: their small channels are small for everyone."""
STANDS_OUT = 8.0
"""dB by which the own SQNR of a layer to blame lies below that of the file's good layers, the upper quartile."""
GOOD = 30.0
"""dB that no layer is to blame for: 8 bits well used give 30 to 45."""
POOR = 12.0
"""dB that always stand out: the noise has a sixteenth of the signal's energy."""
JUMP = 3.0
"""dB by which the accumulated SQNR falls from the inputs of a layer to blame to its answer."""
ALIKE = 10.0
"""dB above the worst layer within which an earlier one is named in its place."""
EXACT = 60.0
"""dB from which on no layer is to blame for anything."""


def layer_errors(reference: Walk, walk: Walk, matches: Mapping[int, Match], names: Mapping[int, str]) -> tuple[list[LayerError], list[str]]:
    """Errors of every matched site in the order of the file, and why some have no error of their own."""
    rows, notes, levels = list[LayerError](), list[str](), dict[int, float | None]()
    for place, found in matches.items():
        site, origin = walk.sites[place], reference.sites[found.reference]
        signal = origin.values
        noise = found.to_reference(site.values, signal.shape) - signal
        name = names.get(found.reference, short(origin.name))
        own, reason, sources = None, None, tuple[int, ...]()
        if site.operator == INPUT:
            answer = on_grid(site, signal) - signal
            own = _own(site, signal, np.zeros_like(signal), answer, None)
            reason = None if own.sqnr_db is None else of_grid(signal, answer, site.grid)
        else:
            try:
                sources = walk.sources(place, matches)
                weights, answer, inputs = _parts(reference, walk, matches, place, sources)
            except ModelError as err:
                notes.append(f"{name}: its own error is unknown: {err}")
            else:
                own = _own(site, signal, weights, answer, inputs)
                reason = explain(signal, weights, answer, site.grid, site.stored)
        share = None if site.grid is None or site.operator in FIXED_GRIDS else saturated(signal, site.grid)
        channels = None if site.operator in FIXED_GRIDS else channel_sqnr_db(signal, noise)
        before = lower(*(levels.get(i) for i in sources))
        whole = sqnr_db(signal, noise)
        levels[place] = lower(whole, channels)
        rows.append(LayerError(name, site.operator, site.name, signal.shape[1:], whole, channels, before, own, share, reason))
    return rows, notes


def _parts(reference: Walk, walk: Walk, matches: Mapping[int, Match], place: int, sources: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """Noise of weights, answer and input grids, in the reference's layout. Raises ModelError."""
    site, found = walk.sites[place], matches[place]
    if not sources:
        raise ModelError("what it reads is not shown")
    exact = [matches[i].from_reference(reference.sites[matches[i].reference].values, walk.sites[i].values.shape) for i in sources]
    rounded = [on_grid(walk.sites[i], x) for i, x in zip(sources, exact, strict=True)]
    origin = reference.sites[found.reference]
    signal = origin.values
    try:
        reals = [_bounded(found.to_reference(walk.real(place, sources, x), signal.shape), signal, site, origin) for x in (exact, rounded)]
        answer = found.to_reference(walk.operate(place, sources, rounded), signal.shape)
    except ValueError as err:
        raise ModelError(str(err).strip().splitlines()[0][:160]) from None
    return reals[0] - signal, answer - reals[1], reals[1] - reals[0]


def _bounded(values: Array, signal: Array, site: Site, origin: Site) -> Array:
    """Without what the model's activation cuts off: converters leave a ReLU to the quantizer, whose grid then ends where it does."""
    if site.grid is None:
        return values
    low = 0.0 if site.grid.limits[0] >= 0 and signal.min() >= 0 else -np.inf
    return np.asarray(np.clip(values, low, np.inf if origin.ceiling is None else origin.ceiling))


def _own(site: Site, signal: Array, weights: Array, answer: Array, inputs: Array | None) -> Own:
    both = weights + answer
    channels = None if site.operator in FIXED_GRIDS else channel_sqnr_db(signal, both)
    others = (sqnr_db(signal, noise) if noise is not None else None for noise in (weights, answer, inputs))
    return Own(sqnr_db(signal, both), channels, *others)


def blame(layers: list[LayerError], missing: int = 0) -> Blame:
    """The first layer where the error jumps and whose own SQNR stands out; `docs/compare.md` has the rule.

    `missing` layers of the model have no tensor in the file.
    """
    if all(layer.operator == INPUT for layer in layers):
        return Blame(None, Reason("unknown", "no tensor of the file is one of the model's"))
    levels = [(layer, level) for layer in layers if (level := layer.level_db) is not None]
    if not levels or min(level for _, level in levels) >= EXACT:
        worst = min((level for _, level in levels), default=None)
        return Blame(None, Reason("none", f"no layer is off: {'exact' if worst is None else f'at least {worst:.1f} dB'} everywhere"))
    if (last := layers[-1].level_db) is None or last >= EXACT:
        why = f"the output is right ({decibels(last)}); layers within hold other values, as after equalize: compare with final.keras"
        return Blame(None, Reason("none", why))
    if missing > len(layers):
        why = f"{missing} layers of the model have no tensor here: channels were removed or scaled; compare with final.keras"
        return Blame(None, Reason("unknown", why))
    owns = [(layer, own) for layer in layers if (own := layer.own_db) is not None]
    if not owns:
        return Blame(None, Reason("unknown", "no layer could be run alone"))
    good = float(np.quantile([own for _, own in owns], 0.75))
    limit = max(min(good - STANDS_OUT, GOOD), POOR)
    suspects = [(layer, own) for layer, own in owns if own <= limit and _jumps(layer)]
    if not suspects:
        return Blame(None, _accumulated(levels, *min(owns, key=lambda pair: pair[1]), good))
    lowest = min(own for _, own in suspects)
    named = [(layer, own) for layer, own in suspects if own <= lowest + ALIKE]
    first, own = named[0]
    fall = "is" if first.operator == INPUT else f"falls from {decibels(first.before_db)} at its inputs to"
    assert first.reason is not None
    text = f"SQNR {fall} {decibels(first.level_db)}; alone it has {own:.1f} dB, good layers here {good:.1f} dB: {first.reason.text}"
    others = tuple(layer.name for layer, _ in suspects if layer is not first)
    return Blame(first.name, Reason(first.reason.kind, text, first.reason.channel), others)


def _jumps(layer: LayerError) -> bool:
    level = layer.level_db
    return level is not None and (layer.before_db is None or level <= layer.before_db - JUMP)


def _accumulated(levels: list[tuple[LayerError, float]], worst: LayerError, lowest: float, good: float) -> Reason:
    (first, start), (last, end) = levels[0], levels[-1]
    text = (
        f"accumulated noise: no layer stands out (alone, {worst.name} is lowest with {lowest:.1f} dB, good layers have {good:.1f} dB); "
        f"SQNR goes from {start:.1f} dB at {first.name} to {end:.1f} dB at {last.name}"
    )
    return Reason("accumulated", text)


def short(name: str) -> str:
    """The first of the names that a converter joined, without what it added: `model/conv1/BiasAdd`."""
    return name.partition(";")[0].removesuffix("/ReadVariableOp/resource")
