import json
import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import SHARED, needs_shared, secateur

HEAVY = ("tensorflow", "keras", "tf_keras", "onnx", "onnxruntime", "ai_edge_litert", "tflite_micro", "vl_convert", "numpy", "h5py")


def test_help_imports_nothing_heavy():
    assert "secateur run edge_int8" in " ".join(secateur("--help").stdout.split())
    script = "import sys, toolchain, toolchain.cli.app; print([m for m in sys.argv[1:] if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script, *HEAVY], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "command", ["run", "bench", "check", "inspect", "targets", "recipes", "cache", "demo", "gate", "report", "release", "verify"]
)
def test_every_command_shows_an_example(command):
    done = secateur(command, "--help")
    assert done.returncode == 0
    assert f"secateur {command}" in done.stdout.replace("Usage: secateur", "")
    assert "\\b" not in done.stdout


@pytest.fixture
def poisoned(tmp_path):
    """A PYTHONPATH on which TensorFlow and both Kerases leave a mark when imported."""
    for name in ("tensorflow", "keras", "tf_keras"):
        (tmp_path / "poison" / name).mkdir(parents=True)
        (tmp_path / "poison" / name / "__init__.py").write_text(
            f"open({str(tmp_path / 'mark')!r}, 'a').write({name!r})\nraise ImportError({name!r})"
        )
    return str(tmp_path / "poison")


def test_bench_check_and_inspect_of_a_tflite_never_import_tensorflow(tiny_int8, npz, poisoned, tmp_path):
    done = secateur("bench", str(tiny_int8), "--data", str(npz), "--scale", "1/255", "--target", "stm32f746", "--json", PYTHONPATH=poisoned)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert rows[0]["latency"]["samples_ms"]
    assert rows[0]["targets"][0]["results"][0]["status"] == "ok"
    assert secateur("check", str(tiny_int8), "--target", "pico", PYTHONPATH=poisoned).returncode == 0
    assert secateur("inspect", str(tiny_int8), PYTHONPATH=poisoned).returncode == 0
    assert not (tmp_path / "mark").exists()
    subprocess.run([sys.executable, "-c", "import tensorflow"], env=os.environ | {"PYTHONPATH": poisoned}, check=False, capture_output=True)
    assert (tmp_path / "mark").exists(), "the poison works"


def test_check_exits_0_or_1_with_every_reason(tiny_int8, tiny_float):
    fits = secateur("check", str(tiny_int8), "--target", "stm32f746")
    assert fits.returncode == 0
    assert "fits stm32f746" in fits.stdout
    assert "of 1,048,576 B, of it 131,072 reserved for firmware" in fits.stdout
    refused = secateur("check", str(tiny_float), "--target", "stm32f746", "--json")
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["reasons"] == ["computes in float32; this target takes int8, int16"]


def test_inspect_shows_operators_macs_and_quantization(tiny_int8):
    done = secateur("inspect", str(tiny_int8))
    for shown in ("DEPTHWISE_CONV_2D", "2,304", "weights per channel (4)", "95 parameters", "4,032 MACs", "static_w8a8"):
        assert shown in done.stdout
    assert json.loads(secateur("inspect", str(tiny_int8), "--json").stdout)["macs"] == 4032


def test_lists_and_single_recipes_and_targets():
    assert "edge_int8" in secateur("recipes").stdout
    assert secateur("recipes", "edge_int8").stdout.startswith("description")
    assert "stm32f746" in secateur("targets").stdout
    assert "[sources]" in secateur("targets", "stm32f746", "--toml").stdout


def test_the_cache_shows_its_size_and_is_cleared(tmp_path, tiny_int8, npz):
    secateur("bench", str(tiny_int8), "--data", str(npz))
    before = secateur("cache")
    assert os.environ["SECATEUR_CACHE"] in before.stdout
    assert any(files for _, _, files in os.walk(os.environ["SECATEUR_CACHE"]))
    assert "removed" in secateur("cache", "--clear").stdout
    assert not os.path.exists(os.environ["SECATEUR_CACHE"])


def bad_inputs(tmp_path):
    (tmp_path / "noise.tflite").write_bytes(b"\x00" * 40)
    (tmp_path / "noise.keras").write_bytes(b"PK\x03\x04")
    np.savez(tmp_path / "empty.npz", x=np.zeros((0, 8, 8, 1)))
    (tmp_path / "out").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bench", "noise.tflite"], "noise.tflite: not a .tflite model"),
        (["bench", "{tiny}", "--data", "empty.npz"], "empty.npz: x is empty"),
        (["bench", "{tiny}", "--data", "minst_5k"], "minst_5k: no such data; use mnist_5k"),
        (["bench", "{tiny}", "--data", "digits", "--scale", "x"], "scale = 'x' is no number"),
        (["bench", "{tiny}", "--data", "mnist_5k"], "examples have the shape [28, 28, 1], the model takes [8, 8, 1]"),
        (["bench", "{tiny}", "--target", "stm32"], "no target 'stm32'"),
        (["run", "float32", "--model", "noise.keras", "--out", "out"], "the .keras archive is truncated"),
        (["run", "float32", "--model", "{tiny}", "--out", "out"], "a tflite file is finished"),
        (["run", "float31", "--model", "{tiny}", "--out", "out"], "no recipe 'float31'; did you mean 'float32'?"),
        (["run", "float32", "--model", "none.keras", "--out", "out"], "none.keras: no such file"),
        (["inspect", "noise.tflite"], "noise.tflite: not a .tflite model"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_2(tmp_path, tiny_int8, arguments, message):
    folder = bad_inputs(tmp_path)
    done = secateur(*(argument.format(tiny=tiny_int8) for argument in arguments), cwd=folder)
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line.startswith("secateur: ")]
    assert len(lines) == 1
    assert message in lines[0]
    assert "Traceback" not in done.stderr
    assert not list((folder / "out").iterdir())


def test_a_missing_extra_names_the_install_command(tiny_int8, tmp_path):
    (tmp_path / "no" / "tflite_micro").mkdir(parents=True)
    (tmp_path / "no" / "tflite_micro" / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'tflite_micro'\", name='tflite_micro')"
    )
    done = secateur("check", str(tiny_int8), "--target", "pico", PYTHONPATH=str(tmp_path / "no"))
    assert done.returncode == 2
    assert "pip install 'secateur[emulate]'" in done.stderr


@needs_shared("mlperf_tiny")
def test_known_accuracies_on_cifar10():
    folder = SHARED / "mlperf_tiny" / "ic"
    files = [str(folder / "pretrainedResnet_quant.tflite"), str(folder / "pretrainedResnet.tflite")]
    done = secateur("bench", *files, "--data", str(SHARED / "cifar10" / "test_a.npz"), "--json")
    assert [row["accuracy"] for row in json.loads(done.stdout)] == pytest.approx([0.8714, 0.8740])
