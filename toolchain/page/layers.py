"""The files of a report layer by layer: what each holds, computes, loses and costs, one table and one graph a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from toolchain.emulator import EmulatorResult
from toolchain.fidelity.layers import EXACT
from toolchain.fidelity.noise import LOST
from toolchain.page.graph import Graph, draw, state
from toolchain.recommendation import recommend
from toolchain.report import ArtifactReport, LayerReport, Report
from toolchain.target_rows import origin

ORIGINAL: Final = "original_"
"""What the names of files begin with that were exported from the model as it was before any stage."""


class Cell(msgspec.Struct, frozen=True):
    """A number in words. `value` sorts; None is not known or does not apply."""

    value: float | None = None
    text: str = ""
    small: str = ""
    bar: int | None = None
    """Length of a bar under the number, in percent."""
    state: str = ""
    """`fair`, `poor`, `worst`: what the bar's colour says; the worst of a column is also marked in words."""


class Column(msgspec.Struct, frozen=True):
    """One fact about every layer, in the order of the file."""

    title: str
    small: str
    cells: tuple[Cell, ...]


class Row(msgspec.Struct, frozen=True):
    """A layer: its name, its operator, and what that answers for one example."""

    index: int
    name: str
    operator: str
    shape: str
    cells: tuple[Cell, ...]


class LayerTable(msgspec.Struct, frozen=True):
    """One file."""

    id: str
    name: str
    chosen: bool
    """Shown first."""
    against: str | None
    """The file of the original with the same layers, with which numbers are compared."""
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    graph: Graph | None


def section(report: Report) -> tuple[LayerTable, ...]:
    """A table for every file whose layers are known; shown first is the first of the files that are recommended."""
    known = [artifact for artifact in report.artifacts if artifact.layers]
    shipped = [one.file for one in recommend(report)]
    first = next((row for name in shipped for row in known if row.name == name), known[0] if known else None)
    return tuple(_table(index, artifact, known, artifact is first) for index, artifact in enumerate(known))


def _table(index: int, artifact: ArtifactReport, files: Sequence[ArtifactReport], chosen: bool) -> LayerTable:
    original = _original(artifact, files)
    columns = tuple(_columns(artifact, original))
    return LayerTable(
        f"layers-{index}",
        artifact.name,
        chosen,
        original.name if original else None,
        columns,
        tuple(_row(layer, cells) for layer, cells in zip(artifact.layers, zip(*(c.cells for c in columns), strict=True), strict=True)),
        draw(artifact.layers),
    )


def _original(artifact: ArtifactReport, files: Sequence[ArtifactReport]) -> ArtifactReport | None:
    """The file of the original with the same operators, of the same scheme before others."""
    kinds = [layer.operator for layer in artifact.layers]
    alike = [one for one in files if one.name.startswith(ORIGINAL) and [layer.operator for layer in one.layers] == kinds]
    if artifact in alike:
        return None
    return min(alike, key=lambda one: one.scheme != artifact.scheme, default=None)


def _row(layer: LayerReport, cells: tuple[Cell, ...]) -> Row:
    return Row(layer.index, layer.name, layer.operator, " x ".join(map(str, layer.shape[1:])), cells)


def _columns(artifact: ArtifactReport, original: ArtifactReport | None) -> Iterator[Column]:
    layers = artifact.layers
    before = original.layers if original else (None,) * len(layers)
    pairs = list(zip(layers, before, strict=True))
    most = max(layer.macs for layer in layers) or 1
    yield Column("channels", "", tuple(_channels(layer) for layer in layers))
    parameters = (_number(layer.parameters or None, None if old is None else old.parameters) for layer, old in pairs)
    yield Column("parameters", "", tuple(parameters))
    yield Column("zeros", "", tuple(_zeros(layer) for layer in layers))
    macs = (_number(layer.macs or None, None if old is None else old.macs, bar=round(100 * layer.macs / most)) for layer, old in pairs)
    yield Column("MACs", "", tuple(macs))
    if any(layer.level_db is not None for layer in layers):
        yield Column("alone dB", "", _errors([layer.own_db for layer in layers], [state(layer) for layer in layers]))
        yield Column("accumulated dB", "", _errors([layer.level_db for layer in layers], [""] * len(layers)))
    earlier = {key: cost for key, _, cost in _costs(original)} if original else {}
    for key, result, cost in _costs(artifact):
        target, _, _, unit = key
        old = earlier.get(key, {})
        cells = tuple(_number(cost.get(layer.index), old.get(layer.index)) for layer in layers)
        yield Column(unit, f"{target}, {origin(result)}", cells)


def _costs(artifact: ArtifactReport) -> Iterator[tuple[tuple[str, str, str | None, str], EmulatorResult, Mapping[int, float]]]:
    """What every emulator of every target found about layers, by their places, under what makes two such findings comparable."""
    for on in artifact.targets:
        for result in on.results:
            for unit in ("instructions", "cycles", "ms"):
                if layers := getattr(result, f"{unit}_per_layer"):
                    costs = {layer.index: cost for layer in layers if (cost := getattr(layer, unit)) is not None}
                    yield (on.target, result.emulator, result.profile, unit), result, costs


def _number(value: float | None, before: float | None = None, bar: int | None = None) -> Cell:
    if value is None:
        return Cell()
    change = f"{value / before - 1:+.0%}" if before and value != before else ""
    return Cell(value, f"{value:,}" if isinstance(value, int) else f"{value:.3g}", change, bar)


def _channels(layer: LayerReport) -> Cell:
    if layer.channels is None:
        return Cell()
    same = layer.channels_before in (None, layer.channels)
    return Cell(layer.channels, f"{layer.channels:,}" if same else f"{layer.channels_before:,} → {layer.channels:,}")


def _zeros(layer: LayerReport) -> Cell:
    if not layer.parameters:
        return Cell()
    share = 1 - layer.nonzero_parameters / layer.parameters
    return Cell(share, f"{share:.1%}")


def _errors(levels: Sequence[float | None], states: Sequence[str]) -> tuple[Cell, ...]:
    """Decibels with a bar that is longer the worse they are: nothing from where no layer is to blame, all of it at none."""
    known = [level for level in levels if level is not None]
    worst = levels.index(min(known)) if known else None
    cells = []
    for place, (level, found) in enumerate(zip(levels, states, strict=True)):
        if level is None:
            cells.append(Cell())
            continue
        bar = round(100 * min(max(1 - level / EXACT, 0), 1))
        mark = "worst" if place == worst else ""
        cells.append(Cell(level, "lost" if level == LOST else f"{level:.1f}", mark, bar, f"{found} {mark}".strip()))
    return tuple(cells)
