"""The calls that a person would make without secateur: TFLiteConverter and tf2onnx, float32 and int8. Argument: model, folder."""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import tf2onnx
from onnxruntime import quantization


def main(model_path: str, folder: Path) -> None:
    model = keras.saving.load_model(model_path, compile=False)
    inputs = np.random.default_rng(0).uniform(0, 1, (64, *model.input_shape[1:])).astype(np.float32)
    spec = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name="input_0")

    model.export(folder / "saved", verbose=False)
    float_converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved"))
    (folder / "float32.tflite").write_bytes(float_converter.convert())

    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved"))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([x[None]] for x in inputs)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    (folder / "static_w8a8.tflite").write_bytes(converter.convert())

    function = tf.function(lambda x: model(x, training=False), input_signature=[spec])
    tf2onnx.convert.from_function(function, input_signature=[spec], opset=17, output_path=str(folder / "float32.onnx"))

    class Reader(quantization.CalibrationDataReader):
        rows = iter(inputs)

        def get_next(self):
            row = next(self.rows, None)
            return None if row is None else {"input_0": row[None]}

    quantization.quantize_static(str(folder / "float32.onnx"), str(folder / "static_w8a8.onnx"), Reader(), per_channel=True)


main(sys.argv[1], Path(sys.argv[2]))
