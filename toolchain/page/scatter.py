"""The chart of the Pareto fronts, of one run or of several: sizes or costs to the right, answers upwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from toolchain.page.charts import AXIS_NUMBERS, FEW_TICKS, INK, Spec, by_name, layered, parameter, rows

CROSS: Final = "M-1,-.75L-.75,-1L0,-.25L.75,-1L1,-.75L.25,0L1,.75L.75,1L0,.25L-.75,1L-1,.75L-.25,0Z"
"""Of SVG, in a square of two units; Vega's own cross is a plus."""
SHAPES: Final = {True: "circle", None: "diamond", False: CROSS}
"""Of a file that fits, of which that is not known, and that does not."""
ORDER: Final = ("out", "beaten", "front")
"""What does not fit, what another makes needless, and the rest; each is drawn over those before it."""


def mark(
    target: str, name: str, group: str, *, fits: bool | None, beaten: bool, y: float | None, interval: tuple[float, float] | None,
    size: float, tip: Mapping[str, str], numbers: Mapping[str, float],
) -> dict[str, Any]:  # fmt: skip
    """One file on one target. `numbers` are its places on the axes; `size` is from 0 to 1; `tip` is read by who points at it."""
    low, high = interval or (y, y)
    state = "out" if fits is False else "beaten" if beaten else "front"
    return {"target": target, "name": name, "group": group, "state": state, "shape": SHAPES[fits], "size": 60 + 400 * size,
            "y": y, "low": low, "high": high, "tip": dict(tip), **numbers}  # fmt: skip


def scatter(
    label: str,
    marks: Sequence[Mapping[str, Any]],
    metric: str | None,
    groups: Sequence[str],
    titles: Mapping[str, Mapping[str, str]],
    target: str,
) -> Spec:
    """Intervals below, marks above; the names of the front are placed by `charts.js`, which knows the room there is.

    `titles` are those of the axis to the right, by target and axis.
    """
    error = metric == "mean_absolute_error"
    behind = {"test": "datum.state != 'front'"}
    colour = {"condition": behind | {"value": INK}, **by_name("group", list(dict.fromkeys(groups)), title=None)}
    across = {"field": "x", "type": "quantitative", "scale": {"type": "log", "padding": 24, "nice": False},
              "axis": {"title": None, "labelExpr": AXIS_NUMBERS, **FEW_TICKS}}  # fmt: skip
    up = {"field": "y", "type": "quantitative", "scale": {"zero": False, "padding": 16, "reverse": error},
          "axis": {"title": f"{metric or 'agreement with the original'}{', lower is better' if error else ''}",
                   "format": ".3~g" if error else ".1%", "tickCount": 6}}  # fmt: skip
    faint = {"color": colour, "opacity": {"condition": behind | {"value": 0.12}, "value": 0.6}}
    first = next(iter(titles[target]))
    return layered(
        label,
        {"mark": {"type": "rule", "aria": False},
         "encoding": {"x": across, "y": up | {"field": "low"}, "y2": {"field": "high"}, **faint}},
        {"mark": {"type": "rule", "aria": False},
         "encoding": {"x": across | {"field": "left"}, "x2": {"field": "right"}, "y": up, **faint}},
        {"name": "files",
         "mark": {"type": "point", "filled": True, "tooltip": {"expr": "datum.tip"}, "cursor": "pointer"},
         "encoding": {"x": across, "y": up, "color": colour, "opacity": {"condition": behind | {"value": 0.35}, "value": 0.9},
                      "shape": {"field": "shape", "type": "nominal", "scale": None},
                      "size": {"field": "size", "type": "quantitative", "scale": None},
                      "description": {"field": "name", "type": "nominal"}}},
        height=340,
        params=[parameter("target", target), parameter("axis", first), parameter("titles", titles)],
        title={"text": {"expr": "titles[target][axis]"}, "orient": "bottom", "anchor": "middle", "offset": 8},
        data=rows(sorted(marks, key=lambda one: ORDER.index(one["state"]))),
        transform=[
            {"filter": "datum.target == target"},
            {"calculate": "datum[axis]", "as": "x"},
            {"filter": "datum.x > 0"},
            {"calculate": "datum[axis + '_low'] > 0 ? datum[axis + '_low'] : datum.x", "as": "left"},
            {"calculate": "datum[axis + '_high'] || datum.x", "as": "right"},
        ],
    )  # fmt: skip
