"""Confusion matrices as charts: right answers in one colour, mistakes in another, whose shades span mistakes alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from toolchain.page.charts import COLOURS, WRONG, Chart, Spec, layered, parameter, rows
from toolchain.report import Answers

WRITTEN: Final = 12
"""Classes up to which there is room for a number in every cell."""


def charts(original: Answers, files: Sequence[tuple[str, Answers]], names: Sequence[str], chosen: str) -> Iterator[Chart]:
    """The original's matrix, and one that shows a chosen file; none where the counts were not kept."""
    if not files or len(original.confusion) != len(names):
        return
    most = max(_mistakes(answers) for answers in (original, *(answers for _, answers in files)))
    label = "Confusion matrix of the original: examples by their label, from top to bottom, and by the answer, from left to right."
    yield Chart("confusion-original", label, _matrix(label, [("", original)], names, None, most))
    label = "Confusion matrix of the chosen file: examples by their label, from top to bottom, and by the answer, from left to right."
    yield Chart("confusion-file", label, _matrix(label, files, names, chosen, most))


def _mistakes(answers: Answers) -> float:
    """The largest share of a class that one other class is answered for."""
    shares = (
        count / max(1, answers.support[label])
        for label, row in enumerate(answers.confusion)
        for answer, count in enumerate(row)
        if answer != label
    )
    return max(shares, default=0.0)


def _cells(key: str, answers: Answers, most: float) -> dict[str, Any]:
    """Cells with examples, as columns."""
    cells = [(label, answer, count) for label, row in enumerate(answers.confusion) for answer, count in enumerate(row) if count]
    shares = [count / max(1, answers.support[label]) for label, _, count in cells]
    return {
        "file": key,
        "label": [label for label, _, _ in cells],
        "answer": [answer for _, answer, _ in cells],
        "count": [count for _, _, count in cells],
        "shade": [
            round(0.1 + 0.5 * share if label == answer else 0.2 + 0.7 * share / (most or 1), 3)
            for (label, answer, _), share in zip(cells, shares, strict=True)
        ],
    }


def _matrix(label: str, files: Sequence[tuple[str, Answers]], names: Sequence[str], chosen: str | None, most: float) -> Spec:
    scale = {"domain": list(range(len(names))), "paddingInner": 0.06}
    axis = {"labelExpr": "names[datum.value]", "labelLimit": 80, "labelOverlap": True, "grid": False}
    across = {"field": "answer", "type": "nominal", "scale": scale, "axis": axis | {"title": "answer", "labelAngle": -90}}
    down = {"field": "label", "type": "nominal", "scale": scale, "axis": axis | {"title": "label"}}
    tip = "{title: names[datum.label], answer: names[datum.answer], examples: datum.count}"
    cell = {
        "mark": {"type": "rect", "tooltip": {"expr": tip}},
        "encoding": {
            "x": across,
            "y": down,
            "color": {"condition": {"test": "datum.label == datum.answer", "value": COLOURS[0]}, "value": WRONG},
            "opacity": {"field": "shade", "type": "quantitative", "scale": None},
        },
    }
    number = {
        "mark": {"type": "text", "fontSize": 11, "aria": False, "tooltip": {"expr": tip}},
        "encoding": {"x": across, "y": down, "text": {"field": "count", "type": "quantitative"}},
    }
    return layered(
        label,
        cell,
        *([number] if len(names) <= WRITTEN else []),
        height=320,
        params=[parameter("names", list(names)), *([] if chosen is None else [parameter("file", chosen)])],
        data=rows([_cells(key, answers, most) for key, answers in files]),
        transform=[*([] if chosen is None else [{"filter": "datum.file == file"}]), {"flatten": ["label", "answer", "count", "shade"]}],
    )
