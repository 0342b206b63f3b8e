"""The page of a run's folder: its report and, where it was measured, the sensitivity.json beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from toolchain.errors import ToolchainError
from toolchain.page.render import render
from toolchain.report import Report, Skipped
from toolchain.sensitivity import Sensitivity
from toolchain.untrusted import read

REPORT: Final = "report.json"
SENSITIVITY: Final = "sensitivity.json"
SENSITIVITY_BYTES: Final = 1 << 24
"""The largest that is read; a model with 200 groups has 150 kB."""


def page(folder: Path, found: Report) -> str:
    """report.html of a folder whose report.json is, or will be, `found`, as text.

    Curves that cannot be read or are those of another model are left out, and the page says why.
    """
    path, curves, reason = folder / SENSITIVITY, None, ""
    if path.exists():
        try:
            curves = load(path)
        except ToolchainError as err:
            reason = str(err)
    if curves and curves.digest != found.model.digest:
        reason = f"measured on {curves.model} with SHA-256 {curves.digest[:12]}, not on the model of this run; measure again"
        curves = None
    if reason:
        found = msgspec.structs.replace(found, skipped=(*found.skipped, Skipped("sensitivity", path.name, reason)))
    return render(found, curves)


def load(path: Path) -> Sensitivity:
    """Read a sensitivity.json, which may come from elsewhere. Raises ToolchainError."""
    content = read(path, SENSITIVITY_BYTES, ToolchainError)
    try:
        return msgspec.json.decode(content, type=Sensitivity)
    except (msgspec.DecodeError, RecursionError, ValueError) as err:
        raise ToolchainError(f"{path}: not what secateur sensitivity writes ({err}); measure again") from None
