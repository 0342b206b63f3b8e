"""How much a file loses against the original model on the validation split: what chooses between attempts.

The test split plays no part here, so that its numbers stay honest for whatever is chosen.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from toolchain.data import Array, Dataset, save_outputs
from toolchain.keras_function import open_function
from toolchain.measure.accuracy import score
from toolchain.measure.fidelity import agreement
from toolchain.runners import open_runner
from toolchain.task import are_probabilities
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


class Verdict(msgspec.Struct, frozen=True):
    """What a file lost."""

    metric: str
    """The score that was compared; `disagreement` or `relative_error` where there are no labels."""
    original: float
    value: float
    drop: float
    examples: str


def answers_of_original(job: JudgeJob, progress: Progress) -> str:
    """Write the original model's outputs `[N, ...]` on the validation split to `reference`; which examples they are of."""
    progress("the original model on the validation split", 0, 0)
    function = open_function(job.file, batch=BATCH, trust=job.trust)
    inputs = function.synthetic(EXAMPLES, job.synthetic, job.seed + 1) if job.data is None else [job.data.inputs("validation")]
    save_outputs(job.reference, function.predict(inputs)[0], [] if job.data else inputs)
    return f"{EXAMPLES} random inputs" if job.data is None else job.data.describe("validation")


def judge(job: JudgeJob, progress: Progress) -> Verdict:
    """Compare a finished file with `reference`. Raises ModelError where it does not run."""
    progress(f"judging {job.file.name}", 0, 0)
    with np.load(job.reference, allow_pickle=False) as kept:
        expected = kept["outputs"]
        inputs = [job.data.inputs("validation")] if job.data else [kept[name] for name in kept.files if name != "outputs"]
    found = open_runner(job.file).predict(inputs)
    labels = job.data.raw("validation")[1] if job.data else None
    used = job.data.describe("validation") if job.data else f"{EXAMPLES} random inputs"
    return drop(found, expected, None if labels is None else np.asarray(labels), used)


def drop(found: Array, expected: Array, labels: Array | None, examples: str) -> Verdict:
    """What outputs `[N, ...]` lost against the original's.

    With labels: points of top1 or auc as a fraction, or the relative growth of the mean absolute error. Without labels: the
    share of other answers where outputs are probabilities, else the error's root mean square relative to the outputs'.
    """
    if labels is not None:
        before, after = score(expected, labels), score(found, labels)
        lost = before.value - after.value
        if before.metric == "mean_absolute_error":
            lost = -lost / before.value if before.value else -lost
        return Verdict(before.metric, before.value, after.value, lost, examples)
    same = agreement(found, expected) if are_probabilities(expected) else None
    if same is not None:
        return Verdict("disagreement", 0.0, 1 - same, 1 - same, examples)
    error = float(np.sqrt(((found - expected) ** 2).mean() / max(float((expected**2).mean()), 1e-30)))
    return Verdict("relative_error", 0.0, error, error, examples)
