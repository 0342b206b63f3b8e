"""What the children of `secateur compare` do: one opens the Keras models, the others need no TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from toolchain.artifact import Format, sniff
from toolchain.comparison import Distance
from toolchain.data import Array, Dataset, balanced_sample
from toolchain.errors import ModelError, ToolchainError
from toolchain.fidelity import engines
from toolchain.fidelity.anomalies import anomalies
from toolchain.fidelity.engines import Answers
from toolchain.fidelity.findings import Anomaly, EngineDifference, FileLayers, Rung
from toolchain.fidelity.keras_names import Names, names
from toolchain.fidelity.layers import blame, layer_errors, short
from toolchain.fidelity.matching import Match, match, unmatched
from toolchain.fidelity.onnx_walk import OnnxWalk
from toolchain.fidelity.sites import Walk
from toolchain.fidelity.tflite_walk import TfliteWalk
from toolchain.keras_function import ModelFunction, open_function
from toolchain.measure import accuracy
from toolchain.measure.fidelity import agreement
from toolchain.onnx_file import OnnxFile
from toolchain.optional import require
from toolchain.runners import open_runner
from toolchain.tflite_file import TfliteFile
from toolchain.worker import Progress

NAMING_EXAMPLES = 2
"""Examples on which a tensor of the converted file has to equal a layer's."""
LAYER_EXAMPLES = 32
"""Examples that are looked at layer by layer, at most."""
LAYER_VALUES = 40_000_000
"""Values of one walk that are kept, at most (160 MB)."""


class Opened(msgspec.Struct, frozen=True):
    """A model whose outputs are known, and a file of it that can be taken apart."""

    path: Path
    """The .tflite or .onnx itself, or the float .tflite that was converted from the Keras model."""
    outputs: Path
    runtime: str
    names: dict[int, str]
    """What Keras calls the file's sites."""
    unmatched: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class OpenJob(msgspec.Struct, frozen=True):
    """A model or a Keras file to open, on examples that the first one draws."""

    path: Path
    folder: Path
    """Where outputs and converted files go."""
    name: str
    """What files in it begin with."""
    inputs: Path
    """Drawn and written where it is missing."""
    data: Dataset | None
    examples: int
    synthetic: tuple[float, float]
    seed: int
    trust: bool
    named: bool = True
    """Find out what Keras calls the converted file's tensors."""


class RunJob(msgspec.Struct, frozen=True):
    """A file on one engine, against the model's outputs."""

    name: str
    path: Path
    engine: str
    answers: Path
    """Where its outputs go."""
    inputs: Path
    reference: Path


class LayersJob(msgspec.Struct, frozen=True):
    """A file against the model, layer by layer."""

    name: str
    reference: Opened
    path: Path
    inputs: Path


def open_model(job: OpenJob, progress: Progress) -> Opened:
    """Outputs of a model of any kind; a Keras model is also converted. Raises ModelError, DataError."""
    if sniff(job.path) in (Format.KERAS, Format.SAVED_MODEL):
        return _open_keras(job, progress)
    runner = open_runner(job.path)
    progress(f"{job.path.name}: outputs", 0, 0)
    rng_inputs = [_random(shape, i, job) for shape, i in zip(runner.input_shapes, runner.integer_inputs, strict=True)]
    outputs = job.folder / f"{job.name}.npz"
    _save(outputs, runner.predict(_examples(job, runner.input_shapes, rng_inputs)), runner.runtime)
    return Opened(job.path, outputs, runner.runtime, {})


def _open_keras(job: OpenJob, progress: Progress) -> Opened:
    progress(f"{job.path.name}: loading", 0, 0)
    function = open_function(job.path, trust=job.trust)
    inputs = _examples(job, function.input_shapes, function.synthetic(job.examples, job.synthetic, job.seed + 1))
    found = function.predict(inputs)
    outputs, converted = job.folder / f"{job.name}.npz", job.folder / f"{job.name}.tflite"
    runtime = f"tensorflow {require('tensorflow', 'tf').__version__}"
    _save(outputs, found[0], runtime)
    progress(f"{job.path.name}: converting", 0, 0)
    converted.write_bytes(_float_tflite(function))
    few = [x[:NAMING_EXAMPLES] for x in inputs]
    known = Names({}, (), ())
    if sniff(job.path) is Format.SAVED_MODEL:
        known = Names({}, (), ("layers carry the converter's names: a SavedModel has none of its own",))
    elif job.named:
        known = names(function.source, few, TfliteWalk(converted, few).sites)
    several = (f"{job.path.name} has {len(found)} outputs, the first is compared",) if len(found) > 1 else ()
    return Opened(converted, outputs, runtime, known.sites, known.unmatched, (*known.notes, *several))


def _float_tflite(function: ModelFunction) -> bytes:
    try:
        content: bytes = require("tensorflow", "tf").lite.TFLiteConverter.from_concrete_functions([function.frozen()]).convert()
    except Exception as err:  # the converter raises many kinds, all of them about this model
        raise ModelError(f"TFLiteConverter failed: {str(err).strip().splitlines()[0][:300]}") from err
    return content


def _examples(job: OpenJob, shapes: list[tuple[int, ...]], synthetic: list[Array]) -> list[Array]:
    """Examples of the test split, or random ones: drawn by the first model, the same for all."""
    if job.inputs.exists():
        found = _load(job.inputs)
        given = [found[f"input_{i}"] for i in range(len(found) - ("labels" in found))]
        if [x.shape[1:] for x in given] != list(shapes):
            raise ModelError(f"{job.path}: takes inputs {[list(s) for s in shapes]}, the model {[list(x.shape[1:]) for x in given]}")
        return given
    labels: dict[str, Array] = {}
    if job.data is None:
        inputs = synthetic
    else:
        job.data.check_inputs(shapes)
        x, y = job.data.raw("test")
        chosen = balanced_sample(len(x), y, min(job.examples, len(x)), job.seed)
        inputs = [job.data.inputs("test", chosen)]
        labels = {} if y is None else {"labels": np.asarray(y)[chosen]}
    np.savez(job.inputs, **{f"input_{i}": x for i, x in enumerate(inputs)}, **labels)  # type: ignore[arg-type]
    return inputs


def _random(shape: tuple[int, ...], integer: bool, job: OpenJob) -> Array:
    rng = np.random.default_rng(job.seed + 1)
    size = (job.examples, *shape)
    return rng.integers(0, 2, size) if integer else rng.uniform(*job.synthetic, size).astype(np.float32)


def judge(job: RunJob, progress: Progress) -> Rung:
    """Run a file on an engine, or take outputs that are there, and compare. What the engine refuses is a rung with its reason."""
    progress(f"{job.name} on {job.engine}", 0, 0)
    try:
        scheme = _scheme(job.path)
        if not job.answers.exists():
            found = engines.answers(job.path, job.engine, _inputs(job.inputs))
            _save(job.answers, found.real, found.runtime, found.stored)
    except ToolchainError as err:
        return Rung(job.name, "", job.engine, None, str(err))
    return rung(job, scheme)


def rung(job: RunJob, scheme: str) -> Rung:
    """The comparison of outputs that are on disk."""
    given, expected = _load(job.answers), _load(job.reference)["outputs"]
    real, runtime = given["outputs"], str(given["runtime"])
    made = Rung(job.name, scheme, job.engine, runtime, None)
    if real.shape != expected.shape:
        shapes = f"{list(real.shape[1:])}, the model's {list(expected.shape[1:])}"
        return msgspec.structs.replace(made, reason=f"its outputs have the shape {shapes}")
    if not np.isfinite(expected).all():
        return msgspec.structs.replace(made, reason="the model's own outputs are NaN or infinite")
    if not np.isfinite(real).all():
        return msgspec.structs.replace(made, reason=f"{(~np.isfinite(real)).sum():,} of {real.size:,} outputs are NaN or infinite")
    labels = _load(job.inputs).get("labels")
    score = None if labels is None else accuracy.score(real, labels)
    return msgspec.structs.replace(made, distance=Distance.between(expected, real), agreement=agreement(real, expected), score=score)


class DifferJob(msgspec.Struct, frozen=True):
    """The answers of several engines to the same inputs, by engine."""

    name: str
    answers: dict[str, Path]


def differ(job: DifferJob, progress: Progress) -> list[EngineDifference]:
    """Set every two engines side by side."""
    del progress
    files = {engine: _load(path) for engine, path in job.answers.items()}
    return engines.differences(job.name, {e: Answers(str(f["runtime"]), f["outputs"], f["stored"]) for e, f in files.items()})


class Walked(msgspec.Struct, frozen=True):
    """A file and its model taken apart on the same examples, and which site is which."""

    examples: int
    reference: Walk
    walk: Walk
    matches: dict[int, Match]
    called: dict[int, str]
    """What the model's sites are called, by their places."""


def walked(job: LayersJob, most: int = LAYER_EXAMPLES) -> Walked:
    """Take both apart on the first examples. Raises ModelError."""
    inputs = _few(job, most)
    reference, walk = _walk(job.reference.path, inputs), _walk(job.path, inputs)
    called = {place: job.reference.names.get(place, short(site.name)) for place, site in enumerate(reference.sites)}
    return Walked(len(inputs[0]), reference, walk, match(reference.sites, walk.sites, (reference.output, walk.output)), called)


def layers(job: LayersJob, progress: Progress) -> FileLayers:
    """Every layer of a file against the model, and the one to blame. Raises ModelError."""
    progress(f"{job.name}: layers", 0, 0)
    found = walked(job)
    reference, walk, matches, called = found.reference, found.walk, found.matches, found.called
    rows, notes = layer_errors(reference, walk, matches, called)
    mine = {place: called[found.reference] for place, found in matches.items()}
    first = frozenset(place for place, found in matches.items() if found.channels_first)
    missing = unmatched(reference.sites, {found.reference for found in matches.values()})
    extra = unmatched(walk.sites, set(matches))
    return FileLayers(
        job.name, found.examples, tuple(rows), blame(rows, len(missing)), tuple(anomalies(walk.sites, mine, first)),
        tuple(called[place] for place in missing), tuple(walk.sites[place].name for place in extra),
        (*walk.notes, *notes),
    )  # fmt: skip


def model_anomalies(job: LayersJob, progress: Progress) -> list[Anomaly]:
    """Dead, constant, saturated and broken channels of the model itself."""
    progress(f"{job.name}: channels", 0, 0)
    sites = _walk(job.reference.path, _few(job)).sites
    return list(anomalies(sites, {place: job.reference.names.get(place, short(site.name)) for place, site in enumerate(sites)}))


def _few(job: LayersJob, most: int = LAYER_EXAMPLES) -> list[Array]:
    """The first examples, as many as memory allows and at most `most`."""
    inputs = _inputs(job.inputs)
    one = sum(site.values.size for site in _walk(job.reference.path, [x[:1] for x in inputs]).sites)
    return [x[: max(1, min(most, LAYER_VALUES // one))] for x in inputs]


def _walk(path: Path, inputs: list[Array]) -> Walk:
    return TfliteWalk(path, inputs) if sniff(path) is Format.TFLITE else OnnxWalk(path, inputs)


def _scheme(path: Path) -> str:
    format = sniff(path)
    if format is Format.TFLITE:
        return TfliteFile.read(path).scheme
    return OnnxFile.read(path).scheme if format is Format.ONNX else "float32"


def _inputs(path: Path) -> list[Array]:
    found = _load(path)
    return [found[f"input_{i}"] for i in range(len(found) - ("labels" in found))]


def _save(path: Path, outputs: Array, runtime: str, stored: Array | None = None) -> None:
    np.savez(path, outputs=outputs, stored=outputs if stored is None else stored, runtime=np.asarray(runtime))


def _load(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)
