"""The ladder of files and engines, and the layer to blame in each: what `secateur compare` prints."""

from __future__ import annotations

from collections.abc import Sequence

from toolchain.cli import display
from toolchain.fidelity.findings import Anomaly, EngineDifference, FileLayers, Ladder, LayerError, Rung
from toolchain.ladder import Failure
from toolchain.report import percent

LISTED = 8
"""Names or channels in a line, at most; the rest is counted. JSON holds all."""


def show(found: Ladder) -> None:
    """Print everything but what is below a floor."""
    metric = next((rung.score.metric for rung in found.rungs if rung.score), "accuracy")
    columns = ("file", "scheme", "engine", "max error", "mean error", "SQNR dB", "cosine", "top-1 agreement", metric)
    display.table(f"against {found.model}, on {found.examples}", columns, [_rung(rung) for rung in found.rungs])
    for rung in found.rungs:
        if rung.reason:
            print(f"note: {rung.file} on {rung.engine}: {rung.reason}")
    for line in _engines(found.engines):
        print(line)
    _anomalies(found.anomalies, f"{found.model}: ")
    for note in found.notes:
        print(f"note: {found.model}: {note}")
    for file in found.files:
        _layers(file, {(a.where, a.kind, a.channels) for a in found.anomalies})


def below(rows: Sequence[Failure]) -> None:
    """Print what is below a floor."""
    if rows:
        listed = [(row.file, row.engine, row.measure, "" if row.found is None else f"{row.found:.6g}", f"{row.floor:g}") for row in rows]
        display.table("below the floor", ("file", "engine", "measure", "found", "floor"), listed)


def _rung(rung: Rung) -> tuple[str, ...]:
    distance, score = rung.distance, rung.score
    own = "" if score is None else percent(score.metric, score.value)
    if distance is None:
        return (rung.file, rung.scheme, rung.engine, "refused" if rung.reason else "", *[""] * 4, own)
    return (
        rung.file,
        rung.scheme,
        rung.engine,
        f"{distance.max_difference:.4g}",
        f"{distance.mean_difference:.4g}",
        "exact" if distance.max_difference == 0 else f"{distance.sqnr_db:.1f}",
        "" if distance.cosine is None else f"{distance.cosine:.6f}",
        "" if rung.agreement is None else f"{rung.agreement:.2%}",
        own,
    )


def _engines(rows: Sequence[EngineDifference]) -> list[str]:
    lines = []
    for row in rows:
        if not row.differing:
            what = "identical"
        else:
            most = f"{row.max_difference:.3g}" if row.max_steps is None else f"{row.max_steps} step{'s' if row.max_steps > 1 else ''}"
            what = f"{row.differing:,} of {row.values:,} values differ by at most {most}"
        lines.append(f"{row.file}: {row.first} and {row.second}: {what}")
    return lines


def _layers(file: FileLayers, known: set[tuple[str, str, tuple[int, ...]]]) -> None:
    blame = file.blame
    print(f"\n{file.file}: {f'{blame.layer}: {blame.reason.kind}: ' if blame.layer else ''}{blame.reason.text}")
    if blame.others:
        print(f"  these stand out, too: {_listed(blame.others)}")
    if file.layers:
        columns = ("layer", "operator", "SQNR dB", "median channel", "alone", "weights", "answer", "input grids", "beyond grid")
        display.table(f"layers, on {file.examples} examples, in dB", columns, [_layer(layer) for layer in file.layers])
    _anomalies([a for a in file.anomalies if (a.where, a.kind, a.channels) not in known], "  ")
    if file.unmatched:
        print(f"  layers of the model without a tensor here: {_listed(file.unmatched)}")
    if file.unknown:
        print(f"  tensors that are none of the model's: {_listed(file.unknown)}")
    for note in file.notes:
        print(f"  note: {note}")


def _layer(layer: LayerError) -> tuple[str, ...]:
    own = layer.own
    parts = ("", "", "", "")
    if own is not None:
        parts = (_db(layer.own_db), _db(own.weights_db), _db(own.output_db), _db(own.inputs_db))
    share = "" if layer.saturated is None else f"{layer.saturated:.2%}"
    channel = "" if layer.channel_sqnr_db is None and layer.sqnr_db is not None else _db(layer.channel_sqnr_db)
    return (layer.name, layer.operator, _db(layer.sqnr_db), channel, *parts, share)


def _db(value: float | None) -> str:
    return "exact" if value is None else f"{value:.1f}"


def _anomalies(found: Sequence[Anomaly], lead: str) -> None:
    for anomaly in found[:LISTED]:
        print(f"{lead}{_anomaly(anomaly)}")
    if len(found) > LISTED:
        print(f"{lead}{len(found) - LISTED} more layers with such channels; --json lists them")


def _anomaly(found: Anomaly) -> str:
    what = {"dead": "always 0", "constant": "always the same", "saturated": "always at an end", "not finite": "NaN or infinite"}[found.kind]
    return f"{found.where}: {len(found.channels)} of {found.of} channels {what}: {_listed([str(c) for c in found.channels])}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
