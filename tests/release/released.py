"""A small manifest and report for the tests of what a release contains."""

from __future__ import annotations

import hashlib

import msgspec
import numpy as np
from conftest import HERE

from toolchain.release.manifest import Golden, Listed, Manifest, ModelFile, OperatorFacts, TensorFacts
from toolchain.report import Answers, ArtifactReport, Changed, DataReport, HostFacts, Latency, ModelReport, Report, TargetReport
from toolchain.runners.litert import LiteRT

HOSTILE = (
    "<script>alert(1)</script>",
    "a | b\n---\n# c",
    "*/ int x; /* */ ${user.home} %s",
    "'''\n\"\"\"; import os",
    "{{ 7 * 7 }}{% raw %}",
    "!!python/object:os.system [x](javascript:alert(1))",
    "- &a *a ? : `x` ![i](http://e/x.png) www.example.com @you",
    '\\" + exec() + \\"\\',
    "ünïcödé \u2028 \x00\x1b[31m ??/ \t",
)
"""Names that would do something in Markdown, HTML, YAML, C, Kotlin, Python or Jinja."""


def labels(count: int = 3) -> tuple[str, ...]:
    return ("cat", "dog", "owl", *(f"class {i}" for i in range(3, count)))[:count]


def measured(name: str, scheme: str, digest: str, size: int, accuracy: float = 0.9) -> ArtifactReport:
    """What a benchmark would have found."""
    latency = Latency("measured", "litert 2.3.0 xnnpack", 1, 0.1, 0.2, 0.3, 0.09, (0.095, 0.11), 5, 0.1, 0.1, (0.1, 0.2))
    answers = Answers((10, 10, 10), (9, 10, 7), ((9, 1, 0), (0, 10, 0), (1, 2, 7)), "", 2, 1, 4, (Changed(3, 2, 2, 1),))
    return ArtifactReport(
        name, name, "onnx" if name.endswith(".onnx") else "tflite", scheme, digest, "measured", size, size // 2, size // 2, 95, 90, 1000, {"CONV_2D": 2},
        metric="top1", accuracy=accuracy, accuracy_interval=(accuracy - 0.1, accuracy + 0.05), accuracy_examples=30, agreement=0.97, max_error=0.01, mean_error=0.001,
        latency=latency, answers=answers, targets=(TargetReport("stm32f746", True, (), 100_000, 20_000, ()),), notes=("measured on a busy host",),
    )  # fmt: skip


def tensors(path) -> tuple[tuple[TensorFacts, ...], tuple[TensorFacts, ...]]:
    """Inputs and outputs of a .tflite as LiteRT tells them."""
    runner = LiteRT(path)

    def facts(detail) -> TensorFacts:
        found = detail["quantization_parameters"]
        scale, zero = (float(found["scales"][0]), int(found["zero_points"][0])) if found["scales"].size else (None, None)
        return TensorFacts(detail["name"], tuple(map(int, detail["shape"])), np.dtype(detail["dtype"]).name, scale, zero)

    return tuple(map(facts, runner._inputs)), tuple(map(facts, runner.outputs))


def model_of(source, *, golden: Golden | None = None, scheme: str = "static_w8a8") -> ModelFile:
    content = source.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    inputs, outputs = tensors(source)
    return ModelFile(
        f"models/{source.name}", "tflite", scheme, digest, inputs, outputs, (OperatorFacts("CONV_2D", 3, 2), OperatorFacts("SOFTMAX", 2, 1)), "1.14.0", golden,
        measured(source.name, scheme, digest, len(content)), ("stm32f746",),
    )  # fmt: skip


def manifest_of(*models: ModelFile, **changes) -> Manifest:
    facts = {
        "name": "tiny", "version": "1.2.0", "license": "MIT", "description": "Says in which third a pixel is bright.", "secateur": "0.1.0", "recipe": "edge_int8",
        "settings": {"name": "edge_int8", "seed": 0, "stages": [{"use": "prune", "sparsity": 0.5}], "exports": [{"use": "tflite", "scheme": "static_w8a8"}]}, "seed": 0,
        "original": ModelReport("tiny.keras", "keras", "ab" * 32, 5000, 4000, 95, 95, "top1", 0.91, (0.8, 0.96)),
        "data": DataReport("shapes", "cd" * 32, 240, 30, 30, 1 / 255, 0.0, 0), "labels": labels(), "tools": {"tensorflow": "2.21.0", "numpy": "2.4.6"}, "models": models,
        "files": tuple(Listed(model.path, model.run_digest, model.measurements.bytes) for model in models),
    }  # fmt: skip
    return Manifest(**(facts | changes))


def report_of(manifest: Manifest) -> Report:
    """The report that the manifest's facts come from."""
    host = HostFacts("a processor", 2, 1 << 30, "Linux", "3.11.7", "unknown", dict(manifest.tools))
    return Report(
        secateur=manifest.secateur, recipe=manifest.recipe, settings=manifest.settings, model=manifest.original, data=manifest.data, host=host,
        artifacts=tuple(model.measurements for model in manifest.models), skipped=(), steps=(),
    )  # fmt: skip


def hostile(text: str) -> Manifest:
    """A manifest whose every name is `text`."""
    model = model_of(HERE / "data" / "tiny_int8.tflite")
    named = msgspec.structs.replace(
        model, scheme=text, recommended_for=(text,), minimum_runtime=text,
        inputs=tuple(msgspec.structs.replace(t, name=text) for t in model.inputs), outputs=tuple(msgspec.structs.replace(t, name=text) for t in model.outputs),
        operators=(OperatorFacts(text, 1, 1),),
        measurements=msgspec.structs.replace(model.measurements, name=text, notes=(text,), targets=(TargetReport(text, False, (text,), 1, 1, (), title=text),)),
    )  # fmt: skip
    base = manifest_of(named)
    return msgspec.structs.replace(
        base, name=text, description=text, recipe=text, labels=(text, text, text), tools={text: text}, settings={text: text},
        original=msgspec.structs.replace(base.original, name=text), data=msgspec.structs.replace(base.data, name=text),
    )  # fmt: skip
