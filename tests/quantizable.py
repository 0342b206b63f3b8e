"""Small networks on which every scheme has to run or to say why not; inputs are normal random numbers."""

from __future__ import annotations

from typing import Any

from conftest import tiny_model


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
