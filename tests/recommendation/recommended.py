"""Files on targets with only what a recommendation reads, by hand."""

from __future__ import annotations

from toolchain.emulator import EmulatorResult
from toolchain.measure.latency import summarize
from toolchain.report import Answers, ArtifactReport, DataReport, HostFacts, Latency, ModelReport, Report, TargetReport


def on(
    target: str = "board", *, fits: bool | None = True, ms: float | None = None, instructions: int | None = None, profile: str = "profile",
    flash: int | None = 1_000, sram: int | None = 500, reasons: tuple[str, ...] = (), device: tuple[int | None, int | None] = (2_000, 4_000),
) -> TargetReport:  # fmt: skip
    """A target that was estimated, executed, both or neither."""
    estimated = EmulatorResult(
        emulator="latency_model", how="estimated", status="ok", reason=None, ms=ms, interval_ms=(ms or 0, 2 * (ms or 0)), profile=profile
    )
    executed = EmulatorResult(emulator="cortex_m", how="executed", status="ok", reason=None, instructions=instructions)
    results = (*((executed,) if instructions is not None else ()), *((estimated,) if ms is not None else ()))
    return TargetReport(target, fits, reasons, flash, sram, results, (), "A board", *device)


def timed(milliseconds: float) -> Latency:
    """Eight rounds of two inferences."""
    return summarize([[milliseconds, milliseconds]] * 8, "litert", 1, 0.0)


def answers(lost: int, gained: int, examples: int) -> Answers:
    """Two classes, of which only the counts matter."""
    half = examples // 2
    return Answers((half, examples - half), (half, half), ((half, 0), (0, half)), "", lost, gained, lost + gained, ())


def artifact(
    name: str, *targets: TargetReport, lost: int = 0, gained: int = 0, examples: int = 1_000, p50: float | None = None, bytes: int = 1_000, gzip: int = 800
) -> ArtifactReport:  # fmt: skip
    """A file with answers to `examples`."""
    return ArtifactReport(
        name=name, path=name, format=name.rpartition(".")[2], scheme="static_w8a8", digest="", how="measured", bytes=bytes, gzip_bytes=gzip,
        zstd_bytes=gzip, parameters=None, nonzero_parameters=None, macs=None, operators={}, metric="top1",
        accuracy=0.9 + (gained - lost) / examples, accuracy_interval=(0.8, 0.95), accuracy_examples=examples,
        latency=None if p50 is None else timed(p50), answers=answers(lost, gained, examples), targets=targets,
    )  # fmt: skip


def report(*artifacts: ArtifactReport, **settings) -> Report:
    """A run that made these files."""
    model = ModelReport("net.keras", "keras", "", 4_000, 3_200, 100, 100, "top1", 0.9, (0.8, 0.95), answers(0, 0, 1_000))
    host = HostFacts("cpu", 1, 1, "Linux", "3.11", "unknown", {})
    usual = {"data": DataReport("digits", "", 4_000, 500, 1_000, 1.0, 0.0, 0)}
    return Report(
        secateur="0", recipe="r", settings={}, model=model, host=host, artifacts=artifacts, skipped=(), steps=(), **usual | settings
    )
