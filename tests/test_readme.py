"""What the README tells people to type is typed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import secateur, shapes, tiny_model

from toolchain import recipe

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_recipe_and_its_gate_load(tmp_path):
    gate, steps = blocks("toml")
    (tmp_path / "mine.toml").write_text(gate + steps)
    found = recipe.load(str(tmp_path / "mine.toml"))
    assert [export.name for export in found.exports] == ["static_w8a8.tflite", "int8_from_tflite.onnx"]
    (limits,) = found.gate
    assert (limits.must_fit, limits.max_gzip_bytes, limits.baseline.max_bytes) == (True, 200_000, 1.02)


def test_files_and_make_targets_exist():
    for path in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / path).exists(), path
    makefile = (ROOT / "Makefile").read_text()
    named = re.findall(r"^    make ([\w-]+)|`make ([\w-]+)`", README, re.MULTILINE)
    assert len(named) >= 4
    for first, second in named:
        assert re.search(rf"^{first or second}:", makefile, re.MULTILINE)


@pytest.mark.prove
@pytest.mark.tensorflow
def test_the_commands_and_the_python_work_as_written(tmp_path):
    import keras

    tiny_model(keras).save(tmp_path / "my.keras")
    x, y = shapes(120)
    np.savez(tmp_path / "my.npz", x=x, y=y)
    lines = [line for block in blocks("bash") for line in block.splitlines() if line]
    assert len(lines) >= 7
    for line in lines:
        command, *arguments = line.split()
        assert command == "secateur"
        done = secateur(*arguments, cwd=tmp_path)
        assert done.returncode == 0, f"{line}: {done.stderr}"
    assert (tmp_path / "out" / "report.html").exists()
    answers = {"toolchain.run": r"\S+\.(tflite|onnx) [\d.]+ [\d.]+", "ChannelGraph": r"\d+ \d+ True"}
    for block in blocks("python"):
        (answer,) = (pattern for name, pattern in answers.items() if name in block)
        done = subprocess.run(
            [sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, env=dict(os.environ), check=False
        )
        assert done.returncode == 0, done.stderr
        assert re.match(answer, done.stdout)
