import msgspec
import pytest
from made_reports import artifact, on_target, run

from toolchain.gate.judge import judge
from toolchain.gate.limits import BaselineLimits, Limits
from toolchain.gate.subjects import subjects
from toolchain.report import AttemptReport


def made(*names, **found):
    return run(*(artifact(name) for name in names), **found)


def files(report, pattern=""):
    return [subject.file for subject in subjects(report, Limits(files=pattern, max_bytes=1))]


def test_without_a_pattern_it_is_what_is_made_to_be_shipped():
    tried = tuple(
        AttemptReport(name, (), 0.0, artifact=file, chosen=chosen)
        for name, file, chosen in (("plain", "plain_static_w8a8.tflite", False), ("adaround", "static_w8a8.tflite", True))
    )
    package = artifact("static_w8a8_c", format="c_source")
    report = made("original_float32.tflite", "float32.onnx", "plain_static_w8a8.tflite", "static_w8a8.tflite", attempts=tried)
    report = msgspec.structs.replace(report, artifacts=(*report.artifacts, package))
    assert files(report) == ["float32.onnx", "static_w8a8.tflite"]
    assert files(report, "*") == [row.name for row in report.artifacts]
    assert files(report, "original_*") == ["original_float32.tflite"]
    assert files(report, "*_c") == ["static_w8a8_c"]


@pytest.mark.parametrize("table", [{"max_bytes": 9999}, {"must_fit": True}, {"baseline": BaselineLimits(max_bytes=9.0)}])
def test_a_pattern_that_matches_nothing_stops_the_gate(table):
    report = made("static_w8a8.tflite")
    (verdict,) = judge(report, [Limits(files="*.onnx", **table)], report)
    assert (verdict.file, verdict.status) == ("*.onnx", "unknown")
    assert "the run made static_w8a8.tflite" in verdict.said
    (nothing,) = judge(run(), [Limits(**table)], report)
    assert (nothing.file, nothing.status) == ("*", "unknown")


def test_every_target_that_the_pattern_names_is_judged_by_itself():
    report = run(artifact(targets=(on_target("pico"), on_target("stm32f746", False, reasons=("too large",)), on_target("stm32l4", None))))
    found = {verdict.target: verdict.status for verdict in judge(report, [Limits(must_fit=True)])}
    assert found == {"pico": "passed", "stm32f746": "failed", "stm32l4": "unknown"}
    assert {verdict.target for verdict in judge(report, [Limits(must_fit=True, target="stm32*")])} == {"stm32f746", "stm32l4"}
    (absent,) = judge(report, [Limits(must_fit=True, target="esp32")])
    assert (absent.target, absent.status) == ("esp32", "unknown")
    assert "put this file on pico, stm32f746, stm32l4; run it with --target" in absent.said


def test_limits_on_files_have_no_target():
    report = run(artifact(targets=(on_target("pico"),)))
    (verdict,) = judge(report, [Limits(max_bytes=1000, target="esp32")])
    assert (verdict.target, verdict.status) == (None, "passed")


def test_a_reference_is_not_compared_with_itself_and_alone_it_is_no_evidence():
    report = made("float32.tflite", "static_w8a8.tflite")
    assert [verdict.file for verdict in judge(report, [Limits(max_p50_ratio=2.0)])] == ["static_w8a8.tflite"]
    (verdict,) = judge(made("float32.tflite"), [Limits(max_p50_ratio=2.0)])
    assert verdict.status == "unknown"


def test_a_file_that_the_baseline_lacks_is_not_known():
    (verdict,) = judge(made("static_w8a8.tflite"), [Limits(baseline=BaselineLimits(max_bytes=9.0))], made("float32.tflite"))
    assert verdict.status == "unknown"
    assert "it has float32.tflite" in verdict.said
