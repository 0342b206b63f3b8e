"""The command `secateur`. The only place that catches a ToolchainError: its message, and exit status 2."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from toolchain.cli import (
    bench,
    c_source,
    cache,
    check,
    compare,
    demo,
    gate,
    inspect,
    recipes,
    release,
    report,
    run,
    sensitivity,
    targets,
    verify,
)
from toolchain.errors import ToolchainError
from toolchain.files import storage_errors, temporary_files

app = typer.Typer(
    name="secateur",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Start with: secateur demo   then: secateur run edge_int8 --model my.keras --data my.npz --out out",
)
for command in (
    demo.demo, run.run, bench.bench, check.check, gate.gate, compare.compare, inspect.inspect, sensitivity.sensitivity,
    report.report, release.release, verify.verify, targets.targets, recipes.recipes, cache.cache,
):  # fmt: skip
    app.command()(command)
app.command("c-source")(c_source.c_source)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"secateur {version('secateur')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version")] = False,
) -> None:
    """Make trained Keras models ready for phones and microcontrollers: prune, quantize, export, measure."""


def main() -> None:
    """Run the command line."""
    try:
        with storage_errors(), temporary_files():
            try:
                app()
            finally:
                sys.stdout.flush()
    except ToolchainError as err:
        print(f"secateur: {err}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("secateur: interrupted; finished steps are kept, run the command again to go on", file=sys.stderr)
        sys.exit(130)
