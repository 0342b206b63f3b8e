"""Small networks on which every scheme has to run or to say why not; inputs are normal random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from conftest import tiny_model

from toolchain.channels.nodes import kind
from toolchain.quantization.kernels import OUTPUT_AXES, Kernel


def cnn(keras: Any) -> Any:
    return tiny_model(keras)


def residual(keras: Any) -> Any:
    layers = keras.layers
    image = keras.Input((8, 8, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same", name="stem")(image)))
    y = layers.Conv2D(8, 3, padding="same", name="second")(layers.Conv2D(8, 3, padding="same", activation="relu", name="first")(x))
    x = layers.MaxPooling2D(2)(layers.ReLU()(layers.Add()([x, y])))
    return keras.Model(image, layers.Dense(5, activation="softmax")(layers.GlobalAveragePooling2D()(x)))


def mobile(keras: Any) -> Any:
    """Depthwise, ReLU6, a linear bottleneck, a sigmoid gate and a concatenation."""
    layers = keras.layers
    image = keras.Input((12, 12, 3))
    x = layers.ReLU(6.0)(layers.Conv2D(8, 3, strides=2, padding="same")(image))
    y = layers.ReLU(6.0)(layers.DepthwiseConv2D(3, padding="same")(layers.Conv2D(16, 1)(x)))
    x = layers.Add()([x, layers.Conv2D(8, 1)(y)])
    gate = layers.Dense(8, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.Concatenate()([layers.Multiply()([x, gate]), x])
    return keras.Model(image, layers.Dense(4)(layers.Flatten()(layers.AveragePooling2D(3)(x))))


def recurrent(kind: str, unroll: bool) -> Any:
    def build(keras: Any) -> Any:
        layers = keras.layers
        return keras.Sequential([keras.Input((4, 3)), getattr(layers, kind)(4, unroll=unroll), layers.Dense(2)])

    return build


NETWORKS = {
    "cnn": cnn,
    "residual": residual,
    "mobile": mobile,
    "gru": recurrent("GRU", False),
    "lstm": recurrent("LSTM", False),
    "unrolled_gru": recurrent("GRU", True),
    "unrolled_lstm": recurrent("LSTM", True),
}


def build(name: str, keras: Any, seed: int = 0) -> Any:
    """A network by name, its weights drawn by `seed`."""
    keras.utils.set_random_seed(seed)
    return NETWORKS[name](keras)


def lenet(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(6, 5, padding="same", activation="tanh"),
            layers.AveragePooling2D(2),
            layers.Conv2D(16, 5, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(120, activation="relu"),
            layers.Dense(84, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def application(keras: Any, name: str, size: int, **settings: Any) -> Any:
    """A network of keras.applications with random weights, and statistics of a trained network's size."""
    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name)(input_shape=(size, size, 3), weights=None, classes=10, **settings)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.gamma.shape
            layer.set_weights(
                [rng.uniform(0.5, 1.5, shape), rng.normal(0, 0.3, shape), rng.normal(0, 0.2, shape), rng.uniform(0.3, 2, shape)]
            )
    return model


def kernels(model: Any) -> Iterator[Kernel]:
    """Every kernel with a known layout, in the model's order, nested models included."""
    for layer in model._flatten_layers():
        if kind(layer) in OUTPUT_AXES and layer.weights:
            yield Kernel(layer, OUTPUT_AXES[kind(layer)])
