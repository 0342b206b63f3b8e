"""Every limit passing, failing and not known; what chance has a part in, also inside its interval."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_reports import artifact, emulated, lost, on_target, run, timed

from toolchain.gate.judge import ORDER, judge, judged, stopped
from toolchain.gate.limits import SETTINGS, BaselineLimits, Limits
from toolchain.report import Skipped

FLOAT = artifact("original_float32.tflite", latency=timed(2.0))
ARENA, COUNTED = emulated("tflm", arena_bytes=500), emulated("cortex_m", instructions=2000)
PACKAGE = artifact("c_source", None, format="c_source", latency=None, parameters=None)

ALONE = [
    # limit, what it allows, found, status
    ("max_bytes", 1000, artifact(), "passed"),
    ("max_bytes", 999, artifact(), "failed"),
    ("max_gzip_bytes", 800, artifact(), "passed"),
    ("max_gzip_bytes", 799, artifact(), "failed"),
    ("min_sparsity", 0.75, artifact(), "passed"),
    ("min_sparsity", 0.76, artifact(), "failed"),
    ("min_sparsity", 0.0, artifact(parameters=None), "unknown"),
    ("max_accuracy_drop", 0.01, artifact(right=lost(10)), "passed"),
    ("max_accuracy_drop", 0.01, artifact(right=lost(11)), "inside"),
    ("max_accuracy_drop", 0.01, artifact(right=lost(30)), "failed"),
    ("max_accuracy_drop", 1.0, artifact(right=None, agreement=None), "unknown"),
    ("max_p50_ratio", 0.5, artifact(latency=timed(1.0)), "passed"),
    ("max_p50_ratio", 0.5, artifact(latency=timed(1.01, 0.2)), "inside"),
    ("max_p50_ratio", 0.5, artifact(latency=timed(1.5, 0.2)), "failed"),
    ("max_p50_ratio", 9.0, artifact(latency=None), "unknown"),
    ("max_p50_ratio", 9.0, artifact(latency=timed(1.0, rounds=39)), "unknown"),
    ("max_arena_bytes", 500, artifact(targets=(on_target("pico", True, ARENA),)), "passed"),
    ("max_arena_bytes", 499, artifact(targets=(on_target("pico", True, ARENA),)), "failed"),
    ("max_arena_bytes", 500, artifact(targets=(on_target("pico", True, COUNTED),)), "unknown"),
    ("max_arena_bytes", 500, artifact(), "unknown"),
    ("max_instructions", 2000, artifact(targets=(on_target("pico", True, COUNTED),)), "passed"),
    ("max_instructions", 1999, artifact(targets=(on_target("pico", True, COUNTED),)), "failed"),
    ("max_instructions", 2000, artifact(targets=(on_target("pico", True, ARENA),)), "unknown"),
    ("must_fit", True, artifact(targets=(on_target("pico", True),)), "passed"),
    ("must_fit", True, artifact(targets=(on_target("pico", False, reasons=("too large",)),)), "failed"),
    ("must_fit", True, artifact(targets=(on_target("pico", None, reasons=("the arena is unknown",)),)), "unknown"),
    ("must_fit", True, artifact(), "unknown"),
]

OLD = artifact(targets=(on_target("pico", True, ARENA, COUNTED),))
MORE = on_target("pico", True, emulated("tflm", arena_bytes=505), emulated("cortex_m", instructions=2020))

COMPARED = [
    ("max_accuracy_drop", 0.0, OLD, OLD, "passed"),
    ("max_accuracy_drop", 0.005, artifact(right=lost(6)), OLD, "inside"),
    ("max_accuracy_drop", 0.005, artifact(right=lost(30)), OLD, "failed"),
    ("max_accuracy_drop", 1.0, artifact(right=None), OLD, "unknown"),
    ("max_bytes", 1.02, artifact(bytes=1020), OLD, "passed"),
    ("max_bytes", 1.02, artifact(bytes=1021), OLD, "failed"),
    ("max_bytes", 1.02, artifact(), artifact(bytes=0), "unknown"),
    ("max_gzip_bytes", 1.01, artifact(gzip_bytes=808), OLD, "passed"),
    ("max_gzip_bytes", 1.01, artifact(gzip_bytes=809), OLD, "failed"),
    ("max_gzip_bytes", 1.01, artifact(), artifact(gzip_bytes=0), "unknown"),
    ("max_p50_ratio", 1.0, artifact(latency=timed(1.0)), OLD, "passed"),
    ("max_p50_ratio", 1.0, artifact(latency=timed(1.01, 0.1)), OLD, "inside"),
    ("max_p50_ratio", 1.0, artifact(latency=timed(1.2, 0.1)), OLD, "failed"),
    ("max_p50_ratio", 9.0, artifact(latency=None), OLD, "unknown"),
    ("max_arena_bytes", 1.01, artifact(targets=(MORE,)), OLD, "passed"),
    ("max_arena_bytes", 1.0, artifact(targets=(MORE,)), OLD, "failed"),
    ("max_arena_bytes", 9.0, artifact(targets=(on_target("pico", True, COUNTED),)), OLD, "unknown"),
    ("max_instructions", 1.01, artifact(targets=(MORE,)), OLD, "passed"),
    ("max_instructions", 1.0, artifact(targets=(MORE,)), OLD, "failed"),
    ("max_instructions", 9.0, artifact(targets=(MORE,)), artifact(targets=(on_target("pico", True),)), "unknown"),
    ("max_instructions", 9.0, artifact(targets=(MORE,)), artifact(targets=(on_target("esp32", True, COUNTED),)), "unknown"),
]


@pytest.mark.parametrize(("limit", "allowed", "found", "status"), ALONE)
def test_a_limit_alone(limit, allowed, found, status):
    (verdict,) = judge(run(FLOAT, found), [Limits(**{limit: allowed})])
    assert (verdict.file, verdict.limit, verdict.allowed, verdict.status) == (found.name, limit, allowed, status)
    assert verdict.said
    assert stopped([verdict]) == (status in ("failed", "unknown"))
    assert (verdict.found is None) == (status == "unknown")


@pytest.mark.parametrize(("limit", "allowed", "found", "old", "status"), COMPARED)
def test_a_limit_against_a_baseline(limit, allowed, found, old, status):
    table = Limits(baseline=BaselineLimits(**{limit: allowed}))
    (verdict,) = judge(run(found), [table], run(old))
    assert (verdict.file, verdict.limit, verdict.against, verdict.status) == (found.name, limit, "baseline", status)
    (without,) = judge(run(found), [table])
    assert without.status == "unknown"


def test_every_limit_was_judged_in_every_way():
    for cases, names in ((ALONE, Limits.__struct_fields__), (COMPARED, BaselineLimits.__struct_fields__)):
        ways = {name: {case[-1] for case in cases if case[0] == name} for name in names if name not in SETTINGS}
        sizes = ("max_bytes", "max_gzip_bytes") if cases is ALONE else ()  # are known of every file
        for name, found in ways.items():
            assert found >= {"passed", "failed"} | (set() if name in sizes else {"unknown"}), name
        for name in ("max_accuracy_drop", "max_p50_ratio"):
            assert "inside" in ways[name]


def test_what_is_undecided_can_be_made_to_fail_and_says_how_much_would_decide_it():
    report = run(artifact(right=lost(11)))
    (passed,) = judge(report, [Limits(max_accuracy_drop=0.01)])
    (failed,) = judge(report, [Limits(max_accuracy_drop=0.01, undecided="fail")])
    assert (passed.status, failed.status) == ("inside", "failed")
    assert passed.interval == failed.interval
    assert passed.interval[0] < 0.01 < passed.found == pytest.approx(0.011)
    for verdict in (passed, failed):  # 11 / 1002 - 1.96 * sqrt(12 - 121 / 1002) / 1002 = 0.00424; (6.76 / 1)^2 = 45.7
        assert "about 46,000 test examples would decide it" in verdict.said
    (clear,) = judge(run(artifact(right=lost(10))), [Limits(max_accuracy_drop=0.01, undecided="fail")])
    assert clear.status == "passed"


def test_failures_come_first_and_one_is_enough():
    report = run(artifact(right=lost(11)))
    verdicts = judge(report, [Limits(max_bytes=1000, max_accuracy_drop=0.01, must_fit=True), Limits(max_bytes=1)])
    assert [verdict.status for verdict in verdicts] == list(ORDER)
    assert stopped(verdicts)
    assert not stopped(verdict for verdict in verdicts if verdict.status in ("inside", "passed"))


def test_evidence_that_contradicts_itself_is_no_evidence():
    broken = msgspec.structs.replace(artifact().answers, right="AAAA")
    row = artifact(answers=broken)
    (verdict,) = judge(run(row), [Limits(baseline=BaselineLimits(max_accuracy_drop=1.0))], run(artifact()))
    assert verdict.status == "unknown"
    assert "are not those it counts" in verdict.said


def test_a_run_leaves_limits_against_a_baseline_to_the_command_and_says_so():
    table = Limits(max_bytes=1, baseline=BaselineLimits(max_bytes=1.0))
    found = judged(run(artifact(), skipped=(Skipped("a", "b", "c"),)), [table])
    assert [(verdict.limit, verdict.against, verdict.status) for verdict in found.gate] == [("max_bytes", "absolute", "failed")]
    assert [(row.step, row.what) for row in found.skipped] == [("a", "b"), ("gate", "baseline.max_bytes")]
    assert judged(run(artifact()), []) == run(artifact())


numbers = st.tuples(st.integers(0, 60), st.integers(0, 10), st.floats(0, 0.1), st.floats(0, 0.1))


@settings(deadline=None)
@given(numbers)
def test_a_tighter_drop_never_passes_what_a_looser_one_fails(case):
    lose, gain, one, other = case
    row = artifact(right=lost(lose, gain))
    loose, tight = (judge(run(row), [Limits(max_accuracy_drop=drop)])[0].status for drop in (max(one, other), min(one, other)))
    assert ORDER.index(tight) <= ORDER.index(loose)


@settings(deadline=None)
@given(st.floats(0.5, 3), st.floats(0, 0.4), st.floats(0.1, 2), st.floats(0.1, 2))
def test_a_tighter_ratio_never_passes_what_a_looser_one_fails(ms, spread, one, other):
    report = run(FLOAT, artifact(latency=timed(ms, spread)))
    loose, tight = (judge(report, [Limits(max_p50_ratio=times)])[0].status for times in (max(one, other), min(one, other)))
    assert ORDER.index(tight) <= ORDER.index(loose)


@settings(deadline=None)
@given(st.integers(0, 2000), st.integers(0, 2000), st.floats(0, 1), st.floats(0, 1))
def test_a_tighter_size_or_sparsity_never_passes_what_a_looser_one_fails(one, other, sparse, denser):
    report = run(artifact())
    for name, loose, tight in (
        ("max_bytes", max(one, other), min(one, other)),
        ("min_sparsity", min(sparse, denser), max(sparse, denser)),
    ):
        first, then = (judge(report, [Limits(**{name: allowed})])[0].status for allowed in (loose, tight))
        assert ORDER.index(then) <= ORDER.index(first)
