"""`secateur c-source`: an int8 .tflite as a C package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolchain.cli import options

if TYPE_CHECKING:
    from toolchain.packaging import Packaged


def c_source(
    file: Annotated[Path, typer.Argument(help="An int8 .tflite file, from anywhere")],
    out: Annotated[Path, typer.Option(help="Folder for the package; only what an earlier export wrote there is replaced")],
    name: Annotated[str | None, typer.Option(help="What files and functions begin with; by default the file's name")] = None,
    core: Annotated[
        list[str] | None,
        typer.Option(help="A core to measure the package on, for its README; may be repeated. By default cortex-m4 and cortex-m55"),
    ] = None,
    time_limit: options.TimeLimit = 600,
    json: options.Json = False,
) -> None:
    """Write an int8 .tflite as a C99 package for firmware: weights, kernels, one function to call, a Makefile, a README.

    \b
    secateur c-source static_w8a8.tflite --out firmware/model
    secateur c-source kws.tflite --out firmware/kws --name kws --core cortex-m33 --core cortex-m0plus
    """
    from toolchain import packaging
    from toolchain.cli import display

    with display.progress() as progress:
        found = packaging.export(file, out, name=name, cores=core or packaging.CORES, limit_s=time_limit, progress=progress)
    if json:
        from toolchain.report import dumps

        print(dumps(found).decode(), end="")
        return
    costs(str(out), found)
    if found.compared:
        print(f"identical to {found.compared}")
    for reason in found.unmeasured:
        print(f"note: {reason}")
    print(f"wrote {out}/README.md and the files it describes")


def costs(title: str, found: Packaged) -> None:
    """Print what a package takes on the cores it was executed on."""
    from toolchain.cli import display

    rows = [
        (cost.core, f"{cost.flash_bytes:,}", f"{cost.ram_bytes:,}", f"{cost.stack_bytes:,}", f"{cost.instructions:,}",
         f"{cost.instructions / found.macs:.2f}" if found.macs else "", cost.emulator)
        for cost in found.costs
    ]  # fmt: skip
    if rows:
        columns = ("core", "flash B", "RAM B", "stack B", "instructions", "per MAC", "executed by")
        display.table(f"{title}: one inference on emulated cores", columns, rows)
