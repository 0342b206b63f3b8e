"""Channels that do not work: always 0, always the same, always at the end of what they can hold, or not finite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from toolchain.data import Array
from toolchain.fidelity.findings import Anomaly
from toolchain.fidelity.sites import INPUT, Site

BOUNDS = {"LOGISTIC": (0.0, 1.0), "Sigmoid": (0.0, 1.0), "TANH": (-1.0, 1.0), "Tanh": (-1.0, 1.0)}
"""Smallest and largest answers of activations."""
NEAR = 1e-6
"""A float activation this near its end is at the end."""


def anomalies(sites: list[Site], names: Mapping[int, str], channels_first: frozenset[int] = frozenset()) -> Iterator[Anomaly]:
    """What is wrong with the channels of each site, on its examples; a site's name by its place."""
    for place, site in enumerate(sites):
        if site.operator == INPUT or site.values.ndim < 2:
            continue
        values = np.moveaxis(site.values, 1, -1) if place in channels_first else site.values
        flat = values.reshape(-1, values.shape[-1])
        if len(flat) < 2:
            continue
        name = names.get(place, site.name)
        broken = ~np.isfinite(flat).all(axis=0)
        low, high = flat.min(axis=0), flat.max(axis=0)
        still = (low == high) & ~broken
        dead = still & (high == 0)
        full = _at_ends(site, low, high) & ~broken & ~dead
        for kind, which in (("not finite", broken), ("dead", dead), ("saturated", full), ("constant", still & ~dead & ~full)):
            if which.any():
                yield Anomaly(name, kind, tuple(int(i) for i in np.flatnonzero(which)), len(which))  # type: ignore[arg-type]


def _at_ends(site: Site, low: Array, high: Array) -> Array:
    """Channels that never leave an end of the activation or of the grid."""
    bottom, top = BOUNDS.get(site.operator, (-np.inf, site.ceiling if site.ceiling is not None else np.inf))
    found = (low >= top - NEAR) | (high <= bottom + NEAR)
    if site.grid is not None:
        start, end = site.grid.limits
        step = site.grid.scale / 2
        found |= (low >= end - step) | (high <= start + step)
    return np.asarray(found)
