"""MODEL_CARD.md: what a person reads before the model is shipped, with the front matter that Hugging Face's hub reads.

Facts only, each from the manifest or the report; what nobody stated is said to be not stated.
Front matter: https://huggingface.co/docs/hub/model-cards; sections after Mitchell et al. 2019, "Model Cards for Model Reporting".
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, Final

import msgspec

from toolchain import target_rows
from toolchain.artifact import Format
from toolchain.optional import require
from toolchain.recommendation import loss, recommend
from toolchain.release.license import UNSTATED
from toolchain.release.manifest import Manifest, ModelFile
from toolchain.release.templates import environment
from toolchain.report import Report, percent

METRICS: Final = {"top1": "accuracy", "auc": "roc_auc", "mean_absolute_error": "mae"}
"""Names of the hub's metrics."""
TASKS: Final = {"top1": "classification", "auc": "binary-classification", "mean_absolute_error": "regression"}
LICENSES: Final = frozenset(
    "apache-2.0 mit bsd-2-clause bsd-3-clause isc cc0-1.0 cc-by-4.0 cc-by-sa-4.0 cc-by-nc-4.0 cc-by-nc-sa-4.0 mpl-2.0 unlicense".split()
)
"""SPDX identifiers that the hub knows in lower case; any other is `other` with its name (docs/hub/repositories-licenses)."""


class ClassChange(msgspec.Struct, frozen=True):
    """A class that a file answers better or worse than the original."""

    label: str
    examples: int
    original: int
    """Right answers."""
    found: int


class Stage(msgspec.Struct, frozen=True):
    """One step of the recipe with what was set."""

    name: str
    settings: str


def model_card(manifest: Manifest, report: Report) -> bytes:
    """The card in Markdown. Needs the extra `release`."""
    names = {PurePosixPath(model.path).name for model in manifest.models}
    others = {row.name for row in report.artifacts} - names

    def concerns(step: str) -> bool:
        """Whether it is not about a file that this release leaves out."""
        return others.isdisjoint(step.split())

    rendered: str = (
        environment("markdown")
        .get_template("MODEL_CARD.md.j2")
        .render(
            manifest=manifest,
            report=report,
            name_of=lambda model: PurePosixPath(model.path).name,
            choices=recommend(report),
            others=others,
            stages=[_stage(entry) for entry in manifest.settings.get("stages", ()) if isinstance(entry, dict)],
            used=[(step.name, what, said) for step in report.steps if concerns(step.name) for what, said in step.examples.items()],
            skipped=[entry for entry in report.skipped if concerns(entry.step)],
            lost=lambda model: loss(model.measurements, manifest.original, manifest.data).said,
            changes=lambda model: list(_changes(model, manifest)),
            percent=percent,
            target_row=target_rows.row,
            findings=target_rows.findings,
            onnx=Format.ONNX,
            unstated=UNSTATED,
        )
    )
    return f"---\n{_front_matter(manifest)}---\n\n{rendered}".encode()


def _front_matter(manifest: Manifest) -> str:
    """YAML by its library, which quotes whatever a name holds."""
    formats = sorted({model.format for model in manifest.models})
    known = manifest.license.lower() in LICENSES
    license = {"license": manifest.license.lower()} if known else {"license": "unknown"} if manifest.license == UNSTATED else {
        "license": "other", "license_name": manifest.license, "license_link": "LICENSE",
    }  # fmt: skip
    scored = [model for model in manifest.models if model.measurements.metric in METRICS and model.measurements.accuracy is not None]
    front: dict[str, Any] = {
        **license,
        "library_name": formats[0] if len(formats) == 1 else "tflite",
        "tags": [*formats, *sorted({model.scheme for model in manifest.models}), "secateur"],
    }
    if scored and manifest.data:
        front["metrics"] = sorted({METRICS[str(model.measurements.metric)] for model in scored})
        front["model-index"] = [{"name": manifest.name, "results": [_result(model, manifest) for model in scored]}]
    written: str = require("yaml", "release").safe_dump(front, sort_keys=False, allow_unicode=True, width=1 << 16)
    return written


def _result(model: ModelFile, manifest: Manifest) -> dict[str, Any]:
    """One file's score as an entry of model-index."""
    assert manifest.data is not None
    found = model.measurements
    arguments: dict[str, Any] = {"file": model.path, "examples": found.accuracy_examples}
    if found.accuracy_interval:
        arguments["interval_95"] = [float(bound) for bound in found.accuracy_interval]
    metric = {"type": METRICS[str(found.metric)], "value": found.accuracy, "name": f"{found.metric} of {model.path}", "args": arguments}
    data = {"type": manifest.data.name, "name": manifest.data.name, "split": "test", "args": {"sha256": manifest.data.digest}}
    return {"task": {"type": TASKS[str(found.metric)]}, "dataset": data, "metrics": [metric]}


def _stage(entry: dict[str, Any]) -> Stage:
    """A stage with the settings that say something; all of them stand in manifest.json."""
    kept = {key: value for key, value in entry.items() if key != "use" and value not in (None, [], {}, False)}
    return Stage(str(entry.get("use", "?")), ", ".join(f"{key} = {value}" for key, value in kept.items()))


def _changes(model: ModelFile, manifest: Manifest) -> Iterator[ClassChange]:
    """The classes with more or fewer right answers than the original model has, the largest loss first."""
    found, original = model.measurements.answers, manifest.original.answers
    if found is None or original is None or found.support != original.support:
        return
    rows = [
        ClassChange(manifest.labels[place] if place < len(manifest.labels) else str(place), examples, before, after)
        for place, (examples, before, after) in enumerate(zip(found.support, original.hits, found.hits, strict=True))
        if before != after
    ]
    yield from sorted(rows, key=lambda row: row.found - row.original)
