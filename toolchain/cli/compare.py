"""`secateur compare`: files against the model they came from, or two files on a target, layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolchain.cli import options

if TYPE_CHECKING:
    from toolchain.worker import Progress

BELOW = 3
"""Exit status where a file is below a floor."""


def compare(
    model: Annotated[Path, typer.Argument(help="What to compare with: a Keras file, a SavedModel, a .tflite or an .onnx")],
    files: Annotated[list[Path], typer.Argument(help="Files that should compute the same: pruned or folded Keras, .tflite, .onnx")],
    target: options.Targets = None,
    data: options.Data = None,
    scale: options.Scale = "1",
    offset: options.Offset = 0.0,
    examples: Annotated[
        int, typer.Option(min=1, help="How many examples are run: of the test split, or of all where the data has no splits")
    ] = 200,
    seed: Annotated[int, typer.Option(help="Draws the examples")] = 0,
    fail_under: Annotated[
        list[str] | None, typer.Option(help="top1=0.99, sqnr=20, cosine=0.999 or accuracy=0.9: exit 3 below it; may be repeated")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Write the error along the depth to this .svg")] = None,
    trust: options.Trust = False,
    time_limit: options.TimeLimit = 600,
    json: options.Json = False,
) -> None:
    """Compare files with their model on every engine, and name the layer that lost the accuracy (docs/compare.md).

    With --target, two files on the same inputs on every emulator of a device: what each layer costs there. --examples,
    --seed and --trust have no part in that.

    \b
    secateur compare my.keras pruned.keras static_w8a8.tflite static_w8a8.onnx --data my.npz --plot error.svg
    secateur compare my.keras static_w8a8.tflite --data my.npz --fail-under top1=0.99 --fail-under sqnr=20
    secateur compare original_static_w8a8.tflite static_w8a8.tflite --target nucleo_l4r5zi
    """
    from toolchain.cli import display

    with display.progress() as progress:
        if target:
            if fail_under or plot:
                said = "--target shows costs; --fail-under and --plot belong to the comparison without it"
                raise typer.BadParameter(said, param_hint="compare")
            _on_targets(model, files, target, data, scale, offset, time_limit, json, progress)
            return
        if plot is not None and plot.suffix != ".svg":
            raise typer.BadParameter(f"{plot}: an .svg is written; name it so", param_hint="--plot")
        from toolchain.cli import ladder as shown
        from toolchain.ladder import climb, failures, floors

        wanted = floors(fail_under or [])
        found = climb(
            model, files, data=data, scale=scale, offset=offset, examples=examples, seed=seed, trust=trust, limit_s=time_limit,
            progress=progress,
        )  # fmt: skip
    if not any(rung.distance for rung in found.rungs[1:]):
        shown.show(found)
        print("nothing could be compared")
        raise typer.Exit(2)
    below = failures(found, wanted)
    if plot is not None:
        from toolchain.files import write
        from toolchain.plots import error_along_depth

        write(plot, error_along_depth(found))
    if json:
        from toolchain.report import dumps

        print(dumps({"ladder": found, "below": below}).decode(), end="")
    else:
        shown.show(found)
        if plot is not None:
            print(f"wrote {plot}")
        shown.below(below)
    if below:
        raise typer.Exit(BELOW)


def _on_targets(
    model: Path, files: list[Path], target: list[str], data: str | None, scale: str, offset: float, limit_s: float, json: bool,
    progress: Progress,
) -> None:  # fmt: skip
    from toolchain.benchmark import compare as run
    from toolchain.cli import layer_costs

    if len(files) != 1:
        raise typer.BadParameter("--target compares two files; give one after the first", param_hint="compare")
    found = run(model, files[0], target, data=data, scale=scale, offset=offset, limit_s=limit_s, progress=progress)
    if json:
        from toolchain.report import dumps

        print(dumps(found).decode(), end="")
    else:
        layer_costs.show(found, (model.name, files[0].name))
