"""Write a .tflite whose layers are int8, 16x8 or float, as few of them wide as the accuracy allows."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import numpy as np

from toolchain.artifact import Format
from toolchain.data import Array, balanced_sample
from toolchain.errors import ModelError, StageError
from toolchain.exports.tflite import Tflite
from toolchain.files import written
from toolchain.keras_function import ModelFunction, open_function
from toolchain.losses import label_loss
from toolchain.measure.drop import SLACK, drop
from toolchain.quantization import calibration, mixed, selective
from toolchain.quantization.pooling import as_means
from toolchain.quantization.selective import Precision
from toolchain.runners import open_runner
from toolchain.stage import Context, Export, Note, Outcome
from toolchain.task import are_probabilities, infer
from toolchain.tflite_file import TfliteFile
from toolchain.verification import as_details, calibration_inputs, one_by_one, verify

NOISELESS = 1e-20
"""Stands in for a noise of zero, whose ratio to the signal has no decibels."""


class MixedPrecision(Export, frozen=True, tag="mixed_precision", kw_only=True):
    """litert-quantizer, layer by layer, with weights per channel; inputs and outputs are float32.

    What a layer does is measured on the validation split, and so is the budget. The file needs a runtime with kernels of
    all its types, such as LiteRT.
    """

    produces: ClassVar[Format] = Format.TFLITE

    scheme: Literal["static_mixed"] = "static_mixed"
    max_accuracy_drop: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """What may be lost against the float file: a fraction of top-1, area under the curve or mean absolute error; without
    labels the share of other answers, or the output's relative error where there are no answers."""
    allow: tuple[Literal["int16", "float32"], ...] = ("int16", "float32")
    """Types that a layer may have beside int8."""
    examples: Annotated[int, msgspec.Meta(ge=1)] = 500
    """How many validation examples judge, the same number of each class."""

    def __post_init__(self) -> None:
        if not self.allow:
            raise ValueError('allow is empty: without int16 or float32 there is nothing to choose; use "tflite" with static_w8a8')

    @property
    def label(self) -> str:
        """The scheme, and the only type that is allowed where it is one."""
        return "_".join([self.scheme, *(self.allow if len(self.allow) == 1 else ())])

    @property
    def source(self) -> Export:
        """The float32 file whose operators get their types."""
        return Tflite(of=self.of)

    def run(self, model: Path, out: Path, context: Context) -> Outcome:
        """Raises StageError where the float file cannot be calibrated or quantized, ModelError where the file is wrong."""
        assert context.source is not None
        function = open_function(model, trust=context.trust)
        inputs, calibrated_on, notes = calibration_inputs(function, context)
        sample, labels, judged_on = self._sample(function, context)
        if labels is None:
            notes += (
                Note(
                    "choice of types",
                    "no labels were given: what counts are other answers than the float file's, or the output's relative error",
                ),
            )
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "float32.tflite"
            source.write_bytes(as_means(context.source.read_bytes()))
            ranges = calibration.read_ranges(calibration.calibrate(source.read_bytes(), one_by_one(inputs)))
            bench = _Bench(source, Path(folder) / "trial.tflite", ranges, sample, labels)
            sensitivity, trials = self._search(bench, context)
            best, met = mixed.chosen(trials, self.max_accuracy_drop + SLACK)
            if not met:
                types = ", ".join(("int8", *self.allow))
                why = f"no assignment of {types} loses {self.max_accuracy_drop:g} or less; this one loses {best.harm.drop:.4g}"
                notes += (Note("max_accuracy_drop", why),)
            with written(out) as scratch:
                refused = bench.write(scratch, best.wide, "int8")
                if refused and "float32" not in self.allow:
                    listed = "; ".join(f"{name}: {why}" for name, why in refused.items())
                    raise StageError(f'{self.name}: stays in float: {listed}; add "float32" to allow')
        notes += tuple(Note(name, f"{why}: stays in float32") for name, why in refused.items())
        if TfliteFile.read(out).activation_dtypes == ("FLOAT32",):
            notes += (Note(self.name, "the budget leaves no layer in integers"),)
        if "INT16" in TfliteFile.read(out).activation_dtypes:
            notes += (Note(self.name, "XNNPACK has no int16 kernels: on phones and here its wide layers are slower than float32"),)
        result, compared = verify(out, function, context, exact=False)
        used = {"calibration": calibrated_on, "choice of types": judged_on, "comparison": compared}
        details = {
            "chosen": _row(best),
            "pareto": [_row(trial) for trial in mixed.front([*trials, bench.float_trial])],
            "sensitivity": sensitivity,
        }
        return Outcome(notes, used, as_details(result) | details)

    def _sample(self, function: ModelFunction, context: Context) -> tuple[list[Array], Array | None, str]:
        """Validation inputs, their labels, and which examples they are."""
        data = context.data
        if data is None:
            return function.synthetic(64, context.synthetic, context.seed + 1), None, "64 random inputs"
        labels = data.raw("validation")[1]
        size = data.size("validation")
        picked = balanced_sample(size, labels, min(self.examples, size), context.seed)
        described = data.describe("validation", len(picked))
        return [data.inputs("validation", picked)], None if labels is None else np.asarray(labels[picked]), described

    def _search(self, bench: _Bench, context: Context) -> tuple[list[dict[str, Any]], list[mixed.Trial]]:
        """What each layer does alone, the worst for its cost first, and the trials of the search."""
        found = []
        for index, layer in enumerate(bench.layers):
            context.progress(f"{self.name}: sensitivity", index, len(bench.layers))
            found.append((layer, bench.attempt({layer.name: "int8"}, "float32")))
        found.sort(key=lambda pair: -pair[1].harm.noise / pair[0].work)
        context.progress(f"{self.name}: search", 0, 0)
        ranked = [layer.name for layer, _ in found]
        trials = mixed.search(ranked, self.allow, self.max_accuracy_drop + SLACK, lambda wide: bench.attempt(wide, "int8"))
        table = [
            {"layer": layer.name, "operator": layer.kind, "work": layer.work, "sqnr_db": _decibels(trial.harm.noise)}
            | {"drop": trial.harm.drop}
            | ({} if trial.harm.loss is None else {"loss": trial.harm.loss})
            for layer, trial in found
        ]
        return table, trials


class _Bench:
    """Writes a file for an assignment, runs it, and compares it with the float file."""

    def __init__(self, source: Path, scratch: Path, ranges: calibration.Ranges, inputs: list[Array], labels: Array | None) -> None:
        self._source, self._scratch, self._ranges, self._inputs, self._labels = source, scratch, ranges, inputs, labels
        file = TfliteFile.read(source)
        self.layers = mixed.layers(file)
        self._float_cost = mixed.cost(file)
        self._expected = open_runner(source).predict(inputs)
        harm = mixed.Harm(0.0, 0.0, self._loss(self._expected))
        self.float_trial = mixed.Trial(dict.fromkeys((layer.name for layer in self.layers), "float32"), 1.0, harm, source.stat().st_size)

    def write(self, out: Path, types: Mapping[str, Precision], default: Precision) -> dict[str, str]:
        """The file, and what could not be quantized in it."""
        return selective.quantize(self._source, out, mixed.assignment(self.layers, types, default), self._ranges)

    def attempt(self, types: Mapping[str, Precision], default: Precision) -> mixed.Trial:
        """Raises StageError where LiteRT refuses the mixture, and for outputs that are not finite."""
        self.write(self._scratch, types, default)
        try:
            found = open_runner(self._scratch).predict(self._inputs)
        except ModelError as err:
            why = str(err).removeprefix(f"{self._scratch}: ")
            raise StageError(f"types cannot be mixed in this model: {why}; choose one type for all, such as static_w8a16") from None
        if not np.isfinite(found).all():
            raise StageError(f"with the types {dict(types)} the outputs are NaN or infinite")
        noise = float(((found - self._expected) ** 2).mean() / max(float((self._expected**2).mean()), NOISELESS))
        harm = mixed.Harm(noise, drop(found, self._expected, self._labels).lost, self._loss(found))
        relative = mixed.cost(TfliteFile.read(self._scratch)) / self._float_cost
        return mixed.Trial(dict(types), relative, harm, self._scratch.stat().st_size)

    def _loss(self, found: Array) -> float | None:
        if self._labels is None:
            return None
        loss = label_loss(infer(self._expected, self._labels), are_probabilities(self._expected))
        return float(np.mean(loss(self._labels, found)))


def _decibels(noise: float) -> float:
    """Signal to quantization noise ratio."""
    return -10 * math.log10(max(noise, NOISELESS))


def _row(trial: mixed.Trial) -> dict[str, Any]:
    """A trial as it stands in a report."""
    loss = {} if trial.harm.loss is None else {"loss": trial.harm.loss}
    wide = {kind: [name for name, found in trial.wide.items() if found == kind] for kind in ("int16", "float32")}
    return wide | {"cost": trial.cost, "drop": trial.harm.drop, "sqnr_db": _decibels(trial.harm.noise), "bytes": trial.bytes} | loss
