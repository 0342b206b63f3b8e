"""Verdicts as Markdown, for a pull request or the summary of a CI job."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import Final

import msgspec

from toolchain.gate.wording import COLUMNS, cells, summary
from toolchain.report import Report, Verdict

MARKS: Final = re.compile(r"([\\`*_\[\]|~$])")
"""Characters that format text, make links, or end a cell of a table."""
LINKS: Final = re.compile(r"(@|:(?=//)|www(?=\.))")
"""What GitHub turns into mentions and links by itself; an empty comment behind it prevents that."""


def markdown(report: Report, verdicts: Sequence[Verdict], baseline: Report | None = None) -> str:
    """The outcome, what it is about, and a table with failures first. Names come from outside: nothing in them is markup."""
    about = f"{report.model.name} through {report.recipe}"
    if baseline:
        about += f", against {baseline.model.name} through {baseline.recipe}"
    lines = [
        f"### secateur {summary(verdicts)}",
        "",
        f"For {_text(about)}.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|{' --- |' * len(COLUMNS)}",
    ]
    lines += [f"| {' | '.join(_text(cell) for cell in msgspec.structs.astuple(cells(verdict)))} |" for verdict in verdicts]
    return "\n".join(lines) + "\n"


def _text(text: str) -> str:
    """Text that shows as it is, on one line."""
    line = html.escape(" ".join(text.split()), quote=False)
    return LINKS.sub(r"\1<!-- -->", MARKS.sub(r"\\\1", line))
