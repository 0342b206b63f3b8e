"""MLPerf Tiny's four models: the official int8 file, plain post-training quantization, and what the automatic recipe chose.

Goals: image classification and keyword spotting lose at most 0.10 point to float and nothing to the official file; the
anomaly detector's squared error is at most half of the official file's.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.quantization import examples
from benchmarks.quantization.automatic import attempts, chosen, quantized
from benchmarks.quantization.scores import answers, scores, top1
from benchmarks.structural.networks import DEVELOPMENT
from toolchain.data import DataSettings

FOLDER = DEVELOPMENT / "mlperf_tiny"
POINT = 0.0010
"""What may be lost to float: 0.10 point."""
HALF = 0.5
"""Of the official file's squared error."""


class Subject(msgspec.Struct, frozen=True):
    """A float model, the int8 file that MLPerf Tiny publishes of it, and the examples."""

    model: Path
    official: Path
    data: Callable[[], Path]
    settings: DataSettings = DataSettings()
    budget: float = POINT
    """What the automatic recipe may lose on the validation split: top-1, where there are no labels a share of other answers,
    or an error relative to the outputs' size."""


SUBJECTS = {
    "image classification": Subject(
        FOLDER / "ic" / "pretrainedResnet.h5", FOLDER / "ic" / "pretrainedResnet_quant.tflite", examples.cifar10
    ),
    "keyword spotting": Subject(FOLDER / "kws" / "kws_ref_model.keras", FOLDER / "kws" / "kws_ref_model.tflite", examples.keywords),
    "anomaly detection": Subject(FOLDER / "ad" / "ad01.h5", FOLDER / "ad" / "ad01_int8.tflite", examples.spectra, budget=0.035),
    "visual wake words": Subject(
        FOLDER / "vww" / "vww_96.h5", FOLDER / "vww" / "vww_96_int8.tflite", examples.photographs, DataSettings(scale="1/255"), 0.01
    ),
}


def run() -> dict[str, Any]:
    """Rows of each model on its test split; keyword spotting also on all clips, as others report it."""
    return {
        "data": {
            "image classification": "CIFAR-10, test_a",
            "keyword spotting": "Speech Commands, mfcc_a without 500 clips that calibrate and validate",
            "anomaly detection": "generated log-mel spectra, against the float model",
            "visual wake words": "CIFAR-10 at 96x96, against the float model",
        },
        "models": {name: _measure(name, subject) for name, subject in SUBJECTS.items()},
    }


def _measure(name: str, subject: Subject) -> dict[str, Any]:
    data = examples.opened(subject.data(), subject.settings)
    with tempfile.TemporaryDirectory() as out:
        found = quantized(subject.model, subject.data(), subject.settings, Path(out) / "run", [f"max_accuracy_drop={subject.budget}"])
        tried = attempts(found)
        ours = {one["attempt"]: Path(out) / "run" / one["file"] for one in tried if one["file"]}
        files = {"float": subject.model, "official int8": subject.official, **ours}
        expected = answers(subject.model, data.inputs("test"))
        rows = {what: scores(file, data, expected) | _on_all(name, file) for what, file in files.items()}
    taken = chosen(tried)["attempt"]
    print(name, taken, rows, flush=True)
    return {"rows": rows, "budget": subject.budget, "attempts": tried, "chosen": taken, **_goal(rows, rows[taken])}


def _on_all(name: str, file: Path) -> dict[str, float]:
    """Keyword spotting on every clip of the file, those that calibrated included."""
    if name != "keyword spotting":
        return {}
    clips = np.load(examples.KEYWORDS)
    return {"top1_all": top1(answers(file, clips["x"]), clips["y"])}


def _goal(rows: dict[str, dict[str, Any]], ours: dict[str, Any]) -> dict[str, bool]:
    """Whether the goal was met, for the models that have one."""
    official, model = rows["official int8"], rows["float"]
    if "top1" in ours:
        return {"goal": ours["top1"] >= model["top1"] - POINT and ours["top1"] >= official["top1"]}
    return {} if "agreement" in ours else {"goal": ours["mse"] <= HALF * official["mse"]}
