"""Reports with numbers that a test can reckon by hand."""

from __future__ import annotations

import numpy as np

from toolchain.emulator import EmulatorResult
from toolchain.measure.accuracy import wilson
from toolchain.measure.answers import answers
from toolchain.measure.latency import summarize
from toolchain.report import Answers, ArtifactReport, DataReport, HostFacts, Latency, ModelReport, Report, TargetReport

EXAMPLES = 1000
RIGHT = "1" * 990 + "0" * 10
"""What the original answers rightly of 1,000 examples."""


def answered(right: str, original: str = RIGHT) -> Answers:
    """Of a file that answers these examples rightly (1) or wrongly (0), and of an original that answers those."""
    labels = np.arange(len(right)) % 2
    found, before = (np.eye(2)[np.where(np.array(list(marks)) == "1", labels, 1 - labels)] for marks in (right, original))
    kept = answers(found, labels, before)
    assert kept is not None
    return kept


def lost(count: int, gained: int = 0) -> str:
    """Answers that lose `count` right ones of the original's and gain some."""
    return "0" * count + "1" * (990 - count) + "1" * gained + "0" * (10 - gained)


def timed(ms: float, spread: float = 0.0, rounds: int = 40, threads: int = 1) -> Latency:
    """Rounds whose medians go evenly from `ms - spread` to `ms + spread`."""
    return summarize([[value, value] for value in np.linspace(ms - spread, ms + spread, rounds)], "litert", threads, 0.0)


def emulated(emulator: str, **found) -> EmulatorResult:
    return EmulatorResult(**{"emulator": emulator, "how": "executed", "status": "ok", "reason": None} | found)


def on_target(target: str = "pico", fits: bool | None = True, *results: EmulatorResult, reasons: tuple[str, ...] = ()) -> TargetReport:
    return TargetReport(target, fits, reasons, 100, 100, results)


def artifact(name: str = "static_w8a8.tflite", right: str | None = lost(0), **found) -> ArtifactReport:
    """A file of 1,000 bytes that answers as the original does, unless it is said otherwise."""
    scored = {}
    if right is not None:
        hits = right.count("1")
        scored = {
            "metric": "top1",
            "accuracy": hits / len(right),
            "accuracy_interval": wilson(hits, len(right)),
            "accuracy_examples": len(right),
            "answers": answered(right) if len(right) == EXAMPLES else None,
        }
    usual = {
        "name": name, "path": name, "format": name.rpartition(".")[2], "scheme": "", "digest": f"digest of {name}", "how": "measured",
        "bytes": 1000, "gzip_bytes": 800, "zstd_bytes": 800, "parameters": 400, "nonzero_parameters": 100, "macs": 1, "operators": {},
        "agreement": 1.0, "latency": timed(1.0),
    }  # fmt: skip
    return ArtifactReport(**usual | scored | found)


def model(accuracy: float | None = 0.99, metric: str | None = "top1", interval: tuple[float, float] | None = (0.98, 0.996)) -> ModelReport:
    return ModelReport("net.keras", "keras", "digest of net", 9000, 8000, 400, 400, metric, accuracy, interval)


DATA = DataReport("shapes.npz", "digest of shapes", 3000, 500, EXAMPLES, 1.0, 0.0, 0)


def run(*artifacts: ArtifactReport, **found) -> Report:
    """A run that made these files."""
    host = HostFacts("a CPU", 2, 1 << 30, "Linux", "3.11", "unknown", {})
    usual = {
        "secateur": "0", "recipe": "mine", "settings": {}, "model": model(), "data": DATA, "host": host, "artifacts": artifacts,
        "skipped": (), "steps": (),
    }  # fmt: skip
    return Report(**usual | found)
