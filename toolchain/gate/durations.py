"""How long a file takes, as a ratio: milliseconds of one machine mean nothing on another, nor on the same an hour later."""

from __future__ import annotations

from toolchain.gate.evidence import Evidence, unknown
from toolchain.measure.paired import ratio, ratio_across
from toolchain.report import ArtifactReport, Report


def reference_of(report: Report, row: ArtifactReport, name: str) -> str:
    """The file that `row` is compared with: the one that is named, or the float file of its format."""
    usual = [f"{file}.{row.format}" for file in ("original_float32", "float32")]
    present = {other.name for other in report.artifacts}
    return name or next((file for file in usual if file in present), usual[0])


def against_reference(report: Report, row: ArtifactReport, name: str) -> Evidence:
    """Times the median of another file of the same run, which was timed in turns with this one."""
    reference = next((other for other in report.artifacts if other.name == name), None)
    if reference is None:
        return unknown(f'the run made no {name} to compare with; export it, or name another file as reference = "..."')
    if row.latency is None or reference.latency is None:
        return unknown(f"{row.name if row.latency is None else name} was not timed on this machine; judge the .tflite or .onnx instead")
    found, interval = ratio(row.latency, reference.latency)
    return Evidence(found, f"times {name}, {row.latency.rounds} rounds timed in turns", interval)


def against_baseline(report: Report, row: ArtifactReport, baseline: Report, old: ArtifactReport) -> Evidence:
    """Times the median of the same file in an earlier run, through a file that both runs timed where there is one."""
    if row.latency is None or old.latency is None:
        return unknown("the file was not timed in both runs; judge the .tflite or .onnx instead")
    if row.latency.threads != old.latency.threads:
        return unknown(f"timed with {row.latency.threads} and {old.latency.threads} threads; run both with the same --threads")
    for here in sorted(report.artifacts, key=lambda one: one.format != row.format):
        there = next((one for one in baseline.artifacts if one.digest == here.digest), None)
        if here.name != row.name and there and here.latency and there.latency:
            found, interval = ratio_across(row.latency, old.latency, (here.latency, there.latency))
            said = f"each run's time relative to {here.name}, which is the same file in both; {_machines(report, baseline)}"
            return Evidence(found, said, interval)
    found, interval = ratio_across(row.latency, old.latency)
    return Evidence(found, f"no file is the same in both runs, so the machines' speed counts, too; {_machines(report, baseline)}", interval)


def _machines(report: Report, baseline: Report) -> str:
    if report.host.cpu == baseline.host.cpu:
        return f"both on {report.host.cpu}, whose speed may differ between runs"
    return f"on {report.host.cpu}, the baseline on {baseline.host.cpu}"
