"""What the child of a run tells about every operator of its .tflite files: facts of the file, Keras' names, and errors.

Names and errors are those of `secateur compare`, on fewer examples. The channels before pruning come from a conversion
of the model the run started from: Keras layers keep their names whatever stages follow.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from toolchain import ladder_jobs
from toolchain.data import Dataset
from toolchain.errors import ToolchainError
from toolchain.fidelity.findings import LayerError
from toolchain.fidelity.layers import layer_errors, short
from toolchain.fidelity.tflite_walk import shown_operators, without_inputs
from toolchain.ladder_jobs import NAMING_EXAMPLES, LayersJob, Opened, OpenJob
from toolchain.report import LayerReport
from toolchain.stage import Note
from toolchain.tflite_file import TfliteFile
from toolchain.worker import Progress

EXAMPLES = 16
"""Examples on which errors are found, at most; memory may allow less."""
LARGEST_MACS = 5_000_000_000
"""MACs of one inference beyond which no errors are sought: an example costs five inferences, in kernels of one thread."""


class Exported(msgspec.Struct, frozen=True):
    """A .tflite of a run, and the model it was exported from."""

    name: str
    path: Path
    model: Path


class LayerReportsJob(msgspec.Struct, frozen=True):
    """The files of a run, and what they are compared on."""

    original: Path
    files: tuple[Exported, ...]
    data: Dataset | None
    synthetic: tuple[float, float]
    seed: int
    trust: bool
    compared: bool = True
    """Open the models, too; without them there are only the facts of the files."""


class LayerReports(msgspec.Struct, frozen=True):
    """The layers of every file by its name, which examples their errors were found on, and what is not known of them."""

    files: dict[str, tuple[LayerReport, ...]]
    used: dict[str, str] = {}
    notes: tuple[Note, ...] = ()


class Known(msgspec.Struct, frozen=True):
    """What a comparison with its model tells about a file, by the places of operators."""

    names: dict[int, str] = {}
    errors: dict[int, LayerError] = {}
    examples: int = 0
    notes: tuple[Note, ...] = ()


def layer_reports(job: LayerReportsJob, progress: Progress) -> LayerReports:
    """Describe every file; what cannot be compared is a note. Raises ModelError for a file that is no .tflite."""
    with tempfile.TemporaryDirectory() as folder:
        opened, notes = _opened(job, Path(folder), progress) if job.compared else ({}, [])
        before = _widths(opened[job.original]) if job.original in opened else {}
        files, examples = dict[str, tuple[LayerReport, ...]](), set[int]()
        for one in job.files:
            progress(f"{one.name}: layers", len(files), len(job.files))
            file, model = TfliteFile.read(one.path), opened.get(one.model)
            known = _known(LayersJob(one.name, model, one.path, Path(folder) / "inputs.npz"), file) if model else Known()
            examples |= {known.examples} if known.errors else set()
            notes += known.notes
            files[one.name] = tuple(_completed(layer, known, before) for layer in facts(file))
    return LayerReports(files, _used(job, examples), tuple(notes))


def facts(file: TfliteFile) -> list[LayerReport]:
    """What the file itself says about each operator. Weights that other operators only unpack count where they are used."""
    makers = {tensor: index for index, op in enumerate(file.operators) for tensor in op.outputs}
    constant, trained = without_inputs(file), {tensor.index for tensor in file.weights}
    held = {tensor: {tensor} for tensor in trained}
    rows = []
    for index, op in enumerate(file.operators):
        weights = set[int]().union(*(held.get(tensor, ()) for tensor in op.inputs))
        if op.outputs and op.outputs[0] in constant:
            held |= dict.fromkeys(op.outputs, weights)
            weights = set()
        made = file.tensors[op.outputs[0]] if op.outputs else None
        row = LayerReport(
            index=index,
            name=short(made.name) if made else op.name,
            operator=op.name,
            reads=tuple(dict.fromkeys(makers.get(i, -1) for i in op.inputs if i in makers or i in file.inputs)),
            shape=made.shape if made else (),
            parameters=sum(file.tensors[i].elements for i in weights),
            nonzero_parameters=sum(file.nonzero(file.tensors[i]) for i in weights),
            macs=op.macs,
            channels=made.shape[-1] if weights and made and made.shape else None,
            channels_before=None,
        )
        rows.append(row)
    return rows


def _opened(job: LayerReportsJob, folder: Path, progress: Progress) -> tuple[dict[Path, Opened], list[Note]]:
    """The original and every model that files were exported from, converted and named where that is possible."""
    opened, notes = dict[Path, Opened](), list[Note]()
    for index, path in enumerate(dict.fromkeys([job.original, *(one.model for one in job.files)])):
        draw = OpenJob(path, folder, str(index), folder / "inputs.npz", job.data, EXAMPLES, job.synthetic, job.seed, job.trust)
        try:
            opened[path] = ladder_jobs.open_model(draw, progress)
        except ToolchainError as err:
            notes.append(Note("names and errors of layers, channels before", str(err)))
        else:
            notes += [Note("names of layers", note) for note in opened[path].notes]
    return opened, list(dict.fromkeys(notes))


def _known(job: LayersJob, file: TfliteFile) -> Known:
    """Names of a file's operators, and errors where it is quantized."""
    quantized, macs = file.scheme != "float32", file.macs or 0
    sought = quantized and macs <= LARGEST_MACS
    try:
        found = ladder_jobs.walked(job, EXAMPLES if sought else NAMING_EXAMPLES)
    except ToolchainError as err:
        return Known(notes=(Note(f"names and errors of layers of {job.name}", str(err)),))
    places = _places(file)
    names = {places[place]: found.called[one.reference] for place, one in found.matches.items() if place in places}
    if not sought:
        why = f"{macs:,} MACs; secateur compare finds them, which takes minutes"
        return Known(names, notes=(Note(f"errors of layers of {job.name}", why),) if quantized else ())
    rows, missing = layer_errors(found.reference, found.walk, found.matches, found.called)
    errors = {places[place]: row for place, row in zip(found.matches, rows, strict=True) if place in places}
    reasons = [Note(f"errors of layers of {job.name}: {len(missing)} of {len(rows)} cannot be run alone", missing[0])] if missing else []
    return Known(names, errors, found.examples, tuple(reasons))


def _places(file: TfliteFile) -> dict[int, int]:
    """Operators by the places of their sites in a walk."""
    return {place: index for place, (index, _) in enumerate(shown_operators(file), len(file.inputs))}


def _widths(original: Opened) -> dict[str, int]:
    """Channels of the original's Keras layers, by the layer's name."""
    file = TfliteFile.read(original.path)
    names = {index: original.names[place] for place, index in _places(file).items() if place in original.names}
    wide = [(layer, layer.channels) for layer in facts(file) if layer.channels is not None and layer.index in names]
    return {part: channels for layer, channels in wide for part in _parts(names[layer.index])}


def _completed(layer: LayerReport, known: Known, before: Mapping[str, int]) -> LayerReport:
    """The facts with all that is known beside them."""
    name, error = known.names.get(layer.index, layer.name), known.errors.get(layer.index)
    width = next((before[part] for part in _parts(name) if part in before), None)
    return msgspec.structs.replace(
        layer,
        name=name,
        channels_before=None if layer.channels is None else width,
        own_db=error.own_db if error else None,
        level_db=error.level_db if error else None,
    )


def _parts(name: str) -> list[str]:
    """The Keras layers in a name: `conv + norm + relu`, or `answer (FULLY_CONNECTED)` for an operator within one."""
    return re.sub(r" \([A-Z0-9_]+\)$", "", name).split(" + ")


def _used(job: LayerReportsJob, examples: set[int]) -> dict[str, str]:
    if not examples:
        return {}
    count = min(examples)
    return {"errors of layers": job.data.describe("test", count) if job.data else f"{count} random inputs"}
