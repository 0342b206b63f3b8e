import msgspec
import pytest
from made_reports import artifact, run, timed

from toolchain.gate.durations import against_baseline, against_reference, reference_of

FLOAT, INT8 = artifact("original_float32.tflite", latency=timed(4.0)), artifact(latency=timed(1.0))


def test_the_reference_is_the_float_file_of_the_format_unless_it_is_named():
    plain = artifact("float32.tflite")
    assert reference_of(run(FLOAT, plain, INT8), INT8, "") == "original_float32.tflite"
    assert reference_of(run(plain, INT8), INT8, "") == "float32.tflite"
    assert reference_of(run(FLOAT, plain), artifact("a.onnx"), "") == "original_float32.onnx"
    assert reference_of(run(FLOAT, plain), INT8, "float32.tflite") == "float32.tflite"


def test_files_of_one_run_are_compared_round_by_round():
    found = against_reference(run(FLOAT, INT8), INT8, FLOAT.name)
    assert found.value == pytest.approx(0.25)
    assert found.interval == (pytest.approx(0.25), pytest.approx(0.25))
    assert found.said == "times original_float32.tflite, 40 rounds timed in turns"


def test_a_reference_that_is_not_there_is_no_evidence():
    found = against_reference(run(INT8), INT8, "float32.tflite")
    assert found.value is None
    assert "the run made no float32.tflite" in found.said


def test_a_machine_of_half_the_speed_is_no_regression():
    slow = run(msgspec.structs.replace(FLOAT, latency=timed(8.0)), artifact(latency=timed(2.0)))
    found = against_baseline(slow, slow.artifacts[1], run(FLOAT, INT8), INT8)
    assert found.value == pytest.approx(1.0)
    assert "relative to original_float32.tflite, which is the same file in both" in found.said
    assert "both on a CPU, whose speed may differ between runs" in found.said


def test_without_a_file_of_both_runs_the_machines_count_and_it_says_so():
    slow = run(artifact("original_float32.tflite", digest="other", latency=timed(8.0)), artifact(latency=timed(2.0)))
    slow = msgspec.structs.replace(slow, host=msgspec.structs.replace(slow.host, cpu="another CPU"))
    found = against_baseline(slow, slow.artifacts[1], run(FLOAT, INT8), INT8)
    assert found.value == pytest.approx(2.0)
    assert "no file is the same in both runs" in found.said
    assert "on another CPU, the baseline on a CPU" in found.said


def test_a_file_is_not_its_own_yardstick():
    """An unchanged file that got slower with its runtime would always come out at 1."""
    found = against_baseline(run(artifact(latency=timed(3.0))), artifact(latency=timed(3.0)), run(INT8), INT8)
    assert found.value == pytest.approx(3.0)


def test_other_threads_are_another_measurement():
    row = artifact(latency=timed(1.0, threads=4))
    found = against_baseline(run(row), row, run(INT8), INT8)
    assert found.value is None
    assert "4 and 1 threads" in found.said
