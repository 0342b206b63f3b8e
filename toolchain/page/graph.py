"""A model's graph beside its table of layers: operators from top to bottom as the file has them, connections that skip some in lanes.

The order of a .tflite is one in which it can be executed, so every connection points down. A connection to the next row
is a straight line; all others of one operator share a lane to the right, as `git log --graph` draws branches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from toolchain.fidelity.layers import GOOD, POOR
from toolchain.fidelity.noise import decibels
from toolchain.report import LayerReport

PITCH, HEIGHT, WIDTH = 26, 18, 168
"""From row to row, and the box of an operator, in CSS pixels."""
STEM, LEAVES, ENTERS = 12, 13, 2
"""Where lines meet a box: those to the next row from the left, lanes that begin and end there from the top."""
GAP, LANE, BEND = 14, 10, 4
"""From the boxes to the first lane, from lane to lane, and the radius of a bend."""
LETTERS = 23
"""Of a name in a box; the table has the whole name."""


class Lane(msgspec.Struct, frozen=True):
    """The connections from one row to rows beyond the next."""

    source: int
    column: int
    readers: tuple[int, ...]


class Box(msgspec.Struct, frozen=True):
    """An operator, or the model's inputs, for which `index` is -1."""

    index: int
    y: int
    label: str
    title: str
    filled: float
    """Width of the part that stands for its share of the MACs: the whole box for the operator with most."""
    state: str
    """`fair` or `poor` where quantization costs it much; otherwise empty."""


class Edge(msgspec.Struct, frozen=True):
    """A connection between two operators, by their places in the file."""

    source: int
    target: int
    path: str
    """Of SVG."""


class Graph(msgspec.Struct, frozen=True):
    """All that is drawn, with a border of one pixel for lines on the outermost edges."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]
    caption: str
    box_width: int = WIDTH
    box_height: int = HEIGHT


def lanes(reads: Sequence[Sequence[int]]) -> list[Lane]:
    """Lanes for `reads`, of every row the rows above that it reads: short ones innermost, no two overlapping in one column.

    A lane may begin in the row where another of its column ends. What is not above, no .tflite has, and no line leads to.
    """
    readers = dict[int, list[int]]()
    for row, sources in enumerate(reads):
        for source in sources:
            if source < row - 1:
                readers.setdefault(source, []).append(row)
    columns = list[list[Lane]]()
    for source, rows in sorted(readers.items(), key=lambda item: (item[1][-1] - item[0], item[0])):
        free = (all(one.readers[-1] <= source or rows[-1] <= one.source for one in column) for column in columns)
        place = next((column for column, fits in enumerate(free) if fits), len(columns))
        if place == len(columns):
            columns.append([])
        columns[place].append(Lane(source, place, tuple(rows)))
    return [lane for column in columns for lane in column]


def draw(layers: Sequence[LayerReport]) -> Graph | None:
    """The graph of a file; None where it is not known what its operators read.

    Operators that read nothing, because they only unpack weights, are left out.
    """
    shown = [layer for layer in layers if layer.reads]
    if not shown:
        return None
    rows = {index: row for row, index in enumerate([-1, *(layer.index for layer in shown)])}
    reads = [[], *([rows[i] for i in dict.fromkeys(layer.reads) if i in rows] for layer in shown)]
    most = max(layer.macs for layer in shown) or 1
    boxes = [Box(-1, 0, "input", "input of the model", 0.0, "")]
    boxes += [
        Box(layer.index, PITCH * rows[layer.index], _label(layer.name), _title(layer), round(WIDTH * layer.macs / most, 1), state(layer))
        for layer in shown
    ]
    found = lanes(reads)
    columns = 1 + max((lane.column for lane in found), default=-1)
    edges = _straight(reads) | _bent(found)
    places = list(rows)
    return Graph(
        WIDTH + (GAP + LANE * (columns - 1) if columns else 0) + 2,
        PITCH * len(rows) - (PITCH - HEIGHT) + 2,
        tuple(boxes),
        tuple(Edge(places[source], places[target], path) for (source, target), path in sorted(edges.items())),
        _caption(shown, len(layers) - len(shown)),
    )


def state(layer: LayerReport) -> str:
    """What the error of an operator alone means, by the limits of `secateur compare`."""
    own = layer.own_db
    return "" if own is None or own >= GOOD else "poor" if own < POOR else "fair"


def _straight(reads: Sequence[Sequence[int]]) -> dict[tuple[int, int], str]:
    """Lines to the next row."""
    return {
        (row - 1, row): f"M{STEM} {PITCH * row - (PITCH - HEIGHT)}V{PITCH * row}" for row, sources in enumerate(reads) if row - 1 in sources
    }


def _bent(found: Sequence[Lane]) -> dict[tuple[int, int], str]:
    """Lines through lanes. At a box that several lanes enter, the inner ones end higher, so that they are not crossed."""
    entering: Mapping[int, list[Lane]] = {
        row: sorted((lane for lane in found if row in lane.readers), key=lambda lane: lane.column)
        for row in {row for lane in found for row in lane.readers}
    }
    paths = {}
    for row, several in entering.items():
        step = min(3.0, (LEAVES - ENTERS - BEND) / len(several))
        for place, lane in enumerate(several):
            x, end = WIDTH + GAP + LANE * lane.column, PITCH * row + ENTERS + step * place
            paths[lane.source, row] = (
                f"M{WIDTH} {PITCH * lane.source + LEAVES}H{x - BEND}q{BEND} 0 {BEND} {BEND}V{end - BEND:g}q0 {BEND} -{BEND} {BEND}H{WIDTH}"
            )
    return paths


def _label(name: str) -> str:
    """The first of the layers in a name; the end of a long one tells more than its middle."""
    first = name.partition(" + ")[0]
    return first if len(first) <= LETTERS else f"{first[: LETTERS - 9]}…{first[-8:]}"


def _caption(shown: Sequence[LayerReport], unpacking: int) -> str:
    """What the drawing means; only what is in it."""
    framed = any(state(layer) for layer in shown)
    parts = ["Filled: MACs, next to the layer that has most."]
    parts += [f"Framed: its quantization alone leaves less than {GOOD:g} dB, in red less than {POOR:g} dB."] if framed else []
    parts += [f"Left out: {unpacking} that only unpack weights."] if unpacking else []
    return " ".join(parts)


def _title(layer: LayerReport) -> str:
    parts = [f"{layer.index} {layer.name}", layer.operator, " x ".join(map(str, layer.shape))]
    parts += [f"{layer.macs:,} MACs"] if layer.macs else []
    parts += [f"alone {decibels(layer.own_db)}"] if layer.own_db is not None else []
    return ", ".join(part for part in parts if part)
