"""The page of a run's folder, from what the folder holds: report.json and, where it was measured, sensitivity.json."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from toolchain import report
from toolchain.errors import ToolchainError
from toolchain.page.render import render
from toolchain.sensitivity import Sensitivity
from toolchain.untrusted import read

REPORT: Final = "report.json"
SENSITIVITY: Final = "sensitivity.json"
SENSITIVITY_BYTES: Final = 1 << 24
"""The largest that is read; a model with 200 groups has 150 kB."""


def page(folder: Path) -> str:
    """report.html as text. Raises ToolchainError where the folder has no report, or one of its two files is damaged.

    The curves are left out where they are those of another model.
    """
    found = report.load(folder / REPORT)
    path = folder / SENSITIVITY
    measured = load(path) if path.exists() else None
    return render(found, measured if measured and measured.model == found.model.name else None)


def load(path: Path) -> Sensitivity:
    """Read a sensitivity.json, which may come from elsewhere. Raises ToolchainError."""
    content = read(path, SENSITIVITY_BYTES, ToolchainError)
    try:
        return msgspec.json.decode(content, type=Sensitivity)
    except (msgspec.DecodeError, RecursionError, ValueError) as err:
        raise ToolchainError(f"{path}: not what secateur sensitivity writes ({err}); measure again") from None
