"""Bundles that a device team can trust: reproducible, described, signed, and checked by `secateur verify`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from toolchain.release.assembly import Released, Settings, release
    from toolchain.release.verification import Signer, Verified, verify

__all__ = ["Released", "Settings", "Signer", "Verified", "release", "verify"]

_HOMES: Final = {"Released": "assembly", "Settings": "assembly", "release": "assembly"} | dict.fromkeys(
    ("Signer", "Verified", "verify"), "verification"
)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"toolchain.release.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'toolchain.release' has no attribute {name!r}")
