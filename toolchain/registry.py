"""A folder is the registry: a file's name is the name a recipe or a target uses, so nothing is registered twice."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from toolchain.errors import ToolchainError
from toolchain.settings import shortened, suggest


def names(package: str) -> list[str]:
    """The names of the plug-ins in `toolchain.<package>`."""
    found = importlib.import_module(f"toolchain.{package}")
    return sorted(info.name for info in pkgutil.iter_modules(found.__path__))


def find(package: str, name: Any, where: str, error: type[ToolchainError]) -> type[Any]:
    """The plug-in class of `toolchain.<package>.<name>`: the one class there whose tag is the file's name."""
    known = names(package)
    if name not in known:
        raise error(f"{where} = {shortened(name)}: no such name in {package}; {suggest(shortened(name), known)}")
    module = importlib.import_module(f"toolchain.{package}.{name}")
    return next(
        cls
        for cls in vars(module).values()
        if isinstance(cls, type) and getattr(getattr(cls, "__struct_config__", None), "tag", None) == name
    )
