"""The templates of the pages: every name from outside is escaped, and no script runs but the page's own.

Besides escaping, a page carries a content security policy with the hashes of its scripts (W3C Content Security Policy
Level 3, section 2.3.1), so that a name that got through would still run nothing and fetch nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain.fidelity.layers import short
from toolchain.gate.wording import cells
from toolchain.report import percent

if TYPE_CHECKING:
    import jinja2

SOURCES = Path(__file__).parents[1] / "templates" / "report"


def environment() -> jinja2.Environment:
    """Where the templates are found, with the filters that they use."""
    import jinja2  # only a page needs it

    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(SOURCES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value.replace(" %", "\N{NO-BREAK SPACE}%") if type(value) is str else value,  # no line starts with %
    )
    found.policies["json.dumps_kwargs"] = {"separators": (",", ":")}  # in the order of the reader, not sorted
    found.filters |= {
        "bytes": bytes_in_words,
        "cells": cells,
        "count": lambda number: f"{number:,}",
        "policy": policy,
        "score": percent,
        "share": lambda fraction: f"{fraction:.2%}",
        "short": short,
        "span": span,
    }
    return found


def source(name: str) -> str:
    """A script or a style sheet beside the templates."""
    return (SOURCES / name).read_text()


def policy(scripts: Sequence[str]) -> str:
    """Nothing from the network, pictures from the page itself, and these scripts."""
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts)
    return f"default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src 'unsafe-inline'; script-src {hashes}"


def bytes_in_words(count: float) -> str:
    """A size for reading: `12.3 kB`, `2.28 MB` (powers of ten)."""
    for unit in ("B", "kB", "MB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} GB"


def span(metric: str | None, interval: tuple[float, float] | None) -> str:
    """An interval of a metric: `97.79% to 99.24%`."""
    return "" if interval is None else f"{percent(metric, interval[0])} to {percent(metric, interval[1])}"
