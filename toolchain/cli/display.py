"""Progress and tables: rich on a terminal, plain lines elsewhere. Progress goes to standard error."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from toolchain import target_rows
from toolchain.report import ArtifactReport, AttemptReport, Skipped, StepReport, percent
from toolchain.worker import Progress

WIDEST_NUMBER = 20
"""Characters; longer cells of a table are text and may be broken."""


@contextlib.contextmanager
def progress() -> Iterator[Progress]:
    """A callback that shows what is being done until the block ends."""
    if sys.stderr.isatty():
        with _bars() as show:
            yield show
    else:
        yield _lines()


@contextlib.contextmanager
def _bars() -> Iterator[Progress]:
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.SpinnerColumn(),
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True)) as display:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, total: int) -> None:
            subject = what.partition(":")[0]
            if subject not in tasks:
                for task in tasks.values():
                    display.update(task, total=1, completed=1) if display.tasks[task].total is None else display.stop_task(task)
                tasks[subject] = display.add_task(what, total=total or None)
            display.update(tasks[subject], description=what, completed=done, total=total or None)

        yield show
        for task in tasks.values():
            if display.tasks[task].total is None:
                display.update(task, total=1, completed=1)


def _lines() -> Progress:
    said: dict[str, int] = {}

    def show(what: str, done: int, total: int) -> None:
        quarter = 4 * done // total if total else 0
        if said.get(what) != quarter:
            said[what] = quarter
            print(f"{what} ({done} of {total})" if total else what, file=sys.stderr, flush=True)

    return show


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], first: int | None = None) -> None:
    """Print a table; the first column is text, the others are numbers. A narrow terminal shows the `first` columns only."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console() if sys.stdout.isatty() else Console(width=180)
    shown = len(columns) if first is None or console.width >= 140 else first
    grid = Table(title=title, title_justify="left")
    for index, column in enumerate(columns[:shown]):
        numbers = first is not None and index > 0 and max((len(row[index]) for row in rows), default=0) <= WIDEST_NUMBER
        grid.add_column(column, justify="right" if index else "left", overflow="fold", no_wrap=numbers)
    for row in rows:
        grid.add_row(*(escape(cell) for cell in row[:shown]))
    console.print(grid)


def artifacts(title: str, rows: Sequence[ArtifactReport]) -> None:
    """Print what was measured of each file, and of each file on each target."""
    metric = next((row.metric for row in rows if row.metric), "accuracy")
    measured = ("file", "bytes", "gzip", metric, "p50 ms", "95 % interval", "agreement", "non-zero", "MACs", "p99 ms")
    table(title, measured, [_artifact(row) for row in rows], first=5)
    for row in rows:
        for note in row.notes:
            print(f"warning: {row.name}: {note}")
    on_targets = [(row, target) for row in rows for target in row.targets]
    if on_targets:
        columns = ("file", "target", "fits", "flash B", "SRAM B", "outputs", metric, "instructions", "ms")
        cells = [msgspec.structs.astuple(target_rows.row(row, target)) for row, target in on_targets]
        table("On targets (flash and SRAM with what is reserved)", columns, cells, first=5)
    for row, target in on_targets:
        print(f"{row.name} on {target.target}")
        for result in target.results:
            print(f"  {target_rows.findings(result)}")
            for note in result.notes:
                print(f"    {note}")
        for line in (*target.reasons, *target.notes):
            print(f"  {line}")


def attempts(tried: Sequence[AttemptReport], rows: Sequence[ArtifactReport]) -> None:
    """Print what each attempt lost on the validation split, and its file's score on the test split."""
    if not tried:
        return
    files = {row.name: row for row in rows}
    columns = ("attempt", "file", "loss on validation", "on test", "seconds", "budget", "")
    table("Attempts", columns, [_attempt(one, files.get(one.artifact or "")) for one in tried])


def _attempt(one: AttemptReport, row: ArtifactReport | None) -> tuple[str, ...]:
    if one.metric is None or one.drop is None or row is None:
        return (one.name, one.reason or "", "", "", f"{one.seconds:.1f}", "no file", "")
    verdict = "loses too much" if not one.met else "within the budget"
    lost = f"{one.drop:.2%}" + (f" {one.metric.replace('_', ' ')}" if row.metric is None else "")
    return (one.name, row.name, lost, percent(row.metric, row.accuracy), f"{one.seconds:.1f}", verdict, "chosen" if one.chosen else "")


def channels(steps: Sequence[StepReport]) -> None:
    """Print how many channels each group has left, where a step removed some."""
    for step in steps:
        if groups := step.details.get("groups"):
            macs = step.details["macs"]
            listed = ", ".join(f"{name} {group['before']} -> {group['after']}" for name, group in groups.items())
            print(f"{step.name}: MACs {macs['before']:,} -> {macs['after']:,}; channels {listed}")


def skipped(rows: Sequence[Skipped]) -> None:
    """Print what was left out, replaced or refused."""
    subjects: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        subjects.setdefault((row.step, row.reason), []).append(row.what)
    for (step, reason), names in subjects.items():
        listed = ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"
        print(f"note: {step}: {listed}: {reason}")


def _artifact(row: ArtifactReport) -> tuple[str, ...]:
    latency, interval = row.latency, row.accuracy_interval
    return (
        row.name,
        f"{row.bytes:,}",
        f"{row.gzip_bytes:,}",
        percent(row.metric, row.accuracy),
        f"{latency.p50_ms:.4g}" if latency else "",
        f"{percent(row.metric, interval[0])} to {percent(row.metric, interval[1])}" if interval else "",
        f"{row.agreement:.2%}" if row.agreement is not None else "",
        f"{row.nonzero_parameters / row.parameters:.1%}" if row.parameters and row.nonzero_parameters is not None else "",
        f"{row.macs:,}" if row.macs is not None else "",
        f"{latency.p99_ms:.4g}" if latency else "",
    )
