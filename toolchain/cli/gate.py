"""`secateur gate`: does a run hold its limits?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolchain.cli import options

if TYPE_CHECKING:
    from toolchain.gate.limits import Limits
    from toolchain.report import Report, Verdict

CLOSED = 3
"""Exit status of a closed gate; 2 is an error of the command itself."""


def gate(
    report: Annotated[Path, typer.Argument(help="A report.json, or the folder of a run")],
    baseline: Annotated[Path | None, typer.Option(help="The report or the folder of an earlier run to compare with")] = None,
    recipe: Annotated[str | None, typer.Option(help="Take the limits of this recipe or .toml file, not of the run's own recipe")] = None,
    limit: Annotated[list[str] | None, typer.Option(help="A limit in place of the recipe's: key=value; may be repeated")] = None,
    junit: Annotated[Path | None, typer.Option(dir_okay=False, help="Write the verdicts as JUnit XML, for continuous integration")] = None,
    markdown: Annotated[Path | None, typer.Option(dir_okay=False, help="Write the verdicts as Markdown, for a pull request")] = None,
    json: options.Json = False,
) -> None:
    """Judge a run by the limits of its recipe: exit 0 when all hold, 3 when one failed or could not be checked.

    \b
    secateur gate out
    secateur gate out --baseline main/report.json --recipe limits.toml --junit gate.xml --markdown gate.md
    secateur gate out --limit "files=*.tflite" --limit max_accuracy_drop=0.01 --limit must_fit=true
    secateur gate out --baseline main --limit baseline.max_bytes=1.02
    """
    from toolchain.files import write
    from toolchain.gate.judge import judge, stopped
    from toolchain.report import dumps

    found = _load(report)
    earlier = _load(baseline) if baseline else None
    verdicts = judge(found, _limits(found, report, recipe, limit or ()), earlier)
    if junit:
        from toolchain.gate.junit import junit as as_junit

        write(junit, as_junit(verdicts))
    if markdown:
        from toolchain.gate.markdown import markdown as as_markdown

        write(markdown, as_markdown(found, verdicts, earlier).encode())
    if json:
        print(dumps({"passed": not stopped(verdicts), "verdicts": verdicts}).decode(), end="")
    else:
        show(verdicts)
    leave(verdicts)


def show(verdicts: Sequence[Verdict]) -> None:
    """Print verdicts as a table, how each came about, and the outcome."""
    import msgspec

    from toolchain.cli import display
    from toolchain.gate.wording import COLUMNS, cells, summary

    rows = [cells(verdict) for verdict in verdicts]
    display.table("Gate", COLUMNS[:-1], [msgspec.structs.astuple(row)[:-1] for row in rows])
    for row in rows:
        place = f"{row.file} on {row.target}" if row.target else row.file
        print(f"{row.outcome}: {row.limit} of {place}: {row.said}")
    print(summary(verdicts))


def leave(verdicts: Sequence[Verdict]) -> None:
    """Exit with 3 where the gate is closed."""
    from toolchain.gate.judge import stopped

    if stopped(verdicts):
        raise typer.Exit(CLOSED)


def _load(path: Path) -> Report:
    from toolchain.report import load

    return load(path / "report.json" if path.is_dir() else path)


def _limits(report: Report, path: Path, recipe: str | None, given: Sequence[str]) -> tuple[Limits, ...]:
    """From the command line, another recipe, or the recipe of the run. Raises ToolchainError where there are none."""
    from toolchain.errors import RecipeError
    from toolchain.gate.limits import from_tables
    from toolchain.recipe import limits_of, load_gate

    if recipe and given:
        raise RecipeError("--recipe and --limit both give limits; write them all into the recipe, or all as --limit")
    if given:
        return limits_of(given)
    found = load_gate(recipe) if recipe else from_tables(report.settings.get("gate", ()), str(path))
    if not found:
        where = recipe or f"the recipe of {path}, {report.recipe},"
        raise RecipeError(f"{where} has no [gate]; write one there, or a limit here, for example --limit max_accuracy_drop=0.01")
    return found
