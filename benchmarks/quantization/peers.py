"""Our int8 files beside those of litert-quantizer and of onnxruntime's static quantization, calibrated on the same examples.

The automatic recipe may lose 0.10 point on the validation split. Accuracy is on the test split; latency is interleaved over
all files of a model, on one thread.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.quantization import examples
from benchmarks.quantization.automatic import attempts, chosen, quantized
from benchmarks.quantization.tiny import FOLDER, POINT
from benchmarks.quantization.trained import trained
from benchmarks.structural.networks import RESNET8
from toolchain.artifact import Artifact
from toolchain.data import Array, Dataset, DataSettings
from toolchain.exports.onnx import Onnx
from toolchain.exports.tflite import Tflite
from toolchain.keras_function import open_function
from toolchain.measurement import Candidate, Options, measure
from toolchain.stage import Context
from toolchain.worker import silent

AUTOMATIC = "secateur, automatic"
FILES = {
    "float32": "float32.tflite",
    "secateur, plain": "plain.tflite",
    "litert-quantizer, static_wi8_ai8": "litert_quantizer.tflite",
    "onnxruntime, static minmax": "onnxruntime.onnx",
}


class Subject(msgspec.Struct, frozen=True):
    """A float model and its examples."""

    model: Callable[[], Path]
    data: Callable[[], Path]
    settings: DataSettings = DataSettings()


SUBJECTS = {
    "ResNet-8": Subject(lambda: RESNET8, examples.cifar10),
    "keyword spotting": Subject(lambda: FOLDER / "kws" / "kws_ref_model.keras", examples.keywords),
    "MobileNetV2 style": Subject(lambda: trained("mobilenet_v2"), examples.cifar10, examples.PIXELS),
}


def run() -> dict[str, Any]:
    """Rows of each model: accuracy, bytes, p50 and the seconds that the file took."""
    return {"threads": 1, "models": {name: _rows(subject) for name, subject in SUBJECTS.items()}}


def _rows(subject: Subject) -> dict[str, dict[str, Any]]:
    model, data = subject.model(), examples.opened(subject.data(), subject.settings)
    inputs = data.inputs("train", data.calibration(0))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        files, seconds = _files(model, data, inputs, folder)
        found = quantized(model, subject.data(), subject.settings, folder / "auto", [f"max_accuracy_drop={POINT}"])
        tried = attempts(found)
        files[AUTOMATIC], seconds[AUTOMATIC] = folder / "auto" / chosen(tried)["file"], sum(one["seconds"] for one in tried)
        candidates = [Candidate(name, "", Artifact.of(path)) for name, path in files.items()]
        measured = measure(candidates, data, None, (), Options(), silent)
    rows = {}
    for row in measured.artifacts:
        assert row.latency is not None
        rows[row.name] = {
            "top1": row.accuracy,
            "interval": row.accuracy_interval,
            "agreement": row.agreement,
            "bytes": row.bytes,
            "p50_ms": row.latency.p50_ms,
            "interval_ms": row.latency.interval_ms,
            "runtime": row.latency.runtime,
            "seconds": round(seconds[row.name], 2),
            **({"attempt": chosen(tried)["attempt"]} if row.name == AUTOMATIC else {}),
        }
        print(model.stem, row.name, rows[row.name], flush=True)
    return rows


def _files(model: Path, data: Dataset, inputs: Array, folder: Path) -> tuple[dict[str, Path], dict[str, float]]:
    """The files by who wrote them, and the seconds each took from what it starts from: the Keras model or a float file."""
    files = {name: folder / file for name, file in FILES.items()}
    context = Context(model, None, data, (0.0, 1.0), 0, False, silent)
    Onnx().run(model, folder / "float32.onnx", context)
    _with_signature(model, folder / "signature.tflite")
    work: dict[str, Callable[[Path], Any]] = {
        "float32": lambda out: Tflite().run(model, out, context),
        "secateur, plain": lambda out: Tflite(scheme="static_w8a8").run(model, out, context),
        "litert-quantizer, static_wi8_ai8": lambda out: _litert_quantizer(folder / "signature.tflite", inputs, out),
        "onnxruntime, static minmax": lambda out: _onnxruntime(folder / "float32.onnx", inputs, out),
    }
    seconds = {}
    for name, write in work.items():
        begun = time.perf_counter()
        write(files[name])
        seconds[name] = time.perf_counter() - begun
    return files, seconds


def _litert_quantizer(source: Path, inputs: Array, out: Path) -> None:
    """Its own recipe and calibration."""
    from ai_edge_litert.interpreter import Interpreter
    from litert_quantizer import Quantizer, recipe

    quantizer = Quantizer(str(source), recipe.static_wi8_ai8())
    (signature, ends), *_ = Interpreter(str(source)).get_signature_list().items()
    calibration = quantizer.calibrate({signature: [{ends["inputs"][0]: x[None]} for x in inputs]}, num_threads=1)
    quantizer.quantize(calibration, enable_progress_report=False).export_model(str(out))


def _with_signature(model: Path, out: Path) -> None:
    """The float .tflite that litert-quantizer starts from: it calibrates by signature, which our files have none of."""
    import tensorflow as tf

    function = open_function(model)
    frozen, module = function.frozen(), tf.Module()
    module.serve = tf.function(lambda x: {"outputs": frozen(x)[0]}, input_signature=function.specs)
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=module.serve)
        out.write_bytes(tf.lite.TFLiteConverter.from_saved_model(folder).convert())


def _onnxruntime(source: Path, inputs: Array, out: Path) -> None:
    """QDQ with int8 weights per channel and int8 activations, after its own preparation of the graph."""
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    name = onnx.load(source).graph.input[0].name

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._rows = iter(inputs)

        def get_next(self) -> dict[str, Array] | None:
            row = next(self._rows, None)
            return None if row is None else {name: np.asarray(row[None])}

    prepared = out.with_name("prepared.onnx")
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    int8 = quantization.QuantType.QInt8
    quantization.quantize_static(str(prepared), str(out), Reader(), per_channel=True, activation_type=int8, weight_type=int8)
