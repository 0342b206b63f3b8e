"""Readers with native code, for the child process that they crash in."""

from __future__ import annotations

import os
import re
import resource
import subprocess
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


def hang_in_native_code(path: Path, progress: Progress) -> str:
    """A regular expression holds Python's lock for years; the sleeping process stands for an emulator."""
    guest = subprocess.Popen(["sleep", "1000"])
    progress(f"{os.getpid()} {guest.pid}", 0, 0)
    return str(re.match("(a+)+$", "a" * 60 + "b"))


def memory_limits(path: Path, progress: Progress) -> tuple[int, int]:
    return resource.getrlimit(resource.RLIMIT_DATA)[0], int(Path("/proc/self/oom_score_adj").read_text())


def take_more_than_all_memory(path: Path, progress: Progress) -> str:
    return str(np.empty(1 << 45, np.uint8).size)
