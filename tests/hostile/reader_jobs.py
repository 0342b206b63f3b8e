"""Readers with native code, for the child process that they crash in."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from toolchain import keras_models
from toolchain.inspection import InspectJob, inspect
from toolchain.runners import open_runner
from toolchain.runners.litert_layers import Layers
from toolchain.worker import Progress


def run(path: Path, progress: Progress) -> str:
    """Load and run once, as bench does."""
    runner = open_runner(path)
    runner.predict([np.zeros((1, *shape), np.float32) for shape in runner.input_shapes])
    return runner.runtime


def layers(path: Path, progress: Progress) -> str:
    Layers(path).run_on_zeros()
    return ""


def keras_file(path: Path, progress: Progress) -> str:
    keras_models.refuse_unsafe(path, progress)
    return ""


def load_keras(path: Path, progress: Progress) -> str:
    return str(len(inspect(InspectJob(path, trust=False), progress).rows))


def look_into(path: Path, progress: Progress) -> str:
    return inspect(InspectJob(path, trust=False), progress).format
