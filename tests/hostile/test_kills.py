"""kill -9 at any moment: nothing half, nothing corrupt, nobody left behind, and the run goes on where it was."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import psutil
import pytest
from conftest import tiny_model

from toolchain import report
from toolchain.cache import Cache
from toolchain.files import SCRATCH, digest
from toolchain.onnx_file import OnnxFile
from toolchain.tflite_file import TfliteFile

KILLS = 50
RECIPE = """
seed = 1
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
[[export]]
use = "tflite"
scheme = "static_w8a8"
[[export]]
use = "onnx"
scheme = "int8_from_tflite"
"""
FILES = {"float32.tflite", "static_w8a8.tflite", "int8_from_tflite.onnx", "final.keras", "report.json", "report.html"}


class Place:
    """A cache, an output folder and a folder for temporary files of their own."""

    def __init__(self, folder: Path, inputs: Path, npz: Path) -> None:
        self.out, self.cache, self.temporary = folder / "out", folder / "cache", folder / "tmp"
        self.temporary.mkdir(parents=True)
        options = ["--model", str(inputs / "tiny.keras"), "--data", str(npz), "--out", str(self.out)]
        self.command = [sys.executable, "-m", "toolchain.cli", "run", str(inputs / "small.toml"), *options]
        self.mark = str(self.out)

    def start(self) -> subprocess.Popen[bytes]:
        places = {"SECATEUR_CACHE": str(self.cache), "TMPDIR": str(self.temporary)}
        return subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ | places, process_group=0)

    def finish(self) -> report.Report:
        running = self.start()
        errors = running.communicate(timeout=300)[1].decode()
        assert running.returncode == 0, errors
        return report.load(self.out / "report.json")

    def descendants(self) -> list[psutil.Process]:
        """All processes whose temporary files lie here, whoever is their parent."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("TMPDIR", "").startswith(str(self.temporary)) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def check(self) -> None:
        """No file is half, whatever was interrupted."""
        for path in self.out.glob("*"):
            if path.name.startswith(SCRATCH):
                continue
            assert path.name in FILES
            if path.suffix == ".tflite":
                TfliteFile.read(path)
            elif path.suffix == ".onnx":
                OnnxFile.read(path)
            elif path.suffix == ".json":
                report.load(path)
            elif path.suffix == ".html":
                assert path.read_text().rstrip().endswith("</html>")
        for path in self.cache.glob("??/*"):
            if not path.name.startswith(SCRATCH):
                assert Cache(self.cache).load(path.name, msgspec.Raw) is not None, f"{path} has no result"

    def scratch(self) -> list[Path]:
        return [path for root in (self.out, self.cache, self.temporary) for path in root.rglob(f"{SCRATCH}*")]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    import keras

    folder = tmp_path_factory.mktemp("inputs")
    tiny_model(keras).save(folder / "tiny.keras")
    (folder / "small.toml").write_text(RECIPE)
    return folder


@pytest.mark.tensorflow
@pytest.mark.prove
def test_fifty_kills_and_the_result_of_an_undisturbed_run(tmp_path, inputs, npz):
    undisturbed = Place(tmp_path / "undisturbed", inputs, npz)
    begun = time.monotonic()
    expected = undisturbed.finish()
    whole = time.monotonic() - begun
    place, drawn = Place(tmp_path / "killed", inputs, npz), random.Random(0)
    finished = 0
    for index in range(KILLS):
        running = place.start()
        try:
            running.wait(timeout=drawn.uniform(0, whole) if index % 2 else drawn.uniform(0, whole / 3))
            finished += 1
            assert running.returncode == 0, running.stderr.read().decode()
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL) if index % 3 else running.kill()
            running.wait()
        assert not psutil.wait_procs(place.descendants(), timeout=10)[1], "processes are left"
        place.check()
        assert len(place.scratch()) <= 4, "what killed runs leave does not pile up"
        if finished and place.out.exists() and drawn.random() < 0.5:  # the last steps again, to be killed in them, too
            for entry in sorted(place.cache.glob("??/*"), key=lambda path: path.stat().st_mtime)[-3:]:
                shutil.rmtree(entry)
    found = place.finish()
    assert not place.scratch()
    assert not list(place.temporary.iterdir())
    assert {path.name for path in place.out.iterdir()} == FILES
    assert [row.name for row in found.artifacts] == [row.name for row in expected.artifacts]
    for one, other in zip(found.artifacts, expected.artifacts, strict=True):
        assert digest(place.out / one.name) == one.digest
        assert (one.operators, one.macs, one.parameters) == (other.operators, other.macs, other.parameters)
        assert one.nonzero_parameters == other.nonzero_parameters
        assert one.accuracy == other.accuracy
        assert one.digest == other.digest, f"{one.name} is another file"
    assert [step.name for step in found.steps] == [step.name for step in expected.steps]
