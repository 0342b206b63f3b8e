"""What the charts of a page have in common: a Vega-Lite specification, where it is drawn, and the colours.

A specification is a plain dict, drawn in the browser by `charts.js`. Texts and lines take the colour of the page's ink
(`currentColor`), so that a chart follows a change from light to dark without being drawn again. Names from models are data
of a chart and no part of an expression.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

Spec = dict[str, Any]

COLOURS: Final = ("#0b8a63", "#c8602a", "#3b7cc4", "#9a63c9", "#9b7d14", "#c94f7c", "#4a8791", "#7f7f2a")
"""Of categories; each has a contrast of 3 to 1 and more on white and on the page's dark paper (WCAG 2.2, criterion 1.4.11)."""
INK: Final = "currentColor"
WRONG: Final = COLOURS[1]
AXIS_NUMBERS: Final = "abs(datum.value) < 1000 ? format(datum.value, '~g') : format(datum.value, '~s')"
"""0.25, 12, 3.5k: labels of an axis with sizes, times or counts."""
FEW_TICKS: Final = {"tickCount": 6, "labelSeparation": 12}
"""A logarithmic axis labels as many of its lines as there is room for; without the distance they touch."""


class Chart(NamedTuple):
    """One drawing; `name` is its place in the page, `label` what those hear who do not see it."""

    name: str
    label: str
    spec: Spec


class Choice(NamedTuple):
    """A list to choose from. `signal` is the chart's parameter, and each option a value and what is read."""

    signal: str
    label: str
    options: Sequence[tuple[str, str]]
    chosen: str


def layered(label: str, *layers: Spec, **more: Any) -> Spec:
    """A specification as wide as its place in the page."""
    return {"description": label, "width": "container", "autosize": {"type": "fit-x", "contains": "padding"}, "layer": list(layers), **more}


def rows(values: Sequence[Any]) -> Spec:
    """Data that stand in the specification."""
    return {"values": list(values)}


def parameter(name: str, value: Any) -> Spec:
    """Something that the page changes."""
    return {"name": name, "value": value}


def by_name(field: str, names: Sequence[str], **more: Any) -> Spec:
    """Colours by a category, the same in every chart of these names."""
    palette = [COLOURS[index % len(COLOURS)] for index in range(len(names))]
    return {"field": field, "type": "nominal", "scale": {"domain": list(names), "range": palette}, **more}


def short(value: float) -> float:
    """Four digits: more cannot be seen and makes the page large."""
    return value if value == 0 or not math.isfinite(value) else round(value, 3 - math.floor(math.log10(abs(value))))
