"""What `secateur sensitivity` measured, as curves: how much accuracy is left when one group of channels shrinks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from toolchain.page.charts import COLOURS, INK, Chart, Choice, Spec, layered, parameter, rows
from toolchain.report import percent

if TYPE_CHECKING:
    from toolchain.sensitivity import GroupSensitivity, Sensitivity

EVERY: Final = "-1"


class Curves(NamedTuple):
    """The section; `found` fills its table."""

    chart: Chart
    choice: Choice
    found: Sensitivity
    ratios: tuple[float, ...]


def sensitivity(found: Sensitivity | None) -> Curves | None:
    """The section; None where nothing was measured."""
    if found is None or not any(group.points for group in found.groups):
        return None
    order = sorted(range(len(found.groups)), key=lambda place: _worst(found, found.groups[place]), reverse=True)
    label = f"{found.metric} against the share of channels removed, one line a group; the table holds the same numbers."
    return Curves(
        chart=Chart("sensitivity-curves", label, _spec(label, found)),
        choice=Choice("group", "group", [(EVERY, "all"), *((str(place), found.groups[place].name) for place in order)], EVERY),
        found=found,
        ratios=tuple(dict.fromkeys(point.ratio for group in found.groups for point in group.points)),
    )


def _worst(found: Sensitivity, group: GroupSensitivity) -> float:
    """The largest change of the score, whichever way is worse."""
    return max((abs(found.score - point.score) for point in group.points), default=0.0)


def _spec(label: str, found: Sensitivity) -> Spec:
    error = found.metric == "mean_absolute_error"
    values = [_point(found, place, group, *point) for place, group in enumerate(found.groups) for point in _points(found, group)]
    chosen = f"(group == '{EVERY}' || datum.group == group)"
    across = {
        "field": "gone",
        "type": "quantitative",
        "axis": {"title": "share of the group's channels removed", "format": "~%", "tickCount": 6},
    }
    up = {"field": "score", "type": "quantitative", "scale": {"zero": False, "nice": False, "padding": 8, "reverse": error},
          "axis": {"title": found.metric, "format": ".3~g" if error else "~%", "tickCount": 6}}  # fmt: skip
    shared = {
        "x": across,
        "y": up,
        "detail": {"field": "group", "type": "nominal"},
        "color": {"condition": {"test": "datum.group == group", "value": COLOURS[1]}, "value": INK},
        "opacity": {"condition": {"test": chosen, "value": 0.7}, "value": 0.15},
    }
    return layered(
        label,
        {"mark": {"type": "line", "strokeWidth": 1.5, "aria": False}, "encoding": shared},
        {"mark": {"type": "point", "filled": True, "size": 45, "tooltip": {"expr": "datum.tip"}, "aria": False}, "encoding": shared},
        height=320,
        params=[parameter("group", EVERY)],
        data=rows(values),
    )


def _points(found: Sensitivity, group: GroupSensitivity) -> list[tuple[float, int, float, int]]:
    """Share gone, channels left, score and the model's MACs, from the whole group on."""
    return [(0.0, group.channels, found.score, found.macs), *((p.ratio, p.kept, p.score, p.macs) for p in group.points)]


def _point(found: Sensitivity, place: int, group: GroupSensitivity, gone: float, kept: int, score: float, macs: int) -> dict[str, Any]:
    told = {
        "title": f"{group.name}: {gone:.0%} gone",
        "channels": f"{kept} of {group.channels} left",
        found.metric: percent(found.metric, score),
        "change": percent(found.metric, score - found.score),
        "MACs of the model": f"{macs:,}",
    }
    return {"group": str(place), "gone": gone, "score": score, "tip": told}
