"""`secateur sensitivity`: which part of a model pays for being made smaller."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolchain.cli import options

if TYPE_CHECKING:
    from toolchain.sensitivity import Sensitivity


def sensitivity(
    model: Annotated[Path, typer.Argument(help="A Keras 3 or tf_keras .keras or .h5 file")],
    data: Annotated[str, typer.Option(help="As for run, with labels")],
    channels: Annotated[bool, typer.Option("--channels", help="Remove channels, one group of coupled layers at a time")] = False,
    criterion: Annotated[str, typer.Option(help="Which channels go first; see the setting criterion of prune_channels")] = "contribution",
    ratio: Annotated[list[float], typer.Option(min=0, max=1, help="Share that goes; may be repeated")] = [0.25, 0.5, 0.75, 0.9],  # noqa: B006
    examples: Annotated[int, typer.Option(min=1, help="Examples of the validation split that judge")] = 1000,
    scale: options.Scale = "1",
    offset: options.Offset = 0.0,
    seed: Annotated[int, typer.Option(help="Splits the data and draws the examples")] = 0,
    plot: Annotated[Path | None, typer.Option(help="Write the curves to this .svg")] = None,
    out: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Write sensitivity.json to this folder, and the curves to the page of the run in it"),
    ] = None,
    trust: options.Trust = False,
    json: options.Json = False,
) -> None:
    """Show what accuracy is left when one group of channels goes and nothing is trained.

    \b
    secateur sensitivity my.keras --data my.npz --channels
    secateur sensitivity my.h5 --data cifar10 --scale 1/255 --channels --plot sensitivity.svg
    secateur sensitivity my.keras --data my.npz --channels --out out
    """
    if not channels:
        raise typer.BadParameter("say to what: --channels", param_hint="sensitivity")
    if out is not None:
        _check_same_model(model, out)
    from toolchain.cache import Cache
    from toolchain.cli import display
    from toolchain.data import DataSettings
    from toolchain.prepared_data import open_data
    from toolchain.report import percent
    from toolchain.sensitivity import Sensitivity, SensitivityJob
    from toolchain.worker import Worker

    with display.progress() as progress, Worker(progress) as worker:
        opened = open_data(data, "run", DataSettings.of(scale, offset), seed, Cache(), progress)
        job = SensitivityJob(model, opened, criterion, tuple(ratio), examples, seed, trust)
        found = worker.call("toolchain.sensitivity:of_channels", job, Sensitivity, model.name)
    if plot is not None:
        from toolchain.files import write
        from toolchain.plots import sensitivity as draw

        write(plot, draw(found))
    written = _written(found, out) if out is not None else []
    if json:
        from toolchain.report import dumps

        print(dumps(found).decode(), end="")
        return
    rows = [
        (group.name, str(group.channels), *(f"{percent(found.metric, p.score)} ({p.macs / found.macs:.0%})" for p in group.points))
        for group in found.groups
    ]
    display.table(
        f"{found.metric} (and the model's MACs) with a share of one group's channels gone, chosen by {found.criterion}, without training",
        ("group", "channels", *(f"{share:.0%} gone" for share in ratio)),
        rows,
    )
    print(f"whole model: {found.metric} {percent(found.metric, found.score)}, {found.macs:,} MACs; {found.examples}")
    for path in [plot, *written] if plot else written:
        print(f"wrote {path}")


def _check_same_model(model: Path, out: Path) -> None:
    """Before minutes of measuring: the curves on a run's page are those of its model."""
    from toolchain.errors import ToolchainError
    from toolchain.files import digest
    from toolchain.report import load

    path = out / "report.json"
    if path.exists() and model.exists() and (digest(model) != (found := load(path)).model.digest):
        raise ToolchainError(f"{path} is the report of {found.model.name}, another model than {model}; choose another --out")


def _written(found: Sensitivity, out: Path) -> list[Path]:
    from toolchain.files import write
    from toolchain.page import folder
    from toolchain.report import dumps, load

    path, page = out / folder.SENSITIVITY, out / "report.html"
    write(path, dumps(found))
    if not (out / folder.REPORT).exists():
        return [path]
    write(page, folder.page(out, load(out / folder.REPORT)).encode())
    return [path, page]
