"""Plots as SVG, the same bytes for the same numbers. Vega-Lite draws them without a browser and without the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from toolchain.fidelity.noise import LOST

if TYPE_CHECKING:
    from toolchain.fidelity.findings import FileLayers, Ladder
    from toolchain.sensitivity import Sensitivity

Spec = dict[str, Any]

DASHES: Final = ([1, 0], [6, 3], [2, 3])
"""Of lines: ten colours, then the same ten dashed, then dotted."""


def sensitivity(found: Sensitivity) -> bytes:
    """The score against the share of channels removed, one line a group."""
    names = [f"{group.name} ({group.channels})" for group in found.groups]
    values = [
        {"group": name, "gone": gone, "score": score}
        for name, group in zip(names, found.groups, strict=True)
        for gone, score in [(0.0, found.score), *((point.ratio, point.score) for point in group.points)]
    ]
    across = _axis("gone", "share of the group's channels removed, each group alone, without training")
    up = _axis("score", f"{found.metric} on {found.examples}", scale={"zero": False})
    line = {
        "mark": {"type": "line", "point": {"size": 15}},
        "encoding": {"x": across, "y": up, **_lines("group", names, "group (channels)")},
    }
    return _svg(f"{found.model}: channels chosen by {found.criterion}", values, [line])


def error_along_depth(found: Ladder) -> bytes:
    """SQNR of every layer of every file, from the input to the output; the layer to blame is marked."""
    names = list(dict.fromkeys(layer.name for file in found.files for layer in file.layers))
    values = [value for file in found.files for value in _levels(file, names)]
    axis = {"title": None, "labelExpr": "names[datum.value]", "labelAngle": -90, "labelLimit": 220, "labelFontSize": 8}
    across = {"field": "place", "type": "ordinal", "scale": {"domain": list(range(len(names)))}, "axis": axis}
    up = _axis("level", "SQNR, dB", scale={"zero": False})
    lines = _lines("file", [file.file for file in found.files], None)
    place = {"x": across, "y": up}
    only: Spec = {"transform": [{"filter": "isValid(datum.blamed)"}]}
    colour = {"color": lines["color"]}
    layers: list[Spec] = [
        {"mark": {"type": "line", "point": {"size": 15}}, "encoding": place | lines},
        {**only, "mark": {"type": "point", "size": 140, "strokeWidth": 1.5}, "encoding": place | colour},
        {**only, "mark": {"type": "text", "align": "left", "dx": 6, "dy": 14, "fontSize": 9},
         "encoding": place | colour | {"text": {"field": "blamed", "type": "nominal"}}},
    ]  # fmt: skip
    title = f"Error along the depth against {found.model}; a higher line is closer, a circle is the layer to blame"
    return _svg(title, values, layers, [{"name": "names", "value": [name[-40:] for name in names]}])


def _levels(file: FileLayers, names: Sequence[str]) -> list[Spec]:
    """The layers whose error is known and not total."""
    known = [(layer.name, layer.level_db) for layer in file.layers if layer.level_db is not None]
    return [
        {"file": file.file, "place": names.index(name), "level": level,
         "blamed": file.blame.reason.kind if name == file.blame.layer else None}
        for name, level in known if level > LOST
    ]  # fmt: skip


def _axis(field: str, title: str, **more: Any) -> Spec:
    return {"field": field, "type": "quantitative", "axis": {"title": title}, **more}


def _lines(field: str, names: Sequence[str], title: str | None) -> Spec:
    """A colour for each name; with more than ten, dashes tell them apart."""
    domain = list(dict.fromkeys(names))
    dashes = [DASHES[place // 10 % len(DASHES)] for place in range(len(domain))]
    return {
        "color": {"field": field, "type": "nominal", "scale": {"domain": domain, "scheme": "tableau10"}, "legend": {"title": title}},
        "strokeDash": {"field": field, "type": "nominal", "scale": {"domain": domain, "range": dashes}, "legend": {"title": title}},
    }


def _svg(title: str, values: Sequence[Spec], layers: Sequence[Spec], params: Sequence[Spec] = ()) -> bytes:
    import vl_convert  # a JavaScript engine: only a plot needs it

    spec = {
        "title": {"text": title, "fontSize": 11, "fontWeight": "normal"},
        "width": 640,
        "height": 340,
        "params": list(params),
        "data": {"values": list(values)},
        "layer": list(layers),
        "config": {
            "legend": {"labelLimit": 220, "symbolLimit": 0, "symbolType": "stroke"},
            "axis": {"gridOpacity": 0.5},
            "view": {"stroke": "#ccc"},
        },
    }
    return str(vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])).encode()
