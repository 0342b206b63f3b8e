"""How much a file loses against the original model on the validation split: what chooses between attempts.

The test split plays no part here, so that its numbers stay honest for whatever is chosen.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from toolchain.data import Dataset, save_outputs
from toolchain.keras_function import open_function
from toolchain.measure.drop import Drop, drop
from toolchain.runners import open_runner
from toolchain.verification import EXAMPLES
from toolchain.worker import Progress

BATCH = 64


class JudgeJob(msgspec.Struct, frozen=True):
    """A file, and what to judge it on. `reference` holds the original's outputs; it is written where it is not there yet."""

    file: Path
    reference: Path
    data: Dataset | None
    synthetic: tuple[float, float]
    seed: int
    trust: bool


def answers_of_original(job: JudgeJob, progress: Progress) -> str:
    """Write the original model's outputs `[N, ...]` on the validation split to `reference`; which examples they are of."""
    progress("the original model on the validation split", 0, 0)
    function = open_function(job.file, batch=BATCH, trust=job.trust)
    inputs = function.synthetic(EXAMPLES, job.synthetic, job.seed + 1) if job.data is None else [job.data.inputs("validation")]
    save_outputs(job.reference, function.predict(inputs)[0], [] if job.data else inputs)
    return f"{EXAMPLES} random inputs" if job.data is None else job.data.describe("validation")


def judge(job: JudgeJob, progress: Progress) -> Drop:
    """Compare a finished file with `reference`. Raises ModelError where it does not run."""
    progress(f"judging {job.file.name}", 0, 0)
    with np.load(job.reference, allow_pickle=False) as kept:
        expected = kept["outputs"]
        inputs = [job.data.inputs("validation")] if job.data else [kept[name] for name in kept.files if name != "outputs"]
    found = open_runner(job.file).predict(inputs)
    labels = job.data.raw("validation")[1] if job.data else None
    return drop(found, expected, None if labels is None else np.asarray(labels))
