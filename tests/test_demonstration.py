"""The demonstration's promises, on real data, as `make demo` runs it."""

import gzip

import pytest
from conftest import secateur

from toolchain import report

pytestmark = [pytest.mark.prove, pytest.mark.tensorflow]


def test_the_demo_keeps_its_promises(tmp_path):
    done = secateur("demo", "--out", str(tmp_path / "demo"))
    assert done.returncode == 0, done.stderr
    found = report.load(tmp_path / "demo" / "report.json")
    rows = {row.name: row for row in found.artifacts}
    original, int8 = rows["original_float32.tflite"], rows["static_w8a8.tflite"]
    assert int8.bytes <= 0.27 * rows["float32.tflite"].bytes
    assert int8.gzip_bytes <= original.gzip_bytes / 8
    assert len(gzip.compress((tmp_path / "demo" / "static_w8a8.tflite").read_bytes(), 9)) <= original.gzip_bytes / 8
    assert found.model.accuracy > 0.97
    assert int8.accuracy >= found.model.accuracy - 0.010
    assert int8.accuracy_examples == 1000
    dense = rows["original_static_w8a8.tflite"]
    assert int8.macs <= 0.5 * dense.macs
    channels = next(step for step in found.steps if "prune_channels" in step.name).details["groups"]
    assert all(0 < group["after"] <= group["before"] for group in channels.values())
    emulated = int8.targets[0].results[0]
    assert emulated.emulator == "tflm"
    assert emulated.outputs_match is True
    assert emulated.arena_bytes > 0
    assert {verdict.limit for verdict in found.gate} >= {"must_fit", "max_accuracy_drop", "max_gzip_bytes"}
    assert all(verdict.status in ("passed", "inside") for verdict in found.gate)
    again = secateur("demo", "--out", str(tmp_path / "demo"))
    assert f"{len(found.steps)} steps, {len(found.steps)} of them from the cache" in again.stdout
