"""What the child process of a run does: one function a job, each taking one message and a progress callback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from toolchain import registry
from toolchain.data import Array, Dataset, save_outputs
from toolchain.errors import RecipeError
from toolchain.keras_function import open_function
from toolchain.measure.accuracy import Score, score
from toolchain.measure.answers import answers
from toolchain.report import Answers
from toolchain.stage import Context, Export, Note, Outcome, Stage
from toolchain.verification import EXAMPLES
from toolchain.worker import Progress


class StepJob(msgspec.Struct, frozen=True):
    """One stage or export: its plug-in folder and settings, and all that its context holds."""

    kind: str
    settings: dict[str, Any]
    model: Path
    out: Path
    original: Path
    source: Path | None
    data: Dataset | None
    synthetic: tuple[float, float]
    seed: int
    trust: bool


class OriginalJob(msgspec.Struct, frozen=True):
    """The model a run starts from, to be measured before anything is done to it."""

    model: Path
    outputs: Path
    data: Dataset | None
    synthetic: tuple[float, float]
    seed: int
    trust: bool


class Original(msgspec.Struct, frozen=True):
    """What the model a run starts from is and how well it does."""

    parameters: int
    nonzero_parameters: int
    input_shapes: tuple[tuple[int, ...], ...]
    score: Score | None
    examples: str
    notes: tuple[Note, ...] = ()
    answers: Answers | None = None


def run_step(job: StepJob, progress: Progress) -> Outcome:
    """Run one stage or export."""
    cls = registry.find(job.kind, job.settings["use"], "use", RecipeError)
    step: Stage | Export = msgspec.convert(job.settings, cls)
    context = Context(job.original, job.source, job.data, job.synthetic, job.seed, job.trust, progress)
    return step.run(job.model, job.out, context)


def measure_original(job: OriginalJob, progress: Progress) -> Original:
    """Load the model, refuse data that does not fit it, and write its outputs: what every file is compared with.

    Outputs `[N, ...]` are those on the test split, or on random inputs (written beside them) without data.
    """
    progress("measuring the original model", 0, 0)
    function = open_function(job.model, batch=64, trust=job.trust)
    inputs, found, classes = list[Array](), None, None
    if job.data is None:
        inputs = function.synthetic(EXAMPLES, job.synthetic, job.seed + 1)
        outputs = function.predict(inputs)[0]
        used = f"{EXAMPLES} random inputs"
    else:
        job.data.check_inputs(function.input_shapes)
        outputs = function.predict([job.data.inputs("test")])[0]
        job.data.check_labels(int(np.prod(outputs.shape[1:])))
        labels = job.data.raw("test")[1]
        if labels is not None:
            found, classes = score(outputs, np.asarray(labels)), answers(outputs, np.asarray(labels), outputs)
        used = job.data.describe("test")
    save_outputs(job.outputs, outputs, inputs)
    weights = [np.asarray(w) for w in function.weights]
    return Original(
        sum(w.size for w in weights),
        sum(int(np.count_nonzero(w)) for w in weights),
        tuple(function.input_shapes),
        found,
        used,
        _near_chance(found, outputs),
        classes,
    )


def _near_chance(found: Score | None, outputs: Array) -> tuple[Note, ...]:
    """Warn where the original model itself does not know the answers: most often its inputs are scaled differently."""
    if found is None or found.metric != "top1" or found.value > 2 / outputs.shape[1]:
        return ()
    why = f"only {found.value:.1%} of its answers are right; was it trained on scaled inputs? see data.scale"
    return (Note("the original model", why),)
