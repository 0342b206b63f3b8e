"""A recipe: TOML that names the stages in order and the files to export. It is checked before anything heavy loads."""

from __future__ import annotations

import importlib.resources
import itertools
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from toolchain import registry
from toolchain.artifact import Format
from toolchain.data import DataSettings
from toolchain.errors import RecipeError
from toolchain.settings import build, suggest
from toolchain.stage import Export, Stage


class Recipe(msgspec.Struct, frozen=True):
    """What a run does, apart from the model and the data it does it to."""

    name: str
    description: str
    seed: int
    data: DataSettings
    stages: tuple[Stage, ...]
    exports: tuple[Export, ...]

    def check_accepts(self, model: Path, format: Format) -> None:
        """Raise RecipeError where the recipe cannot start from a file of this format, or a file that a stage reads is missing."""
        if format in (Format.TFLITE, Format.ONNX):
            raise RecipeError(f"{model}: a {format} file is finished; run takes Keras models and SavedModels, bench takes this")
        if format is Format.SAVED_MODEL and self.stages:
            uses = ", ".join(name_of(stage) for stage in self.stages)
            raise RecipeError(
                f"{model}: a SavedModel can only be exported, and {self.name} has the stages {uses}; give a .keras or .h5 file"
            )
        for stage in self.stages:
            if absent := [str(file) for file in stage.files if not file.exists()]:
                raise RecipeError(f"{self.name}: {name_of(stage)} reads {', '.join(absent)}, which is not there")


class _Tables(msgspec.Struct, frozen=True):
    """The file as it is written."""

    description: str = ""
    seed: int = 0
    data: dict[str, Any] = {}
    stage: tuple[dict[str, Any], ...] = ()
    export: tuple[dict[str, Any], ...] = ()


def name_of(step: Stage | Export) -> str:
    """The `use` of a stage or export: its file's name."""
    return str(step.__struct_config__.tag)


def folder() -> Path:
    """Where the recipes that ship lie."""
    return Path(str(importlib.resources.files("toolchain"))) / "recipes"


def names() -> list[str]:
    """Recipes that ship."""
    return sorted(path.stem for path in folder().glob("*.toml"))


def path_of(name: str) -> Path:
    """The file of a recipe given by name or by path. Raises RecipeError."""
    if name.endswith(".toml"):
        return Path(name)
    if name not in names():
        raise RecipeError(f"no recipe {name!r}; {suggest(name, names())}, or give the path of a .toml file")
    return folder() / f"{name}.toml"


def load(name: str, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe by name or path and apply `stage.key=value` changes. Raises RecipeError."""
    path = path_of(name)
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise RecipeError(f"{path}: {err}") from None
    for change in changes:
        _apply(table, change)
    return from_table(table, path)


def from_table(table: Mapping[str, Any], path: Path) -> Recipe:
    """Check a recipe's table. Raises RecipeError with the path of the wrong key, the value and the choices."""
    raw = build(_Tables, table, str(path), RecipeError)
    data = build(DataSettings, raw.data, f"{path}: data", RecipeError)
    stages = tuple(_plug_in("stages", entry, f"{path}: stage[{i}]") for i, entry in enumerate(raw.stage))
    exports = tuple(_plug_in("exports", entry, f"{path}: export[{i}]") for i, entry in enumerate(raw.export))
    if not exports:
        raise RecipeError(f'{path}: no [[export]]; a run must write a file, for example use = "tflite"')
    for index, (first, then) in enumerate(itertools.pairwise(stages), 1):
        if first.produces != then.consumes:
            raise RecipeError(f"{path}: stage[{index}] {name_of(then)!r} takes {then.consumes}, {name_of(first)!r} gives {first.produces}")
    seen: set[str] = set()
    for index, export in enumerate(exports):
        if export.name in seen:
            raise RecipeError(f"{path}: export[{index}] writes {export.name} a second time; take it out or change its settings")
        seen.add(export.name)
    return Recipe(path.stem, raw.description, raw.seed, data, stages, exports)


def _plug_in(kind: str, entry: Mapping[str, Any], where: str) -> Any:
    if "use" not in entry:
        raise RecipeError(f"{where}: the key 'use' is missing; choose from {', '.join(registry.names(kind))}")
    cls = registry.find(kind, entry["use"], f"{where}.use", RecipeError)
    return build(cls, {key: value for key, value in entry.items() if key != "use"}, where, RecipeError)


def _apply(table: dict[str, Any], change: str) -> None:
    """Write `prune.sparsity=0.9`, `data.scale=1/255` or `seed=1` into a recipe's table."""
    place, equals, text = change.partition("=")
    *owner, key = place.split(".", 1) if "." in place else (place,)
    if not equals or not key:
        raise RecipeError(f"--set {change}: write stage.key=value, for example --set prune.sparsity=0.9")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    if not owner:
        table[key] = value
    elif owner[0] == "data":
        table.setdefault("data", {})[key] = value
    else:
        steps = [*table.get("stage", ()), *table.get("export", ())]
        chosen = [step for step in steps if step.get("use") == owner[0]]
        if not chosen:
            known = ["data", *dict.fromkeys(str(step.get("use")) for step in steps)]
            raise RecipeError(f"--set {change}: the recipe has no {owner[0]!r}; {suggest(owner[0], known)}")
        for step in chosen:
            step[key] = value
