"""`secateur run`: a recipe on a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolchain.cli import options

if TYPE_CHECKING:
    from toolchain.report import Report


def run(
    recipe: Annotated[str, typer.Argument(help="A recipe's name or .toml file. See: secateur recipes")],
    model: Annotated[Path, typer.Option(help="Keras 3 or tf_keras .keras or .h5, or a SavedModel folder")],
    out: options.Out,
    data: options.Data = None,
    target: options.Targets = None,
    change: Annotated[list[str] | None, typer.Option("--set", help="Change the recipe: stage.key=value; may be repeated")] = None,
    trust: options.Trust = False,
    threads: options.Threads = 1,
    time_limit: options.TimeLimit = 1800,
) -> None:
    """Prune, quantize, export and measure a model as a recipe says.

    \b
    secateur run edge_int8 --model my.keras --data my.npz --target stm32f746 --out out
    secateur run static_w8a8 --model my.h5 --data photos/ --set data.scale=1/255 --out out
    secateur run edge_int8 --model my.keras --data my.npz --set prune.sparsity=0.9 --out out
    secateur run edge_int8 --model my.keras --data my.npz --set gate.max_accuracy_drop=0.01 --out out

    Exits with 3 where the recipe has a [gate] that is closed; the files and the report are written all the same.
    """
    from toolchain import pipeline
    from toolchain.cli import display

    with display.progress() as progress:
        report = pipeline.run(
            recipe,
            model=model,
            out=out,
            data=data,
            targets=target or (),
            changes=change or (),
            trust=trust,
            threads=threads,
            limit_s=time_limit,
            progress=progress,
        )
    show(report, out)


def show(report: Report, out: Path) -> None:
    """Print a finished run. Exits with 3 where its gate is closed."""
    import msgspec

    from toolchain.cli import c_source, display, gate
    from toolchain.packaging import Packaged
    from toolchain.report import percent

    display.artifacts(f"{report.model.name} through {report.recipe}", report.artifacts)
    display.attempts(report.attempts, report.artifacts)
    display.channels(report.steps)
    for step in report.steps:
        if made := step.details.get("package"):
            c_source.costs(step.name, msgspec.convert(made, Packaged))
    display.skipped(report.skipped)
    if report.model.accuracy is not None and report.data is not None:
        value = percent(report.model.metric, report.model.accuracy)
        print(f"original model: {report.model.metric} {value} on {report.data.test:,} test examples")
    cached = sum(step.cached for step in report.steps)
    print(f"{len(report.steps)} steps, {cached} of them from the cache; wrote {out}/report.json and {out}/report.html")
    if report.gate:
        gate.show(report.gate)
        gate.leave(report.gate)
