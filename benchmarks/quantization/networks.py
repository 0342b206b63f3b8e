"""Small networks in the style of three published families, for 32x32 images: what phones run, at a size that trains in minutes.

All are stacks of inverted residuals with linear bottlenecks (Sandler et al. 2018, section 3.3); the families differ in
their activation, in squeeze-and-excitation and in how much a block widens. Pixels come scaled to [-1, 1].

The MobileNetV2 style has ReLU where the paper has ReLU6: channels can then be scaled on one side and unscaled on the
other without changing the float function, which is how `spread` makes ranges that a quantizer fails on.
"""

from __future__ import annotations

from typing import Any

import msgspec

CLASSES = 10


class Block(msgspec.Struct, frozen=True):
    """One inverted residual: how often it widens, how many channels it gives, its stride and its activation."""

    widening: int
    filters: int
    stride: int
    activation: str
    squeeze: bool = False


class Family(msgspec.Struct, frozen=True):
    """A network: a 3x3 convolution, blocks, a 1x1 convolution, the mean over the image, one dense layer."""

    stem: int
    blocks: tuple[Block, ...]
    head: int
    activation: str
    """Of the stem and the head."""
    gate: str = "sigmoid"
    """What squeeze-and-excitation multiplies with."""


FAMILIES = {
    "mobilenet_v2": Family(
        16,
        (
            Block(1, 16, 2, "relu"),
            Block(4, 16, 1, "relu"),
            Block(4, 24, 2, "relu"),
            Block(4, 24, 1, "relu"),
            Block(4, 24, 1, "relu"),
            Block(4, 48, 2, "relu"),
            Block(4, 48, 1, "relu"),
        ),
        128,
        "relu",
    ),
    "mobilenet_v3": Family(
        16,
        (
            Block(1, 16, 2, "relu"),
            Block(4, 16, 1, "relu", squeeze=True),
            Block(4, 24, 2, "hard_silu", squeeze=True),
            Block(4, 24, 1, "hard_silu", squeeze=True),
            Block(4, 40, 2, "hard_silu", squeeze=True),
            Block(4, 40, 1, "hard_silu", squeeze=True),
        ),
        128,
        "hard_silu",
        "hard_sigmoid",
    ),
    "efficientnet": Family(
        16,
        (
            Block(1, 16, 2, "silu", squeeze=True),
            Block(4, 16, 1, "silu", squeeze=True),
            Block(4, 24, 2, "silu", squeeze=True),
            Block(4, 24, 1, "silu", squeeze=True),
            Block(4, 40, 2, "silu", squeeze=True),
        ),
        128,
        "silu",
    ),
}
"""MobileNetV2 (Sandler et al. 2018, table 2), MobileNetV3 (Howard et al. 2019, table 2: ReLU early, hard-swish late) and
EfficientNet (Tan & Le 2019, table 1), shortened for images of 32x32."""


def build(name: str) -> Any:
    """An untrained network of a family, in Keras 3."""
    import keras

    family = FAMILIES[name]
    inputs = keras.Input((32, 32, 3))
    x = _convolution(inputs, family.stem, 3, 1, family.activation)
    for block in family.blocks:
        x = _inverted_residual(x, block, family.gate)
    x = _convolution(x, family.head, 1, 1, family.activation)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(CLASSES, activation="softmax")(x), name=name)


def _inverted_residual(x: Any, block: Block, gate: str) -> Any:
    import keras

    inner = x if block.widening == 1 else _convolution(x, block.widening * x.shape[-1], 1, 1, block.activation)
    inner = keras.layers.DepthwiseConv2D(3, block.stride, "same", use_bias=False)(inner)
    inner = keras.layers.Activation(block.activation)(keras.layers.BatchNormalization()(inner))
    if block.squeeze:
        inner = _squeeze_and_excite(inner, block.activation, gate)
    inner = _convolution(inner, block.filters, 1, 1, None)
    return keras.layers.add([x, inner]) if inner.shape == x.shape else inner


def _squeeze_and_excite(x: Any, activation: str, gate: str) -> Any:
    """Hu et al. 2018, section 3, with a quarter of the channels; ReLU inside as MobileNetV3 has it, swish as EfficientNet."""
    import keras

    channels = x.shape[-1]
    weights = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
    weights = keras.layers.Conv2D(channels // 4, 1)(weights)
    weights = keras.layers.Activation("silu" if activation == "silu" else "relu")(weights)
    weights = keras.layers.Activation(gate)(keras.layers.Conv2D(channels, 1)(weights))
    return keras.layers.multiply([x, weights])


def _convolution(x: Any, filters: int, size: int, stride: int, activation: str | None) -> Any:
    import keras

    x = keras.layers.Conv2D(filters, size, stride, "same", use_bias=False, kernel_initializer="he_normal")(x)
    x = keras.layers.BatchNormalization()(x)
    return x if activation is None else keras.layers.Activation(activation)(x)
