"""A target: facts about a device, read from a TOML file with the source of each, and nothing about a project.

Files that ship lie in `targets/`; `./mine.toml` from anywhere works the same. docs/targets.md shows how to write one.
"""

from __future__ import annotations

import difflib
import importlib.resources
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from toolchain import registry, untrusted
from toolchain.device import Cpu, Device, Memory, Npu, Runtime, Speed
from toolchain.emulator import Emulator
from toolchain.errors import TargetError
from toolchain.settings import build
from toolchain.sourced import resolve

FACTS = ("cpu", "memory", "runtime", "npu", "speed")
"""Tables whose every entry needs a source."""


class Target(msgspec.Struct, frozen=True):
    """A device and the ways to find out what a file does on it."""

    device: Device
    sources: dict[str, str]
    """Where each fact was read, by its dotted path; what was not seen in a source says "memory"."""
    emulators: tuple[Emulator, ...] = ()
    speed: Speed | None = None

    @property
    def name(self) -> str:
        """The device's name: how the command line names the target."""
        return self.device.name


class _Tables(msgspec.Struct, frozen=True):
    """The file as it is written."""

    schema: Literal[1]
    name: str
    title: str
    sources: dict[str, str]
    cpu: dict[str, Any]
    memory: dict[str, Any]
    runtime: dict[str, Any]
    npu: dict[str, Any] | None = None
    emulator: tuple[dict[str, Any], ...] = ()
    speed: dict[str, Any] | None = None


def folder() -> Path:
    """Where the targets that ship lie."""
    return Path(str(importlib.resources.files("targets")))


def names() -> list[str]:
    """Targets that ship."""
    return sorted(path.stem for path in folder().glob("*.toml"))


def path_of(name: str) -> Path:
    """The file of a target given by name (`nucleo-l4r5zi`, in any case) or by path. Raises TargetError."""
    if name.endswith(".toml"):
        return Path(name)
    normal = name.lower().replace("-", "_")
    if normal not in names():
        near = difflib.get_close_matches(normal, names(), n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise TargetError(f"no target {name!r}; {hint}see: secateur targets, or give the path of a .toml file")
    return folder() / f"{normal}.toml"


def load(name: str) -> Target:
    """A target by name, or by the path of its file. Raises TargetError."""
    path = path_of(name)
    return from_table(untrusted.table(path, TargetError), str(path))


def from_table(table: Mapping[str, Any], where: str) -> Target:
    """Check a target's table. Raises TargetError with the path of the wrong key and the choices."""
    raw = build(_Tables, table, where, TargetError)
    emulators = []
    for index, settings in enumerate(raw.emulator):
        place = f"{where}: emulator[{index}]"
        kind = registry.find("emulators", settings.get("kind"), f"{place}.kind", TargetError)
        emulators.append(build(kind, {key: value for key, value in settings.items() if key != "kind"}, place, TargetError))
    device = Device(
        raw.name,
        raw.title,
        build(Cpu, raw.cpu, f"{where}: cpu", TargetError),
        build(Memory, raw.memory, f"{where}: memory", TargetError),
        build(Runtime, raw.runtime, f"{where}: runtime", TargetError),
        None if raw.npu is None else build(Npu, raw.npu, f"{where}: npu", TargetError),
    )
    return Target(
        device,
        resolve({key: table[key] for key in FACTS if key in table}, raw.sources, where),
        tuple(emulators),
        None if raw.speed is None else build(Speed, raw.speed, f"{where}: speed", TargetError),
    )
