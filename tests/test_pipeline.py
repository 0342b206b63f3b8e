import json
import os
import signal
import subprocess
import sys
import time

import msgspec
import numpy as np
import pytest
from conftest import HERE, shapes, tiny_model

import toolchain
from toolchain import recipe, report
from toolchain.errors import DataError, RecipeError, StorageError

pytestmark = pytest.mark.tensorflow

RECIPE = """
[data]
scale = "1/255"
[[stage]]
use = "prune"
sparsity = 0.5
epochs = 1
[[stage]]
use = "finetune"
epochs = 1
[[export]]
use = "tflite"
of = "original"
[[export]]
use = "tflite"
scheme = "static_w8a8"
[[export]]
use = "onnx"
scheme = "int8_from_tflite"
"""


@pytest.fixture
def inputs(tmp_path, npz):
    import keras

    tiny_model(keras).save(tmp_path / "tiny.keras")
    (tmp_path / "small.toml").write_text(RECIPE)
    return {"model": tmp_path / "tiny.keras", "data": str(npz), "out": tmp_path / "out", "targets": ["stm32f746"]}


def test_a_run_from_recipe_to_report(inputs, tmp_path):
    said = []
    found = toolchain.run(str(tmp_path / "small.toml"), **inputs, progress=lambda *what: said.append(what))
    out = tmp_path / "out"
    assert report.dumps(report.load(out / "report.json")) == report.dumps(found)
    names = ["original_float32.tflite", "static_w8a8.tflite", "int8_from_tflite.onnx"]
    assert [row.name for row in found.artifacts] == names
    assert all((out / name).stat().st_size == row.bytes for name, row in zip(names, found.artifacts, strict=True))
    assert [step.name for step in found.steps] == [
        "original", "1 prune", "2 finetune", "export original_float32.tflite", "export static_w8a8.tflite", "export int8_from_tflite.onnx",
        "layers", "benchmark",
    ]  # fmt: skip
    original, int8, onnx = found.artifacts
    assert original.agreement == 1.0
    assert found.model.accuracy == pytest.approx(original.accuracy)
    assert int8.latency.p50_ms > 0
    assert len(int8.latency.samples_ms) > 100
    assert int8.latency.interval_ms[0] <= int8.latency.p50_ms <= int8.latency.interval_ms[1] * 1.5
    assert int8.peak_memory_bytes > int8.base_memory_bytes > 10_000_000
    board = int8.targets[0]
    assert (board.fits, board.results[0].outputs_match) == (True, True) or board.results[0].outputs_max_difference == 1
    assert original.targets[0].fits is False
    assert onnx.targets[0].reasons == ("tflm runs tflite, not onnx",)
    assert found.data.test == 30
    assert ("prune: epoch 1", 1, 3) in said
    assert {path.name for path in out.iterdir()} == {*names, "final.keras", "report.json", "report.html"}
    assert "test" not in " ".join(used for step in found.steps for used in step.examples.values()).replace("shapes.npz/test", "TEST")

    import keras

    keras.models.load_model(out / "final.keras")  # as anybody would, without this project

    # the same again: nothing computed, no TensorFlow in reach
    again = run_without_tensorflow(inputs, tmp_path)
    assert all(step.cached for step in again.steps)
    assert report.dumps(again.artifacts) == report.dumps(found.artifacts)

    # another second stage: the first is kept
    changed = toolchain.run(str(tmp_path / "small.toml"), **inputs, changes=["finetune.learning_rate=0.01"])
    assert [step.name for step in changed.steps if step.cached] == ["original", "1 prune", "export original_float32.tflite"]


def test_another_recipe_in_the_same_folder_leaves_no_stale_file_beside_its_report(inputs, tmp_path):
    toolchain.run(str(tmp_path / "small.toml"), **inputs | {"targets": []})
    (tmp_path / "out" / "mine.txt").write_text("kept")
    found = toolchain.run("float32", **inputs | {"targets": []}, changes=["data.scale=1/255"])
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {*(row.name for row in found.artifacts), "report.json", "report.html", "mine.txt"}


def test_a_page_that_fails_leaves_the_folder_as_it_was(inputs, tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sensitivity.json").write_text("{")
    toolchain.run("float32", **inputs | {"targets": []}, changes=["data.scale=1/255"])
    assert "not what secateur sensitivity writes" in (tmp_path / "out" / "report.html").read_text()
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def fails(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("toolchain.pipeline.folder.page", fails)
    with pytest.raises(ZeroDivisionError):
        toolchain.run("static_w8a8", **inputs | {"targets": []}, changes=["data.scale=1/255"])
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_a_lost_accuracy_is_a_warning_on_the_artifact():
    from toolchain.jobs import Original
    from toolchain.measure.accuracy import Score
    from toolchain.pipeline import _warned

    row = report.ArtifactReport("a", "/x/a", "tflite", "", "", "measured", 1, 1, 1, 1, 1, 1, {}, metric="top1", accuracy=0.5)
    original = Original(1, 1, (), Score("top1", 0.9, (0.85, 0.95), 100), "")
    pruned, plain = recipe.load("pruned"), recipe.load("static_w8a8")
    assert _warned(row, original, pruned, ()).notes == (
        "loses 40.0 points of top1, outside the original's interval; prune less or train longer",
    )
    assert "secateur compare names the layer" in _warned(row, original, plain, ()).notes[0]
    assert not _warned(msgspec.structs.replace(row, accuracy=0.86), original, plain, ()).notes
    rejected = report.AttemptReport("plain", (), 1.0, "top1", 0.9, 0.5, 0.4, artifact="a")
    assert not _warned(row, original, plain, (rejected,)).notes, "the attempts' own table says so"


def run_without_tensorflow(inputs, tmp_path):
    (tmp_path / "poison" / "tensorflow").mkdir(parents=True)
    (tmp_path / "poison" / "tensorflow" / "__init__.py").write_text("raise SystemExit('TensorFlow was imported')")
    command = [sys.executable, "-m", "toolchain.cli", "run", str(tmp_path / "small.toml"), "--model", str(inputs["model"])]
    command += ["--data", inputs["data"], "--out", str(inputs["out"]), "--target", "stm32f746"]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": str(tmp_path / "poison")}, capture_output=True)
    return report.load(inputs["out"] / "report.json")


def test_a_file_that_no_run_wrote_is_never_overwritten(inputs, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "static_w8a8.tflite").write_text("mine")
    with pytest.raises(StorageError, match=r"already holds static_w8a8.tflite, which no earlier run wrote"):
        toolchain.run(str(tmp_path / "small.toml"), **inputs)
    assert (tmp_path / "out" / "static_w8a8.tflite").read_text() == "mine"


def test_labels_that_do_not_fit_are_refused_before_any_stage(inputs, tmp_path):
    x, y = shapes(60)
    np.savez(tmp_path / "wrong.npz", x=x, y=y + 7)
    with pytest.raises(DataError, match="labels run from 7 to 9, the model has 3 outputs"):
        toolchain.run("static_w8a8", **inputs | {"data": str(tmp_path / "wrong.npz")})
    assert not (tmp_path / "out").exists()


def test_a_recipe_with_stages_refuses_a_saved_model(inputs, tmp_path):
    import keras

    tiny_model(keras).export(tmp_path / "saved")
    with pytest.raises(RecipeError, match="can only be exported"):
        toolchain.run("pruned", **inputs | {"model": tmp_path / "saved"})
    found = toolchain.run("float32", **inputs | {"model": tmp_path / "saved"}, changes=["data.scale=1/255"])
    assert found.artifacts[0].agreement == 1.0


def test_a_killed_run_leaves_no_half_file_and_goes_on_where_it_stopped(inputs, tmp_path):
    command = [sys.executable, "-m", "toolchain.cli", "run", str(tmp_path / "small.toml"), "--model", str(inputs["model"])]
    command += ["--data", inputs["data"], "--out", str(inputs["out"])]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(HERE)})
    for line in running.stderr:
        if line.startswith("finetune"):
            break
    running.send_signal(signal.SIGKILL)
    running.wait()
    time.sleep(1)
    assert not inputs["out"].exists() or not list(inputs["out"].iterdir())
    found = toolchain.run(str(tmp_path / "small.toml"), **inputs | {"targets": []})
    assert [step.cached for step in found.steps][:3] == [True, True, False]
    assert json.loads((inputs["out"] / "report.json").read_bytes())["schema"] == 1


def test_bench_returns_what_it_measured(tiny_int8, tiny_float, npz):
    found = toolchain.bench([tiny_float, tiny_int8], data=str(npz), scale="1/255", targets=["pico"])
    assert [row.name for row in found.artifacts] == ["tiny_float32.tflite", "tiny_int8.tflite"]
    assert [row.scheme for row in found.artifacts] == ["float32", "static_w8a8"]
    assert found.artifacts[0].accuracy_examples == 300
    assert found.artifacts[1].agreement > 0.9
    assert msgspec.to_builtins(found.artifacts[1])["targets"][0]["results"][0]["how"] == "executed"


def test_a_model_that_knows_nothing_is_pointed_at_the_scale(inputs, tmp_path):
    found = toolchain.run("float32", **inputs | {"targets": []}, changes=["data.scale=-5"])
    (row,) = (row for row in found.skipped if row.step == "original")
    assert "see data.scale" in row.reason
    assert found.model.accuracy <= 2 / 3
