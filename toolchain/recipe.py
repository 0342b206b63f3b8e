"""A recipe: TOML that names the stages in order and the files to export. It is checked before anything heavy loads."""

from __future__ import annotations

import importlib.resources
import itertools
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from toolchain import registry, untrusted
from toolchain.artifact import Format
from toolchain.data import DataSettings
from toolchain.errors import RecipeError
from toolchain.gate.limits import Limits, from_tables, tables_of
from toolchain.settings import build, suggest
from toolchain.stage import Export, Stage


class Attempt(msgspec.Struct, frozen=True):
    """One way to write a file: stages after those of the recipe, and the export."""

    name: str
    stages: tuple[Stage, ...]
    export: Export
    needs: tuple[str, ...] = ()
    """Types of activations that every target must take; where one does not, the attempt is left out."""

    @property
    def product(self) -> str:
        """The file's name where this is the attempt that is chosen: `static_w8a8.tflite`."""
        return f"{self.export.scheme}.{self.export.produces.value}"

    @property
    def alternative(self) -> str:
        """The file's name where another one is chosen: `plain_static_w8a8.tflite`."""
        return f"{self.name}_{self.product}"


class Recipe(msgspec.Struct, frozen=True):
    """What a run does, apart from the model and the data it does it to."""

    name: str
    description: str
    seed: int
    data: DataSettings
    stages: tuple[Stage, ...]
    exports: tuple[Export, ...]
    attempts: tuple[Attempt, ...] = ()
    """Tried in this order after the stages; the first within the budget is chosen, and its model is what is exported."""
    max_accuracy_drop: float = 0.0
    """The budget: what an attempt may lose against the original on the validation split, as `measure.drop` counts it."""
    gate: tuple[Limits, ...] = ()
    """What stops a run whose files are not good enough."""

    @property
    def all_stages(self) -> tuple[Stage, ...]:
        """Those of the recipe and of its attempts."""
        return (*self.stages, *(stage for attempt in self.attempts for stage in attempt.stages))

    def check_accepts(self, model: Path, format: Format) -> None:
        """Raise RecipeError where the recipe cannot start from a file of this format, or a file that a stage reads is missing."""
        if format in (Format.TFLITE, Format.ONNX):
            raise RecipeError(f"{model}: a {format} file is finished; run takes Keras models and SavedModels, bench takes this")
        if format is Format.SAVED_MODEL and self.all_stages:
            uses = ", ".join(dict.fromkeys(name_of(stage) for stage in self.all_stages))
            raise RecipeError(
                f"{model}: a SavedModel can only be exported, and {self.name} has the stages {uses}; give a .keras or .h5 file"
            )
        for stage in self.all_stages:
            if absent := [str(file) for file in stage.files if not file.exists()]:
                raise RecipeError(f"{self.name}: {name_of(stage)} reads {', '.join(absent)}, which is not there")


class _Tables(msgspec.Struct, frozen=True):
    """The file as it is written."""

    description: str = ""
    seed: int = 0
    max_accuracy_drop: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    data: dict[str, Any] = {}
    stage: tuple[dict[str, Any], ...] = ()
    attempt: tuple[dict[str, Any], ...] = ()
    export: tuple[dict[str, Any], ...] = ()
    gate: Any = ()


class _AttemptTable(msgspec.Struct, frozen=True):
    """An `[[attempt]]` as it is written."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_]+\Z")]
    export: dict[str, Any]
    stage: tuple[dict[str, Any], ...] = ()
    needs: tuple[Literal["float32", "float16", "int8", "uint8", "int16"], ...] = ()


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
    table = untrusted.table(path, RecipeError)
    for change in changes:
        _apply(table, change)
    return from_table(table, path)


def load_gate(name: str) -> tuple[Limits, ...]:
    """Only the limits of a recipe, or of a .toml file that holds nothing else. Raises RecipeError."""
    path = path_of(name)
    return from_tables(untrusted.table(path, RecipeError).get("gate", []), str(path))


def limits_of(changes: Sequence[str]) -> tuple[Limits, ...]:
    """One table of limits from the command line: `max_bytes=300000`, `baseline.max_bytes=1.02`. Raises RecipeError."""
    table: dict[str, Any] = {}
    for change in changes:
        place, value = _change("--limit", change, "limit=value", "max_accuracy_drop=0.01")
        _limit(table, place, value)
    return from_tables(table, "--limit")


def from_table(table: Mapping[str, Any], path: Path) -> Recipe:
    """Check a recipe's table. Raises RecipeError with the path of the wrong key, the value and the choices."""
    raw = build(_Tables, table, str(path), RecipeError)
    data = build(DataSettings, raw.data, f"{path}: data", RecipeError)
    stages = _line(raw.stage, f"{path}: stage")
    budget = raw.max_accuracy_drop or 0.0
    attempts = tuple(_attempt(entry, f"{path}: attempt[{i}]", budget) for i, entry in enumerate(raw.attempt))
    exports = tuple(_plug_in("exports", entry, f"{path}: export[{i}]") for i, entry in enumerate(raw.export))
    if not exports and not attempts:
        raise RecipeError(f'{path}: no [[export]]; a run must write a file, for example use = "tflite"')
    if (raw.max_accuracy_drop is None) == bool(attempts):
        raise RecipeError(f"{path}: max_accuracy_drop and [[attempt]] belong together: the first attempt that loses no more is taken")
    ours = {name for attempt in attempts for name in (attempt.product, attempt.alternative)}
    seen = set[str]()
    if len({attempt.name for attempt in attempts}) < len(attempts):
        raise RecipeError(f"{path}: two attempts have one name")
    for index, export in enumerate(exports):
        if export.name in ours:
            raise RecipeError(f"{path}: export[{index}] writes {export.name}, as the attempts do; take it out")
        if export.name in seen:
            raise RecipeError(f"{path}: export[{index}] writes {export.name} a second time; take it out or change its settings")
        seen.add(export.name)
    gate = from_tables(raw.gate, str(path))
    return Recipe(path.stem, raw.description, raw.seed, data, stages, exports, attempts, budget, gate)


def _line(entries: Sequence[Mapping[str, Any]], where: str) -> tuple[Stage, ...]:
    """Stages, of which each takes what the one before gives."""
    stages = tuple(_plug_in("stages", entry, f"{where}[{i}]") for i, entry in enumerate(entries))
    for index, (first, then) in enumerate(itertools.pairwise(stages), 1):
        if first.produces != then.consumes:
            raise RecipeError(f"{where}[{index}] {name_of(then)!r} takes {then.consumes}, {name_of(first)!r} gives {first.produces}")
    return stages


def _attempt(entry: Mapping[str, Any], where: str, budget: float) -> Attempt:
    """An attempt; an export that searches within a budget has the recipe's, unless it has its own."""
    raw = build(_AttemptTable, entry, where, RecipeError)
    export = _plug_in("exports", raw.export, f"{where}.export")
    if "max_accuracy_drop" in export.__struct_fields__ and "max_accuracy_drop" not in raw.export:
        export = msgspec.structs.replace(export, max_accuracy_drop=budget)
    return Attempt(raw.name, _line(raw.stage, f"{where}.stage"), export, raw.needs)


def _plug_in(kind: str, entry: Mapping[str, Any], where: str) -> Any:
    if "use" not in entry:
        raise RecipeError(f"{where}: the key 'use' is missing; choose from {', '.join(registry.names(kind))}")
    cls = registry.find(kind, entry["use"], f"{where}.use", RecipeError)
    return build(cls, {key: value for key, value in entry.items() if key != "use"}, where, RecipeError)


def _change(option: str, change: str, form: str, example: str) -> tuple[str, Any]:
    """The place and the value of `place=value`; what is no TOML is text."""
    place, equals, text = change.partition("=")
    if not equals or not place or place.endswith("."):
        raise RecipeError(f"{option} {change}: write {form}, for example {option} {example}")
    try:
        return place, tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return place, text


def _apply(table: dict[str, Any], change: str) -> None:
    """Write `prune.sparsity=0.9`, `data.scale=1/255`, `gate.max_bytes=300000` or `seed=1` into a recipe's table."""
    place, value = _change("--set", change, "stage.key=value", "prune.sparsity=0.9")
    *owner, key = place.split(".", 1)
    if not owner:
        table[key] = value
    elif owner[0] == "data":
        table.setdefault("data", {})[key] = value
    elif owner[0] == "gate":
        for limits in tables_of(table.setdefault("gate", {}), f"--set {change}"):
            _limit(limits, key, value)
    else:
        attempts = table.get("attempt", ())
        tried = [step for attempt in attempts for step in (*attempt.get("stage", ()), attempt.get("export", {}))]
        steps = [*table.get("stage", ()), *tried, *table.get("export", ())]
        chosen = [step for step in steps if step.get("use") == owner[0]]
        if not chosen:
            known = ["data", "gate", *dict.fromkeys(str(step.get("use")) for step in steps)]
            raise RecipeError(f"--set {change}: the recipe has no {owner[0]!r}; {suggest(owner[0], known)}")
        for step in chosen:
            step[key] = value


def _limit(table: dict[str, Any], place: str, value: Any) -> None:
    """Write `max_bytes` or `baseline.max_bytes` into a table of limits."""
    inner = place.removeprefix("baseline.")
    (table if inner == place else table.setdefault("baseline", {}))[inner] = value
