"""Three small networks with a layer that is bad on purpose, and their files: what `compare` has to find."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from toolchain.keras_function import of_keras

SIDE, CHANNELS, BAD = 12, 8, 5
"""The inputs' height and width, the width of the networks, and the channel that is bad."""


def cnn(layers, x):
    """Three convolutions; the second is the bad one."""
    x = block(layers, x, "one")
    return block(layers, block(layers, x, "two"), "three")


def residual(layers, x):
    """A residual branch; the first convolution on it is the bad one."""
    x = block(layers, x, "stem")
    y = block(layers, x, "two")
    y = layers.Conv2D(CHANNELS, 3, padding="same", name="three")(y)
    return layers.ReLU(name="joined")(layers.Add(name="add")([x, y]))


def ds_cnn(layers, x):
    """Depthwise separable; the pointwise convolution in the middle is the bad one."""
    x = block(layers, x, "one")
    x = layers.ReLU(name="one_depth_relu")(layers.DepthwiseConv2D(3, padding="same", name="one_depth")(x))
    x = block(layers, x, "two", 1)
    x = layers.ReLU(name="two_depth_relu")(layers.DepthwiseConv2D(3, padding="same", name="two_depth")(x))
    return block(layers, x, "three", 1)


NETS = {"cnn": cnn, "residual": residual, "ds_cnn": ds_cnn}


def block(layers, x, name: str, size: int = 3):
    x = layers.Conv2D(CHANNELS, size, padding="same", use_bias=True, name=name)(x)
    return layers.ReLU(name=f"{name}_relu")(layers.BatchNormalization(name=f"{name}_norm")(x))


def build(keras, net: str, seed: int = 0):
    """A network over 3 classes with random weights whose activations are about 1."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    inputs = keras.Input((SIDE, SIDE, 1))
    x = layers.GlobalAveragePooling2D(name="mean")(NETS[net](layers, inputs))
    model = keras.Model(inputs, layers.Dense(3, name="answer")(x), name=net)
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if type(layer).__name__ in ("Conv2D", "DepthwiseConv2D"):
            kernel, bias = layer.get_weights()
            fan = np.prod(kernel.shape[:2]) * (1 if "Depthwise" in type(layer).__name__ else kernel.shape[2])
            layer.set_weights([rng.normal(0, 1.5 / np.sqrt(fan), kernel.shape), rng.normal(0.2, 0.1, bias.shape)])
    return model


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 1, (count, SIDE, SIDE, 1)).astype(np.float32)


def outlier_channel(model) -> np.ndarray:
    """One channel 80 times as large; returns what calibrates."""
    layer = model.get_layer("two_norm")
    gamma, beta, *rest = layer.get_weights()
    gamma[BAD], beta[BAD] = 80 * gamma[BAD], 80 * (beta[BAD] + 0.5)
    layer.set_weights([gamma, beta, *rest])
    return images(60)


def blown_range(model) -> np.ndarray:
    """A channel that fires on one calibration image alone, the white one, and is read by nobody."""
    detector(model, threshold=0.9, gain=4000.0)
    return np.concatenate([images(60), np.ones((1, SIDE, SIDE, 1), np.float32)])


def saturating(model) -> np.ndarray:
    """A channel that is read by nobody, large on bright images, and 0 on those that calibrate: single bright pixels in the dark."""
    detector(model, threshold=0.3, gain=60.0)
    return np.where(images(60) > 0.95, images(60), 0.25 * images(60))


def detector(model, threshold: float, gain: float) -> None:
    """Channel BAD of `two` answers with `gain` times how far the mean of the pixels around exceeds a threshold."""
    first = next(layer for layer in model.layers if type(layer).__name__ == "Conv2D")
    mean = 1 / 9
    for layer in model.layers:
        if layer is first or layer.name == "one_depth":
            kernel, bias = layer.get_weights()
            kernel[(..., BAD) if layer is first else (slice(None), slice(None), BAD)], bias[BAD] = mean, 0
            layer.set_weights([kernel, bias])
        if layer.name in ("three", "two_depth"):
            kernel, bias = layer.get_weights()
            kernel[:, :, BAD] = 0
            layer.set_weights([kernel, bias])
    kernel, bias = model.get_layer("two").get_weights()
    kernel[..., BAD], bias[BAD] = 0, -threshold * gain
    kernel[kernel.shape[0] // 2, kernel.shape[1] // 2, BAD, BAD] = gain
    model.get_layer("two").set_weights([kernel, bias])


PLANTS = {
    "channel_range": outlier_channel,
    "scale": blown_range,
    "saturation": saturating,
}


def planted(keras, net: str, plant: str, folder: Path) -> tuple[Path, Path]:
    """The Keras file and its int8 .tflite."""
    model = build(keras, net)
    calibration = PLANTS[plant](model)
    path = folder / f"{net}_{plant}.keras"
    model.save(path)
    return path, int8(model, calibration, folder / f"{net}_{plant}_int8.tflite")


def healthy(keras, net: str, folder: Path) -> tuple[Path, Path]:
    """The same without a bad layer."""
    model = build(keras, net)
    path = folder / f"{net}.keras"
    model.save(path)
    return path, int8(model, images(60), folder / f"{net}_int8.tflite")


def int8(model, calibration: np.ndarray, out: Path) -> Path:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_concrete_functions([of_keras(model, "net").frozen()])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([x[None]] for x in calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    out.write_bytes(converter.convert())
    return out


def named(layer: str) -> str:
    """What the bad layer is called in the converted file."""
    return f"{layer} + {layer}_norm + {layer}_relu"
