"""bom.cdx.json: the release as a machine-learning bill of materials, CycloneDX 1.6 (ECMA-424), validated before it is written.

What the library has types for, it writes: components, hashes, licences, dependencies. Model cards and data sets, which it
lacks, are added to its JSON in the words of the specification, and the whole is held against the official schema.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from toolchain.errors import BundleError
from toolchain.optional import require
from toolchain.release.license import UNSTATED
from toolchain.release.manifest import Manifest, ModelFile
from toolchain.report import ArtifactReport
from toolchain.untrusted import read
from toolchain.worker import Progress

NAME: Final = "bom.cdx.json"
MOST_BYTES: Final = 1 << 20
"""Of one that is validated: the schema's uniqueItems compare every two entries of a list."""

_NAMESPACE: Final = uuid.UUID("5f0c9b62-57a6-5f0a-9a1e-0d8d4b0f3c11")
"""Of serial numbers: a release has the one of its content, so that the same release has the same."""

_ROOT, _ORIGINAL, _DATA = "release", "original", "data"


class Check(msgspec.Struct, frozen=True):
    """A bill of materials from elsewhere."""

    path: Path


class Checked(msgspec.Struct, frozen=True):
    """What is against it."""

    problem: str | None


def check(job: Check, progress: Progress) -> Checked:
    """Validate a file. Runs in a child process, because a schema can take hours on what was made for it."""
    progress(job.path.name, 0, 0)
    try:
        problem = complaints(read(job.path, MOST_BYTES, BundleError).decode())
    except (ValueError, RecursionError) as err:
        return Checked(f"no JSON ({err})")
    return Checked(problem and f"breaks CycloneDX's schema ({problem.splitlines()[0][:200]})")


def bom(manifest: Manifest) -> bytes:
    """The bill of materials as JSON. Needs the extra `release`."""
    require("cyclonedx", "release")
    document = json.loads(_by_library(manifest))
    del document["metadata"]["timestamp"]  # a clock
    document.pop("serialNumber", None)
    cards = {_ROOT: None, _ORIGINAL: _original_card(manifest)} | {model.path: _card(model, manifest) for model in manifest.models}
    for component in document["components"]:
        if card := cards.get(component["bom-ref"]):
            component["modelCard"] = card
        if component["bom-ref"] == _DATA:
            component["data"] = [_data(manifest)]
    serial = uuid.uuid5(_NAMESPACE, json.dumps(document, sort_keys=True))
    content = json.dumps(document | {"serialNumber": f"urn:uuid:{serial}"}, indent=1, sort_keys=True) + "\n"
    if found := complaints(content):
        raise AssertionError(f"the bill of materials breaks CycloneDX's schema: {found}")
    return content.encode()


def complaints(content: str) -> str | None:
    """What CycloneDX's strict schema says against a bill of materials; None where it is valid."""
    require("cyclonedx", "release")
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    found = JsonStrictValidator(SchemaVersion.V1_6).validate_str(content)
    return None if found is None else str(found)


def _by_library(manifest: Manifest) -> str:
    """Components, hashes, licences and dependencies."""
    from cyclonedx.factory.license import LicenseFactory
    from cyclonedx.model import HashAlgorithm, HashType, Property
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.tool import ToolRepository
    from cyclonedx.output.json import JsonV1Dot6

    licenses = [] if manifest.license == UNSTATED else [LicenseFactory().make_from_string(manifest.license)]
    hashes = {file.path: file.sha256 for file in manifest.files}
    kind = ComponentType.MACHINE_LEARNING_MODEL

    def sha256(digest: str) -> list[Any]:
        return [HashType(alg=HashAlgorithm.SHA_256, content=digest)]

    root = Component(
        bom_ref=_ROOT, type=ComponentType.APPLICATION, name=manifest.name, version=manifest.version,
        description=manifest.description or None, licenses=licenses,
    )  # fmt: skip
    original = Component(
        bom_ref=_ORIGINAL, type=kind, name=manifest.original.name,
        hashes=sha256(manifest.original.digest), description="The model that the run started from.",
    )  # fmt: skip
    models = [
        Component(
            bom_ref=model.path, type=kind, name=model.path, version=manifest.version, licenses=licenses,
            hashes=sha256(hashes[model.path]) if model.path in hashes else [],
            properties=[Property(name=f"secateur:{key}", value=value) for key, value in sorted(_properties(model).items())],
        )
        for model in manifest.models
    ]  # fmt: skip
    data = [Component(bom_ref=_DATA, type=ComponentType.DATA, name=manifest.data.name)] if manifest.data else []
    tools = [Component(bom_ref=f"tool:{name}", type=ComponentType.APPLICATION, name=name, version=version)
             for name, version in sorted({"secateur": manifest.secateur, **manifest.tools}.items())]  # fmt: skip
    found = Bom(components=[original, *models, *data], metadata=BomMetaData(component=root, tools=ToolRepository(components=tools)))
    found.register_dependency(root, models)
    for model in models:
        found.register_dependency(model, [original, *data])
    return JsonV1Dot6(found).output_as_string()


def _properties(model: ModelFile) -> dict[str, str]:
    """What CycloneDX has no field for."""
    found = {
        "format": model.format, "scheme": model.scheme, "run_digest": model.run_digest, "minimum_runtime": model.minimum_runtime,
        "operators": ", ".join(f"{op.name} v{op.version}" for op in model.operators),
    }  # fmt: skip
    return {key: value for key, value in found.items() if value}


def _card(model: ModelFile, manifest: Manifest) -> dict[str, Any]:
    """The model card of a file; what nobody stated has no place in it."""
    measured = model.measurements
    return _without_nothing(
        {
            "modelParameters": {
                "task": _task(measured),
                "datasets": [{"ref": _DATA}] if manifest.data else [],
                "inputs": [{"format": _format(tensor.dtype, tensor.shape)} for tensor in model.inputs],
                "outputs": [{"format": _format(tensor.dtype, tensor.shape)} for tensor in model.outputs],
            },
            "quantitativeAnalysis": {
                "performanceMetrics": [
                    *_metric(measured.metric, measured.accuracy, measured.accuracy_interval, "test split"),
                    *_metric("agreement with the original", measured.agreement, None, "test split"),
                    *(_timed(measured)),
                ]
            },
            "considerations": {"technicalLimitations": [*measured.notes]},
        }
    )


def _original_card(manifest: Manifest) -> dict[str, Any]:
    original = manifest.original
    metrics = [*_metric(original.metric, original.accuracy, original.accuracy_interval, "test split")]
    return _without_nothing({"quantitativeAnalysis": {"performanceMetrics": metrics}})


def _task(measured: ArtifactReport) -> str | None:
    """Known where the metric tells it."""
    return "classification" if measured.answers is not None else None


def _format(dtype: str, shape: tuple[int | None, ...]) -> str:
    return f"{dtype}[{', '.join('any' if size is None else str(size) for size in shape)}]"


def _metric(name: str | None, value: float | None, interval: tuple[float, float] | None, part: str) -> Iterator[dict[str, Any]]:
    if name is not None and value is not None:
        bounds = {"confidenceInterval": {"lowerBound": f"{interval[0]:.6g}", "upperBound": f"{interval[1]:.6g}"}} if interval else {}
        yield {"type": name, "value": f"{value:.6g}", "slice": part} | bounds


def _timed(measured: ArtifactReport) -> Iterator[dict[str, Any]]:
    if latency := measured.latency:
        yield from _metric("latency p50 in ms", latency.p50_ms, latency.interval_ms, f"{latency.how} on the host by {latency.runtime}")


def _data(manifest: Manifest) -> dict[str, Any]:
    assert manifest.data is not None
    data = manifest.data
    properties = {"sha256": data.digest, "train": data.train, "validation": data.validation, "test": data.test, "seed": data.seed}
    return {
        "bom-ref": "data:contents",
        "type": "dataset",
        "name": data.name,
        "contents": {"properties": [{"name": f"secateur:{key}", "value": str(value)} for key, value in properties.items()]},
    }


def _without_nothing(fields: dict[str, Any]) -> dict[str, Any]:
    """Without fields that hold nothing: the schema has no null."""
    kept = {key: _without_nothing(held) if isinstance(held, dict) else held for key, held in fields.items()}
    return {key: held for key, held in kept.items() if held not in (None, [], {})}
