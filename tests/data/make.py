"""Write the two .tflite files that the tests without TensorFlow read: python tests/data/make.py."""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from conftest import shapes  # noqa: E402

from toolchain.keras_function import of_keras  # noqa: E402


def main() -> None:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.DepthwiseConv2D(3, activation="relu"),
            layers.Conv2D(3, 1),
            layers.AveragePooling2D(6),
            layers.Flatten(),
            layers.Softmax(),
        ]
    )
    function = of_keras(model, "tiny")
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.frozen()])
    (HERE / "tiny_float32.tflite").write_bytes(converter.convert())
    inputs = shapes(50)[0].astype(np.float32) / 255
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([x[None]] for x in inputs)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    (HERE / "tiny_int8.tflite").write_bytes(converter.convert())


main()
