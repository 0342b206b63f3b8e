"""Small models and data for the tests; nothing here has more than a thousand weights."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as in worker.py; channels_first runs on no CPU without it
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
import pytest
from hypothesis import settings

from toolchain.data import Dataset, DataSettings
from toolchain.data_sources import Request, prepare
from toolchain.stage import Context
from toolchain.worker import silent

HERE = Path(__file__).parent
SHARED = HERE.parent.parent / "shared" / "data"

settings.register_profile("loaded", deadline=None)  # a loaded machine is no failure
settings.load_profile("loaded")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """No test reads or fills the user's cache."""
    monkeypatch.setenv("SECATEUR_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def compiled_once(own_cache, tmp_path_factory, monkeypatch):
    """What a test compiles is kept for the session: a first compilation for a target takes seconds."""
    monkeypatch.setenv("SECATEUR_CACHE", str(tmp_path_factory.getbasetemp() / "compiled"))


@pytest.fixture
def tiny_int8() -> Path:
    """8x8x1 -> conv 4, depthwise, mean, softmax over 3 classes, int8; written by tests/data/make.py."""
    return HERE / "data" / "tiny_int8.tflite"


@pytest.fixture
def tiny_float() -> Path:
    return HERE / "data" / "tiny_float32.tflite"


def shapes(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A learnable task: is the bright pixel's row in the upper, middle or lower third?"""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, count)
    x = rng.integers(0, 80, (count, 8, 8, 1))
    x[np.arange(count), np.minimum(y * 3 + rng.integers(0, 2, count), 7), rng.integers(0, 8, count), 0] = 255
    return x.astype(np.uint8), y


@pytest.fixture
def npz(tmp_path) -> Path:
    x, y = shapes(300)
    np.savez(tmp_path / "shapes.npz", x=x, y=y)
    return tmp_path / "shapes.npz"


@pytest.fixture
def dataset(npz, tmp_path) -> Dataset:
    found = prepare(Request(str(npz), "run", 0, tmp_path / "splits"), silent)
    return Dataset(found.name, found.digest, found.folder, DataSettings(scale="1/255", calibration=50))


@pytest.fixture
def context(dataset, tmp_path) -> Context:
    return Context(tmp_path / "original.keras", None, dataset, (0.0, 1.0), 0, False, silent)


def tiny_model(keras, seed: int = 0):
    """A CNN with every kind of layer that matters here, of either Keras."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, padding="same", use_bias=False, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="relu"),
            layers.DepthwiseConv2D(3, name="depthwise"),
            layers.Conv2D(8, 1, activation="relu", name="point"),
            layers.Flatten(name="flat"),
            layers.Dense(3, activation="softmax", name="answer"),
        ],
        name="tiny",
    )


@pytest.fixture(params=["keras", "tf_keras"])
def keras(request):
    """Both Kerases, one after the other."""
    return __import__(request.param)


def needs_shared(path: str):
    """Skip, visibly, where the development data are absent."""
    return pytest.mark.skipif(not (SHARED / path).exists(), reason=f"development data {path} are not here")


def secateur(*arguments: str, cwd: Path | None = None, **environment: str):
    """Run the command as a user does."""
    import subprocess

    command = [sys.executable, "-m", "toolchain.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=dict(os.environ) | environment, timeout=600, check=False)


def shapes_for_tests() -> tuple[np.ndarray, np.ndarray]:
    """What `--data conftest:shapes_for_tests` names."""
    return shapes(30)
