"""The networks that are pruned, and the data they are judged on. What is not here is skipped, visibly."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from toolchain.cache import Cache
from toolchain.data import Dataset, DataSettings
from toolchain.prepared_data import open_data
from toolchain.worker import silent

DEVELOPMENT = Path(__file__).parents[3] / "shared" / "data"
CIFAR10 = DEVELOPMENT / "cifar10"
RESNET8 = DEVELOPMENT / "mlperf_tiny" / "ic" / "pretrainedResnet.h5"
"""MLPerf Tiny image classification, 12.5 M MACs; takes pixels of 0 to 255."""


def missing() -> str | None:
    """Why the parts that need trained networks cannot run."""
    absent = [path.name for path in (CIFAR10 / "train.npz", CIFAR10 / "test_a.npz", RESNET8) if not path.exists()]
    return f"{', '.join(absent)} not found beside the project" if absent else None


@functools.cache
def npz() -> Path:
    """CIFAR-10 as `--data` takes it: 40,000 images to train (a tenth of them to validate), the 5,000 of test_a to test."""
    train, test = np.load(CIFAR10 / "train.npz"), np.load(CIFAR10 / "test_a.npz")
    path = Path(tempfile.gettempdir()) / "secateur_cifar10.npz"
    np.savez(path, x_train=train["x"], y_train=train["y"], x_test=test["x"], y_test=test["y"])
    return path


def cifar10(seed: int = 0) -> Dataset:
    """The same, opened."""
    return open_data(str(npz()), "run", DataSettings(), seed, Cache(), silent)


def resnet8() -> Any:
    """ResNet-8 as trained by MLPerf Tiny; where that file is absent, the same architecture without training."""
    from toolchain import keras_models

    return keras_models.load(RESNET8) if RESNET8.exists() else residual((16, 32, 64), name="resnet8")


def mobilenet_v2() -> Any:
    """MobileNetV2 0.35 at 96x96, untrained: speed does not depend on the weights."""
    import keras

    return keras.applications.MobileNetV2((96, 96, 3), alpha=0.35, weights=None, classes=10)


def residual(widths: tuple[int, ...], name: str) -> Any:
    """A residual network of one block a width on 32x32x3 pixels of 0 to 255, 10 classes (He et al. 2016, section 4.2)."""
    import tf_keras as keras

    layers = keras.layers

    def convolution(x: Any, filters: int, size: int, stride: int) -> Any:
        made = layers.Conv2D(filters, size, strides=stride, padding="same", use_bias=False, kernel_initializer="he_normal")
        return layers.BatchNormalization()(made(x))

    inputs = keras.Input((32, 32, 3))
    x = layers.ReLU()(convolution(layers.Rescaling(1 / 64, -2.0)(inputs), widths[0], 3, 1))
    for index, filters in enumerate(widths):
        stride = 1 if index == 0 else 2
        inner = layers.ReLU()(convolution(x, filters, 3, stride))
        shortcut = x if index == 0 else convolution(x, filters, 1, stride)
        x = layers.ReLU()(layers.add([shortcut, convolution(inner, filters, 3, 1)]))
    outputs = layers.Softmax()(layers.Dense(10)(layers.Flatten()(layers.AveragePooling2D(x.shape[1])(x))))
    return keras.Model(inputs, outputs, name=name)
