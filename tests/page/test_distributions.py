import msgspec
import numpy as np
import pytest
import synthetic

from toolchain.page import distributions
from toolchain.page.distributions import BINS, SHOWN, WIDEST, histogram, in_rounds, latency, thinned
from toolchain.report import Latency


def timed(samples, rounds) -> Latency:
    return Latency("measured", "litert", 1, 1.0, 1.0, 1.0, 1.0, (1.0, 1.0), rounds, 0.5, 2.25, tuple(samples))


def test_the_shape_counts_every_sample():
    shape = histogram([1.0] * 30 + [2.0] * 10 + [4.0])
    assert len(shape) == BINS
    widths = [share for _, share in shape if share]
    assert widths == [1.0, pytest.approx(10 / 30), pytest.approx(1 / 30)]
    places = [ms for ms, share in shape if share]
    assert places == pytest.approx([1.0, 2.0, 4.0], rel=0.03), "the middles of logarithmic bins"


def test_samples_that_are_all_alike_have_a_shape():
    assert max(share for _, share in histogram([0.25] * 5)) == 1.0


def test_rounds_have_the_medians_of_their_own_samples():
    assert in_rounds(timed([1, 2, 3, 10, 20, 30, 5, 5, 6], 3)) == [2, 20, 5]
    assert in_rounds(timed([1, 2, 3, 4], 0)) == [2.5], "a report that claims no rounds"
    assert in_rounds(timed([1, 2], 5)) == [1, 2], "or more than it has samples"


def test_many_samples_are_thinned_evenly_in_their_order():
    assert thinned([3.0, 1.0, 2.0]) == [3.0, 1.0, 2.0]
    many = [float(n) for n in range(10 * SHOWN)]
    few = thinned(many)
    assert (len(few), few[0], few[-1]) == (SHOWN, many[0], many[-1])
    assert set(np.diff(few)) <= {10.0, 11.0}


def test_the_charts_hold_every_file_the_fastest_first():
    report = synthetic.report(4, 3)
    section = latency(report)
    expected = sorted(report.artifacts, key=lambda row: row.latency.p50_ms)
    assert [name for _, name in section.choice.options] == [row.name for row in expected]
    lines = section.shapes.spec["data"]["values"]
    assert [line["p50"] for line in lines] == [row.latency.p50_ms for row in expected]
    assert lines[0]["tip"]["samples"] == "400 in 10 rounds, measured with litert 2.3.0 xnnpack"
    widths = [body["width"] for body in section.shapes.spec["layer"][0]["data"]["values"]]
    assert max(widths) == WIDEST
    samples, medians = (layer["data"]["values"] for layer in section.drift.spec["layer"][:2])
    assert [len(row["times"]) for row in samples] == [400] * 4
    assert len(medians) == 4 * synthetic.ROUNDS
    assert section.thinned == 0


def test_what_was_measured_alike_is_told_once(monkeypatch):
    section = latency(synthetic.report(5, 3))
    assert [(one.runtime, len(one.files), one.threads, one.rounds, one.load_before, one.load_after) for one in section.circumstances] == [
        ("litert 2.3.0 xnnpack", 4, 1, 10, 0.5, 0.75), ("onnxruntime 1.32.0 cpu", 1, 1, 10, 0.5, 0.75),
    ]  # fmt: skip
    monkeypatch.setattr(distributions, "SHOWN", 100)
    assert latency(synthetic.report(5, 3)).thinned == 5


def test_files_without_durations_are_left_out():
    report = synthetic.report(3, 3)
    untimed = [msgspec.structs.replace(row, latency=None) for row in report.artifacts]
    assert latency(msgspec.structs.replace(report, artifacts=tuple(untimed))) is None
    broken = msgspec.structs.replace(report.artifacts[0], latency=timed([1.0, 0.0], 1))
    section = latency(msgspec.structs.replace(report, artifacts=(broken, report.artifacts[1])))
    assert [name for _, name in section.choice.options] == [report.artifacts[1].name]
