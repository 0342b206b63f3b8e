"""`secateur compare`: two files on the same inputs of a target, layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolchain.cli import options

if TYPE_CHECKING:
    from toolchain.comparison import Comparison, LayerPair
    from toolchain.emulator import Layer


def compare(
    first: Annotated[Path, typer.Argument(help="A .tflite or .onnx file: the one to compare with")],
    second: Annotated[Path, typer.Argument(help="Another file with the same inputs, such as a pruned one")],
    target: Annotated[list[str], typer.Option("--target", help="A device, by name or .toml file; may be repeated. See: secateur targets")],
    data: options.Data = None,
    scale: options.Scale = "1",
    offset: options.Offset = 0.0,
    time_limit: options.TimeLimit = 600,
    json: options.Json = False,
) -> None:
    """Run two files on the same inputs on every emulator of a target: what each layer costs, and how far its values are apart.

    \b
    secateur compare original_static_w8a8.tflite static_w8a8.tflite --target nucleo_l4r5zi
    secateur compare mine.tflite theirs.tflite --data test.npz --target pico --target stm32f746 --json
    """
    from toolchain.benchmark import compare as run
    from toolchain.cli import display

    with display.progress() as progress:
        found = run(first, second, target, data=data, scale=scale, offset=offset, limit_s=time_limit, progress=progress)
    if json:
        from toolchain.report import dumps

        print(dumps(found).decode(), end="")
        return
    for comparison in found:
        _show(comparison, (first.name, second.name))
    if not found:
        print("no emulator of the target takes both files")


def _show(found: Comparison, names: tuple[str, str]) -> None:
    from toolchain import target_rows
    from toolchain.cli import display

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
