"""What a run or a benchmark found, as one typed document: JSON in and out, one schema version.

Every number carries how it came about: `measured` on this host, or, for a target, `executed`, `vendor`, `estimated`,
`published`. Latency keeps its raw samples; percentiles are derived.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from toolchain.details import Details
from toolchain.emulator import EmulatorResult
from toolchain.errors import ToolchainError
from toolchain.quantities import Amount, Count, Milliseconds, Real, Share
from toolchain.untrusted import read

SCHEMA: Final = 1
REPORT_BYTES: Final = 1 << 28
"""The largest report that is read; one of 30 artifacts and 200 layers has 4 MB."""
EXAMPLES: Final = 10_000_000
"""The most that a report may say were answered: there is an array of so many."""
FRACTIONS: Final = ("top1", "auc")
"""Metrics that are shares; others have no upper limit."""
PICTURE: Final = re.compile("data:image/png;base64,[A-Za-z0-9+/=]+")


class HostFacts(msgspec.Struct, frozen=True):
    """The machine that measured."""

    cpu: str
    cores: Count
    memory_bytes: Count
    system: str
    python: str
    governor: str
    """Frequency governor of the first core; "unknown" where the system does not say."""
    versions: dict[str, str]


class Latency(msgspec.Struct, frozen=True):
    """Durations of single inferences on this host, candidates interleaved."""

    how: Literal["measured"]
    runtime: str
    threads: Count
    p50_ms: Milliseconds
    """Median of the rounds' medians."""
    p90_ms: Milliseconds
    p99_ms: Milliseconds
    min_ms: Milliseconds
    interval_ms: tuple[Milliseconds, Milliseconds]
    """95 % confidence interval of p50."""
    rounds: Count
    load_before: Amount
    """Load average of the last minute (processes ready to run)."""
    load_after: Amount
    samples_ms: tuple[Milliseconds, ...]


class Changed(msgspec.Struct, frozen=True):
    """An example of the test split that a file answers otherwise than the original does; classes are counted from 0."""

    index: Count
    label: Count
    original: Count
    answer: Count


class Answers(msgspec.Struct, frozen=True):
    """What is answered on the test split, class by class, and what changed against the original model."""

    support: tuple[Count, ...]
    """Examples of each class."""
    hits: tuple[Count, ...]
    """Of them, answered rightly."""
    confusion: tuple[tuple[Count, ...], ...]
    """Examples by label (rows) and answer (columns); empty where there are more than 100 classes."""
    right: str
    """One bit an example in the order of the test split, 1 for a right answer: bytes, highest bit first, in base64."""
    lost: Count
    """Examples that the original answers rightly and this does not."""
    gained: Count
    """Examples that this answers rightly and the original does not."""
    differing: Count
    """Examples with another answer than the original's, right or wrong."""
    changed: tuple[Changed, ...]
    """The first of them, lost ones first."""


class LayerReport(msgspec.Struct, frozen=True):
    """One operator of a .tflite file. What is None is not known or does not apply."""

    index: Count
    """Its place in the file's list of operators, as in the layers of a target's results."""
    name: str
    """The Keras layers it computes where they are known, otherwise the tensor it makes."""
    operator: str
    reads: tuple[int, ...]
    """Places of the operators whose results it reads; -1 is an input of the model."""
    shape: tuple[int, ...]
    """Of its first result, with the batch."""
    parameters: Count
    nonzero_parameters: Count
    macs: Count
    channels: Count | None
    """Last axis of the result of a layer with weights."""
    channels_before: Count | None
    """The same in the model the run started from."""
    own_db: Real | None = None
    """SQNR in dB of the operator alone, on the inputs it has in the model the file came from. None: exact, or unknown."""
    level_db: Real | None = None
    """SQNR in dB of its result in the whole file, with all that came before."""


class Verdict(msgspec.Struct, frozen=True):
    """One limit of a gate on one file."""

    file: str
    target: str | None
    limit: str
    """The name of the limit: `max_bytes`."""
    against: Literal["absolute", "original", "baseline"]
    allowed: Real | bool
    found: Real | bool | None
    """None where it is not known."""
    interval: tuple[Real, Real] | None
    """95 % interval of what was found, where statistics decide."""
    status: Literal["passed", "inside", "failed", "unknown"]
    """`inside`: beyond the limit, but the limit lies inside the interval, so that the evidence is not enough. `unknown` stops a gate."""
    said: str
    """How it came about, in words."""


class TargetReport(msgspec.Struct, frozen=True):
    """One artifact on one target; `fits` is None where that could not be found out."""

    target: str
    fits: bool | None
    reasons: tuple[str, ...]
    flash_bytes: Count | None
    sram_bytes: Count | None
    results: tuple[EmulatorResult, ...]
    notes: tuple[str, ...] = ()
    """What does not decide the fit, but a reader of the numbers should know."""
    title: str = ""
    """The device in words: `STM32F746G-DISCO (Cortex-M7, 216 MHz)`."""
    device_flash_bytes: Count | None = None
    device_sram_bytes: Count | None = None
    """What the device has, reserved parts included; None where the model lies elsewhere."""


class ArtifactReport(msgspec.Struct, frozen=True):
    """One file. What is None was not measured, and why stands in `skipped` or in `notes`."""

    name: str
    path: str
    format: str
    scheme: str
    digest: str
    how: Literal["measured"]
    """How size, accuracy, agreement and memory came about."""
    bytes: Count
    gzip_bytes: Count
    zstd_bytes: Count
    parameters: Count | None
    nonzero_parameters: Count | None
    macs: Count | None
    operators: dict[str, Count]
    metric: str | None = None
    accuracy: Real | None = None
    """Value of `metric` on the test split; a fraction for top1 and auc."""
    accuracy_interval: tuple[Real, Real] | None = None
    """95 % confidence interval."""
    accuracy_examples: Count | None = None
    other_metrics: dict[str, Real] = {}
    agreement: Share | None = None
    """Share of the same examples with the same answer as the original model (bench: as the first file)."""
    max_error: Real | None = None
    mean_error: Real | None = None
    """Differences of the outputs from the original model's."""
    latency: Latency | None = None
    peak_memory_bytes: Count | None = None
    """Largest resident size of a process that loads the file and runs it once."""
    base_memory_bytes: Count | None = None
    """Resident size of that process before it loads the file."""
    answers: Answers | None = None
    """Where the answer is a class."""
    layers: tuple[LayerReport, ...] = ()
    targets: tuple[TargetReport, ...] = ()
    notes: tuple[str, ...] = ()


class StepReport(msgspec.Struct, frozen=True):
    """One step of a run. `seconds` is what it took when it was computed."""

    name: str
    seconds: Amount
    cached: bool
    examples: dict[str, str] = {}
    details: dict[str, Any] = {}


class AttemptReport(msgspec.Struct, frozen=True):
    """One of a recipe's attempts to stay within its accuracy budget, judged on the validation split.

    An attempt that gave no file has a `reason` and no metric.
    """

    name: str
    stages: tuple[str, ...]
    seconds: Amount
    """What its steps took when they were computed."""
    metric: str | None = None
    original: Real | None = None
    """The metric of the model the run started from."""
    value: Real | None = None
    drop: Real | None = None
    """What was lost: a fraction of top1 or auc, otherwise relative."""
    met: bool = False
    """Whether the drop is within the recipe's `max_accuracy_drop`."""
    reason: str | None = None
    artifact: str | None = None
    """Its file, whose accuracy on the test split stands in `artifacts`."""
    chosen: bool = False


class Skipped(msgspec.Struct, frozen=True):
    """Something that was skipped, frozen, refused, replaced or unavailable."""

    step: str
    what: str
    reason: str


class ModelReport(msgspec.Struct, frozen=True):
    """The model the run started from."""

    name: str
    format: str
    digest: str
    bytes: Count
    gzip_bytes: Count
    parameters: Count
    nonzero_parameters: Count
    metric: str | None
    accuracy: Real | None
    accuracy_interval: tuple[Real, Real] | None
    answers: Answers | None = None


class DataReport(msgspec.Struct, frozen=True):
    """The data the run used."""

    name: str
    digest: str
    train: Count
    validation: Count
    test: Count
    scale: Real
    offset: Real
    seed: int
    labels: tuple[str, ...] = ()
    """Names of the classes, where the source knows them."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run."""

    schema: Literal[1] = SCHEMA
    secateur: str
    recipe: str
    settings: dict[str, Any]
    """The recipe as it was run, with changes from the command line."""
    model: ModelReport
    data: DataReport | None
    host: HostFacts
    artifacts: tuple[ArtifactReport, ...]
    skipped: tuple[Skipped, ...]
    steps: tuple[StepReport, ...]
    attempts: tuple[AttemptReport, ...] = ()
    gate: tuple[Verdict, ...] = ()
    """What the recipe's gate says; empty where it has none."""
    pictures: dict[str, str] = {}
    """Test examples that `changed` names, by index, as data: URIs of PNG, where examples are images."""


def dumps(value: Any) -> bytes:
    """Readable JSON of a report or a part of one."""
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"


def load(path: Path) -> Report:
    """Read a report.json. Raises ToolchainError where it is none, one of another schema, or one that leads to other folders.

    Reports come from elsewhere, too: whoever reads one finds only names of files beside it and pictures in it.
    """
    content = read(path, REPORT_BYTES, ToolchainError)
    try:
        found = msgspec.json.decode(content, type=Report)
    except (msgspec.DecodeError, RecursionError, ValueError) as err:
        raise ToolchainError(f"{path}: not a report of schema {SCHEMA} ({err})") from None
    for row in found.artifacts:
        for name in (row.name, row.path):
            if name in ("", ".", "..") or "\0" in name or Path(name).name != name:
                raise ToolchainError(f"{path}: {name!r} is no name of a file beside the report")
    if foreign := [index for index, uri in found.pictures.items() if not PICTURE.fullmatch(uri)]:
        raise ToolchainError(f"{path}: the picture of example {foreign[0]} is no PNG in the report itself")
    if wrong := next(_contradictions(found), None):
        raise ToolchainError(f"{path}: contradicts itself: {wrong}; run again")
    return found


def _contradictions(report: Report) -> Iterator[str]:
    """What cannot be true of any run: whoever calculates with a report relies on these facts."""
    yield from _of_scores(report.model.name, report.model, report.data.test if report.data else None)
    for row in report.artifacts:
        yield from _of_scores(row.name, row, row.accuracy_examples)
        if row.answers and report.model.answers and row.answers.support != report.model.answers.support:
            yield f"{row.name} and {report.model.name} answered other examples"
        if (row.peak_memory_bytes is None) != (row.base_memory_bytes is None):
            yield f"the memory of {row.name} is told by half"
        if row.parameters is None and row.nonzero_parameters is not None:
            yield f"{row.name} has weights that are not zero, and nobody knows of how many"
        for on in row.targets:
            for result in on.results:
                if result.accuracy is not None and result.examples is None:
                    yield f"{result.emulator} scored {row.name} on no examples"
                if result.outputs_match is False and result.outputs_differing is None:
                    yield f"{result.emulator} found other outputs of {row.name} and does not say how many"
    for step in report.steps:
        try:
            msgspec.convert(step.details, Details)
        except msgspec.ValidationError as err:
            yield f"the details of {step.name} ({err})"


def _of_scores(name: str, scored: ModelReport | ArtifactReport, examples: int | None) -> Iterator[str]:
    """Of an accuracy and the answers behind it."""
    if scored.accuracy is not None:
        if scored.metric is None or not examples:
            yield f"{name} has an accuracy and no {'examples' if scored.metric else 'metric'}"
        limits = (scored.accuracy, *(scored.accuracy_interval or ()))
        if scored.metric in FRACTIONS and not all(0 <= value <= 1 for value in limits):
            yield f"the {scored.metric} of {name} is no share of 1"
    if scored.answers is None:
        return
    given, total = scored.answers, sum(scored.answers.support)
    if total > EXAMPLES:
        yield f"{name} answers {total:,} examples, more than {EXAMPLES:,}"
    if len(given.hits) != len(given.support) or any(hits > support for hits, support in zip(given.hits, given.support, strict=False)):
        yield f"{name} answers more rightly than there are examples"
    if given.lost + given.gained > total or given.differing > total:
        yield f"{name} changed more than its {total:,} answers"
    if given.confusion and (len(given.confusion) != len(given.support) or any(len(row) != len(given.support) for row in given.confusion)):
        yield f"the confusion matrix of {name} has not one row and column a class"


def json_schema() -> dict[str, Any]:
    """The JSON schema of a report, as it stands in docs/report.schema.json."""
    return msgspec.json.schema(Report)


def percent(metric: str | None, value: float | None) -> str:
    """A share as a percentage, another metric as a number."""
    if value is None:
        return ""
    return f"{value:.4g}" if metric == "mean_absolute_error" else f"{value:.2%}"
