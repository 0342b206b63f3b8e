"""Golden vectors: inputs with the answers of this machine's runtime, so that a target can be tested without the data set.

Inputs are random, because a release needs no data and a test of kernels needs all values, not likely ones. Of many draws
those are kept whose answers lie furthest apart: a classifier that is sure of noise, and says the same of all of it, would
hide most errors. int8 files are answered by LiteRT's reference kernels, which TensorFlow Lite Micro and the generated C
reproduce to the last bit; how far the other kernels of LiteRT depart on these very inputs is measured and becomes the
tolerance for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from toolchain.artifact import Format, sniff
from toolchain.data import Array
from toolchain.errors import BundleError, ModelError
from toolchain.release.facts import Facts, facts
from toolchain.release.manifest import Golden, TensorFacts
from toolchain.runners.litert import Kernels
from toolchain.tflite_file import TfliteFile
from toolchain.worker import Progress

EXAMPLES: Final = 8
DRAWS: Final = 64
"""Of which `EXAMPLES` are kept."""
PATCHES: Final = 4
"""Along each axis of a smooth draw, on which layers that look for edges answer otherwise than on noise."""
LARGEST: Final = 0.1
"""Tolerance over the span of the answers, above which a check against them tells nothing; one step of an integer is always allowed."""
FLOAT: Final = 1e-4
"""Tolerance of floats, as a share of the largest answer."""
ROUNDED: Final = 0.05
"""The same where a file rounds to integers on the way, and one that lies between two steps falls either way."""
MARGIN: Final = 4
"""Times what this machine's kernels differ by, for the kernels of machines that are not here."""
KERNELS: Final[tuple[Kernels, ...]] = ("reference", "builtin", "xnnpack")


class Job(msgspec.Struct, frozen=True):
    """A file to describe and to run; `stem` is what the arrays' names in `folder` begin with."""

    path: Path
    scheme: str
    folder: Path
    stem: str
    limits: tuple[float, float]
    """Range of random inputs of a file that takes floats."""
    seed: int


class Examined(msgspec.Struct, frozen=True):
    """What was found out about a file. Paths in `golden` are names in the job's folder."""

    facts: Facts
    golden: Golden | None
    unrun: str | None = None
    """Why there are no golden vectors."""


class Check(msgspec.Struct, frozen=True):
    """Golden vectors to be reproduced."""

    path: Path
    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]
    kernels: str
    """The last word of `Golden.runtime`."""


class Answer(msgspec.Struct, frozen=True):
    """How far each output is from the golden one, at most."""

    runtime: str
    differences: tuple[float, ...]


def describe(job: Job, progress: Progress) -> Facts:
    """Describe a file without running it. Runs in a child process."""
    progress(f"tensors of {job.stem}", 0, 0)
    return facts(job.path, job.scheme)


def examine(job: Job, progress: Progress) -> Examined:
    """Describe a file, run it on random inputs, write the arrays. Runs in a child process.

    Raises ModelError where the file does not run, or its answers are no test, and DependencyError without its runtime.
    """
    progress(f"golden vectors of {job.stem}", 0, 0)
    known = facts(job.path, job.scheme)
    draws = random_inputs(known.inputs, job.limits, job.seed)
    _, answers = _runs(job.path, known, draws, others=False)[0]
    kept = furthest_apart(answers)
    inputs = [draw[kept] for draw in draws]
    runs = _runs(job.path, known, inputs)
    runtime, outputs = runs[0]
    tolerance, why = _tolerance(job, outputs, runs)
    _check_tolerance(tolerance, outputs)
    names = []
    for kind, arrays in (("input", inputs), ("output", outputs)):
        names.append(tuple(f"{job.stem}.{kind}_{index}.npy" for index in range(len(arrays))))
        for name, array in zip(names[-1], arrays, strict=True):
            np.save(job.folder / name, array, allow_pickle=False)
    flat = np.concatenate([output.reshape(EXAMPLES, -1).astype(np.float64) for output in outputs], axis=1)
    same_kernels = 0.0 if _in_integers(job) else tolerance
    varying = int((np.nan_to_num(np.ptp(flat, axis=0)) > same_kernels).sum())
    return Examined(known, Golden(names[0], names[1], EXAMPLES, runtime, same_kernels, tolerance, why, varying, flat.shape[1]))


def random_inputs(tensors: Sequence[TensorFacts], limits: tuple[float, float], seed: int) -> list[Array]:
    """`[DRAWS, ...]` for each input: values of a quantized type, floats within `limits`, 0 and 1 for token ids.

    Contrast about the middle of the range rises to the whole of it; every second draw is smooth.
    """
    rng = np.random.default_rng(seed)

    def draw(tensor: TensorFacts) -> Array:
        dtype, size = np.dtype(tensor.dtype), (DRAWS, *(extent or 0 for extent in tensor.shape[1:]))
        if 0 in size:
            raise ModelError(f"{tensor.name}: a dimension beside the batch is open")
        if dtype.kind != "f" and tensor.scale is None:
            return rng.integers(0, 1, size, endpoint=True).astype(dtype)
        low, high = limits if dtype.kind == "f" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        around: Array = rng.random(size) - 0.5
        around[::2] = _smooth(around[::2])
        around *= np.linspace(1 / DRAWS, 1, DRAWS).reshape(-1, *[1] * (len(size) - 1))
        values = (low + high) / 2 + (high - low) * around
        return np.asarray(values if dtype.kind == "f" else np.round(values), dtype)

    return [draw(tensor) for tensor in tensors]


def _smooth(noise: Array) -> Array:
    """Patches of one value: along each axis but that of the draws and, in pictures and sequences, that of the channels."""
    for axis in range(1, max(2, noise.ndim - 1)) if noise.ndim > 1 else ():
        extent = noise.shape[axis]
        patch = -(-extent // PATCHES)
        noise = noise.take(np.arange(extent) // patch * patch, axis)
    return noise


def furthest_apart(outputs: Sequence[Array]) -> Array:
    """Indices of `EXAMPLES` answers that cover the others: each the furthest from those before, the first from the mean.

    Farthest-point traversal (Gonzalez 1985, "Clustering to minimize the maximum intercluster distance"); an output counts
    by its share of its own span.
    """
    flat = []
    for output in outputs:
        values = np.nan_to_num(output.reshape(len(output), -1).astype(np.float64), posinf=0.0, neginf=0.0)
        flat.append(values / (float(np.ptp(values)) or 1.0))
    answers = np.concatenate(flat, axis=1)
    apart = np.linalg.norm(answers - answers.mean(axis=0), axis=1)
    kept = [int(apart.argmax())]
    apart = np.full(len(answers), np.inf)
    while len(kept) < EXAMPLES:
        apart = np.minimum(apart, np.linalg.norm(answers - answers[kept[-1]], axis=1))
        apart[kept] = -1
        kept.append(int(apart.argmax()))
    return np.sort(kept)


def reproduce(job: Check, progress: Progress) -> Answer:
    """Run a file on golden inputs. Runs in a child process. Raises BundleError for arrays that are none of this file's."""
    progress(f"golden vectors of {job.path.name}", 0, 0)
    inputs, outputs = ([_array(path) for path in paths] for paths in (job.inputs, job.outputs))
    known = facts(job.path, "")
    examples = len(inputs[0]) if inputs and inputs[0].ndim else 0
    for tensors, arrays in ((known.inputs, inputs), (known.outputs, outputs)):
        if [(t.dtype, (examples, *t.shape[1:])) for t in tensors] != [(str(a.dtype), a.shape) for a in arrays] or not examples:
            raise BundleError(f"{job.path.name}: the golden vectors are not of the types and shapes of this file")
    runner = _runner(job.path, job.kernels)
    found = runner.answers(inputs)
    return Answer(runner.runtime, tuple(difference(a, b) for a, b in zip(found, outputs, strict=True)))


def difference(found: Array, wanted: Array) -> float:
    """The largest one of any value; infinite where one is no number and the other is."""
    if np.array_equal(found, wanted, equal_nan=found.dtype.kind == "f"):
        return 0.0
    apart = np.abs(found.astype(np.float64) - wanted.astype(np.float64))
    return float("inf") if np.isnan(apart).any() else float(apart.max())


def _array(path: Path) -> Array:
    """Mapped, so that a header that claims terabytes takes none."""
    try:
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, SyntaxError, OverflowError) as err:
        raise BundleError(f"{path.name}: no array ({str(err).splitlines()[0][:120]})") from None
    if not isinstance(array, np.ndarray):
        raise BundleError(f"{path.name}: no single array")
    return np.asarray(array)


def _runner(path: Path, kernels: str) -> Any:
    from toolchain.runners import litert, onnxruntime

    if sniff(path) is Format.TFLITE:
        return litert.LiteRT(path, kernels=next((known for known in KERNELS if known == kernels), "xnnpack"))
    return onnxruntime.OnnxRuntime(path)


def _runs(path: Path, known: Facts, inputs: list[Array], others: bool = True) -> list[tuple[str, list[Array]]]:
    """Runtime and answers, the ones to be kept first, then those of LiteRT's `others` kernels where they take the file."""
    integer = all(np.dtype(tensor.dtype).kind in "iu" for tensor in known.outputs)
    order = KERNELS if integer else KERNELS[::-1]
    found, refused = [], []
    for kernels in order if sniff(path) is Format.TFLITE else ("cpu",):
        try:
            runner = _runner(path, kernels)
            found.append((runner.runtime, runner.answers(inputs)))
        except ModelError as err:
            refused.append(err)
        if found and not others:
            break
    if not found:
        raise refused[0]
    return found


def _in_integers(job: Job) -> bool:
    """Whether the file computes in integers throughout, so that the same kernels give the same answers on every processor."""
    if sniff(job.path) is Format.TFLITE:
        return not any(tensor.dtype.startswith(("FLOAT", "BFLOAT")) for tensor in TfliteFile.read(job.path).tensors)
    return job.scheme == "int8_from_tflite"


def _check_tolerance(tolerance: float, outputs: list[Array]) -> None:
    """Raise ModelError where a check within this tolerance would tell nothing, or never pass."""
    finite = np.concatenate([output[np.isfinite(output)].astype(np.float64).ravel() for output in outputs])
    span = float(np.ptp(finite)) if finite.size else 0.0
    step = 1.0 if all(output.dtype.kind in "iu" for output in outputs) else 0.0
    if not np.isfinite(tolerance) or tolerance > max(LARGEST * span, step):
        raise ModelError(
            f"kernels may differ by {tolerance:.3g} on random inputs, whose answers span {span:.3g}; a check would tell nothing"
        )


def _tolerance(job: Job, outputs: list[Array], runs: list[tuple[str, list[Array]]]) -> tuple[float, str]:
    apart = max((difference(a, b) for _, other in runs[1:] for a, b in zip(outputs, other, strict=True)), default=0.0)
    others = ", ".join(runtime.split()[-1] for runtime, _ in runs[1:])
    if all(output.dtype.kind in "iu" for output in outputs):
        if job.scheme == "int8_from_tflite":
            return 0.0, "computed in integers throughout; the run found it identical to LiteRT's XNNPACK kernels"
        if not others:
            return 1.0, "parts are computed in float and rounded at the end, which processors do differently by one step"
        return apart + 1, (
            f"LiteRT's kernels {others} differ by up to {apart:.0f} steps from these answers, and one more is left to other processors; "
            "TensorFlow Lite Micro and the generated C equal the reference kernels"
        )
    largest = max(float(np.abs(output[np.isfinite(output)]).max(initial=0.0)) for output in outputs)
    share = FLOAT if job.scheme in ("float32", "float16") else ROUNDED
    cause = "other kernels add in another order" if share == FLOAT else "a value between two steps of a grid falls either way"
    measured = f"; here {others} differ by up to {apart:.2g}, of which {MARGIN} times is allowed" if others else ""
    return max(share * largest, MARGIN * apart), f"{cause}: {share:g} of the largest answer{measured}"
