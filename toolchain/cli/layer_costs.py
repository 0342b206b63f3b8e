"""Two files on a target, side by side: what `secateur compare --target` prints."""

from __future__ import annotations

from collections.abc import Sequence

from toolchain import target_rows
from toolchain.cli import display
from toolchain.comparison import Comparison, LayerPair
from toolchain.emulator import Layer


def show(found: Sequence[Comparison], names: tuple[str, str]) -> None:
    """Print one comparison after the other."""
    for comparison in found:
        _show(comparison, names)
    if not found:
        print("no emulator of the target takes both files")


def _show(found: Comparison, names: tuple[str, str]) -> None:
    print(f"{found.emulator} on {found.target}")
    for letter, name, result in zip("AB", names, found.results, strict=True):
        print(f"  {letter} {name}: {target_rows.findings(result)}")
    if found.outputs is not None:
        print(f"  outputs differ by at most {found.outputs.max_difference:.4g}, by {found.outputs.mean_difference:.4g} on average")
    if found.reason and all(result.status == "ok" for result in found.results):
        print(f"  layers: {found.reason}")
    if found.layers:
        unit = _cost(found.layers[0].first)[0]
        columns = ("layer", "operator", "MACs A", "MACs B", f"{unit} A", f"{unit} B", "B / A", "max difference", "SQNR dB")
        display.table("", columns, [_row(pair) for pair in found.layers])
    print()


def _cost(layer: Layer) -> tuple[str, float]:
    for name in ("instructions", "cycles", "ms"):
        if (value := getattr(layer, name)) is not None:
            return name, value
    return "", 0.0


def _row(pair: LayerPair) -> tuple[str, ...]:
    (_, before), (_, after) = _cost(pair.first), _cost(pair.second)
    distance = pair.distance
    return (
        str(pair.first.index),
        pair.first.operator,
        f"{pair.first.macs:,}",
        f"{pair.second.macs:,}",
        f"{before:,.6g}" if isinstance(before, float) else f"{before:,}",
        f"{after:,.6g}" if isinstance(after, float) else f"{after:,}",
        f"{after / before:.2f}" if before else "",
        "" if distance is None else f"{distance.max_difference:.4g}",
        "" if distance is None or distance.sqnr_db is None else f"{distance.sqnr_db:.1f}",
    )
