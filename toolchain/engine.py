"""What executes operators on a device: one TOML file an engine in `targets/engines/`, facts with their sources.

An engine supports operators; some of them it computes with kernels made for a feature of the core or for an NPU.
"""

from __future__ import annotations

import importlib.resources
import tomllib
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec

from toolchain.device import Device
from toolchain.errors import TargetError
from toolchain.settings import build
from toolchain.sourced import resolve


class Kernels(msgspec.Struct, frozen=True):
    """Fast kernels of an engine, and where they are used."""

    title: str
    on: tuple[str, ...]
    """Features of a core, or families of an NPU; one of them is enough."""
    dtypes: tuple[str, ...]
    """Types of the output for which they exist."""
    operators: tuple[str, ...]


class Code(msgspec.Struct, frozen=True):
    """Flash that the engine itself takes, as far as it is known."""

    core_bytes: int
    """Interpreter, allocator, error reports."""
    operator_bytes: dict[str, int]
    """What one operator's kernels, for all its types, add to the core; what operators share is counted in each."""

    def of(self, operators: Iterable[str]) -> int:
        """Bytes of an interpreter with these operators, an upper bound; one whose code was not measured counts as the largest."""
        return self.core_bytes + sum(self.operator_bytes.get(name, max(self.operator_bytes.values())) for name in set(operators))


class Engine(msgspec.Struct, frozen=True):
    """An engine's facts. A co-processor's file has kernels only: what they leave, the core's engine computes."""

    name: str
    title: str
    sources: dict[str, str]
    """The source of each fact by its dotted path."""
    operators: frozenset[str] = frozenset()
    kernels: tuple[Kernels, ...] = ()
    code: Code | None = None


class _Tables(msgspec.Struct, frozen=True):
    """The file as it is written."""

    schema: Literal[1]
    name: str
    title: str
    sources: dict[str, str]
    operators: tuple[str, ...] = ()
    kernels: dict[str, dict[str, Any]] = {}
    code: dict[str, Any] | None = None


def folder() -> Path:
    """Where the engines' facts lie."""
    return Path(str(importlib.resources.files("targets"))) / "engines"


def names() -> list[str]:
    """Engines whose facts ship."""
    return sorted(path.stem for path in folder().glob("*.toml"))


@cache
def load(name: str) -> Engine:
    """The facts of an engine. Raises TargetError."""
    path = folder() / f"{name}.toml"
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as err:
        raise TargetError(f"{path}: {err}") from None
    return from_table(table, str(path))


def from_table(table: dict[str, Any], where: str) -> Engine:
    """Check an engine's table. Raises TargetError with the path of the wrong key."""
    raw = build(_Tables, table, where, TargetError)
    facts = {key: value for key, value in table.items() if key in ("operators", "kernels", "code")}
    return Engine(
        raw.name,
        raw.title,
        resolve(facts, raw.sources, where),
        frozenset(raw.operators),
        tuple(build(Kernels, kernels, f"{where}: kernels.{key}", TargetError) for key, kernels in raw.kernels.items()),
        None if raw.code is None else build(Code, raw.code, f"{where}: code", TargetError),
    )


def kernels_of(device: Device) -> tuple[Kernels, ...]:
    """The fast kernels that a device's core and NPU have, of its engine and of its NPU."""
    present = {*device.cpu.features, *([device.npu.family] if device.npu else [])}
    known = [kernels for name in names() for kernels in _own(load(name), device.runtime.engine)]
    return tuple(kernels for kernels in known if present.intersection(kernels.on))


def accelerated(kernels: Sequence[Kernels], operator: str, dtype: str) -> str | None:
    """Which kernels compute an operator with that type of output (`int8`); None: the engine's plain ones."""
    return next((one.title for one in kernels if operator in one.operators and dtype in one.dtypes), None)


def _own(engine: Engine, runtime: str) -> tuple[Kernels, ...]:
    """The kernels of the engine that runs the model, and of co-processors."""
    return engine.kernels if engine.name == runtime or not engine.operators else ()
