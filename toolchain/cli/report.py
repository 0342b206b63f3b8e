"""`secateur report`: the page of a run again, or several runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="DIR", help="Folders of runs, each with a report.json")],
    out: Annotated[Path | None, typer.Option(dir_okay=False, help="Compare the runs on a page of this name")] = None,
) -> None:
    """Write report.html of a run's folder again from its report.json, or compare runs on one page.

    \b
    secateur report out
    secateur report main out --out compared.html
    """
    from toolchain.files import write
    from toolchain.report import load

    if out is None and len(runs) > 1:
        raise typer.BadParameter("several runs are compared on a page of their own; say where: --out compared.html", param_hint="--out")
    if out is not None and out.suffix != ".html":
        raise typer.BadParameter(f"{out}: a page is written; name it so: {out.with_suffix('.html').name}", param_hint="--out")
    if out is None:
        from toolchain.page.folder import page

        path, content = runs[0] / "report.html", page(runs[0], load(runs[0] / "report.json"))
    else:
        from toolchain.page.runs import Run, render

        path, content = out, render([Run(str(folder), load(folder / "report.json")) for folder in runs])
    write(path, content.encode())
    print(f"wrote {path}")
