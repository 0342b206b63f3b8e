"""Packages of an extra: imported when a step needs them, and missed with the command that installs them."""

from __future__ import annotations

import importlib
from typing import Any

from toolchain.errors import DependencyError


def require(module: str, extra: str) -> Any:
    """Import `module`, which the extra `secateur[extra]` brings. Raises DependencyError."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as err:
        missing = (err.name or module).partition(".")[0]
        raise DependencyError(f"{missing} is not installed; run: pip install 'secateur[{extra}]'") from None
