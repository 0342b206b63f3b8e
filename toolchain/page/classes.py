"""Answers class by class: what every class lost, which are mistaken for which, and the examples whose answer changed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from toolchain.measure.classwise import ClassChange, changes
from toolchain.page import confusion
from toolchain.page.charts import COLOURS, INK, WRONG, Chart, Choice, Spec, layered, parameter, rows
from toolchain.recommendation import recommend
from toolchain.report import PICTURE, Answers, Changed, Report

ALL: Final = 30
"""Classes up to which all are shown, in the matrices, too; of more, those with the worst changes."""
WORST: Final = 15


class Example(msgspec.Struct, frozen=True):
    """A test example that is answered otherwise; `picture` says whether the report has it as one."""

    index: int
    picture: bool
    label: str
    original: str
    answer: str
    kind: str
    """`lost`, `gained`, or `wrong` before and after."""


class FileClasses(NamedTuple):
    """One file against the original."""

    key: str
    name: str
    answers: Answers
    total: int
    changes: tuple[ClassChange, ...]
    """The worst first."""
    losses: tuple[str, ...]
    """Classes that lost more than chance explains, in words."""
    examples: tuple[Example, ...]


class Classes(NamedTuple):
    """The section."""

    choice: Choice
    change: Chart
    matrices: tuple[Chart, ...]
    """Of the original and of the chosen file; empty above ALL classes."""
    files: tuple[FileClasses, ...]
    names: tuple[str, ...]
    listed: tuple[int, ...]
    """Classes in the table."""
    left_out: int
    pictures: dict[str, str]


def classes(report: Report) -> Classes | None:
    """The section; None where answers are no classes, or nobody knows the original's."""
    original = report.model.answers
    if original is None:
        return None
    names = _names(report, len(original.support))
    pictures = {index: uri for index, uri in report.pictures.items() if index.isdecimal() and PICTURE.fullmatch(uri)}
    compared = [(row, row.answers, changes(original, row.answers)) for row in report.artifacts if row.answers]
    files = tuple(
        FileClasses(
            str(place), artifact.name, answers, sum(answers.support), tuple(sorted(found, key=lambda one: one.change)),
            tuple(_losses(found, names)), tuple(_examples(answers.changed, names, pictures)),
        )
        for place, (artifact, answers, found) in enumerate(one for one in compared if one[2])
    )  # fmt: skip
    if not files:
        return None
    shipped = [one.file for one in recommend(report)]
    first = next((file for name in shipped for file in files if file.name == name), files[0])
    by_class = {
        one.index: min(other.change for file in files for other in file.changes if other.index == one.index) for one in first.changes
    }
    listed = sorted(by_class) if len(by_class) <= ALL else sorted(sorted(by_class, key=by_class.__getitem__)[:WORST])
    label = (
        "Change of the share of right answers of every class against the original, with 95 % intervals; the table holds the same numbers."
    )
    shown = [file for file in files if len(file.answers.confusion) == len(names)]
    return Classes(
        choice=Choice("file", "file", [(file.key, file.name) for file in files], first.key),
        change=Chart("classes-change", label, _change(label, files, names, first.key)),
        matrices=tuple(confusion.charts(original, [(file.key, file.answers) for file in shown], names, first.key))
        if len(names) <= ALL
        else (),
        files=files,
        names=names,
        listed=tuple(listed),
        left_out=len(by_class) - len(listed),
        pictures=pictures,
    )


def _names(report: Report, count: int) -> tuple[str, ...]:
    """What the classes are called; by their numbers, from 0, where nobody knows."""
    known = report.data.labels if report.data else ()
    return known if len(known) == count else tuple(f"class {number}" for number in range(count))


def _losses(found: Sequence[ClassChange], names: Sequence[str]) -> Iterator[str]:
    for one in sorted(found, key=lambda one: one.change):
        if one.lost:
            low, high = sorted(abs(100 * limit) for limit in one.interval)
            counts = f"{one.before} of {one.support} right before, {one.after} now"
            yield f"{names[one.index]} lost {abs(100 * one.change):.1f} points (95 % interval {low:.1f} to {high:.1f}; {counts})"


def _examples(found: Sequence[Changed], names: Sequence[str], pictures: Collection[str]) -> Iterator[Example]:
    def name(index: int) -> str:
        return names[index] if 0 <= index < len(names) else str(index)

    for one in found:
        kind = "lost" if one.original == one.label else "gained" if one.answer == one.label else "wrong"
        yield Example(one.index, str(one.index) in pictures, name(one.label), name(one.original), name(one.answer), kind)


def _change(label: str, files: Sequence[FileClasses], names: Sequence[str], chosen: str) -> Spec:
    values = [
        {"file": file.key, "class": one.index, "points": 100 * one.change, "low": 100 * one.interval[0], "high": 100 * one.interval[1],
         "state": "lost" if one.lost else "gained" if one.gained else "neither",
         "tip": {"title": names[one.index], "right before": f"{one.before} of {one.support}", "right now": f"{one.after} of {one.support}",
                 "change": f"{100 * one.change:+.2f} points (95 % interval {100 * one.interval[0]:+.2f} to {100 * one.interval[1]:+.2f})"}}
        for file in files for one in (file.changes if len(names) <= ALL else file.changes[:WORST])
    ]  # fmt: skip
    height = 24 * max(len(file.changes) if len(names) <= ALL else WORST for file in files)
    row = {"field": "class", "type": "nominal", "sort": None,
           "axis": {"title": None, "labelExpr": "names[datum.value]", "labelLimit": 110, "grid": True}}  # fmt: skip
    across = {"field": "points", "type": "quantitative", "axis": {"title": "change of right answers, points", "tickCount": 6}}
    colour = {"field": "state", "type": "nominal", "legend": None,
              "scale": {"domain": ["lost", "neither", "gained"], "range": [WRONG, INK, COLOURS[0]]}}  # fmt: skip
    return layered(
        label,
        {"mark": {"type": "rule", "strokeDash": [3, 3], "aria": False}, "encoding": {"x": {"datum": 0, "type": "quantitative"}}},
        {"mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.6, "aria": False},
         "encoding": {"x": across | {"field": "low"}, "x2": {"field": "high"}, "y": row, "color": colour}},
        {"mark": {"type": "point", "filled": True, "size": 70, "opacity": 1, "tooltip": {"expr": "datum.tip"}},
         "encoding": {"x": across, "y": row, "color": colour, "description": {"field": "class", "type": "nominal"}}},
        height=height,
        params=[parameter("file", chosen), parameter("names", list(names))],
        data=rows(values),
        transform=[{"filter": "datum.file == file"}],
    )  # fmt: skip
