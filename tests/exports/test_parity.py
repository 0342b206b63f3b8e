"""Identical answers in all runtimes: ONNX and LiteRT's XNNPACK kernels, TensorFlow Lite Micro and LiteRT's reference kernels."""

import numpy as np
import pytest
from conftest import SHARED, needs_shared, tiny_model
from quantizable import application, lenet

from toolchain.errors import ModelError
from toolchain.exports.onnx import Onnx
from toolchain.exports.tflite import Tflite
from toolchain.quantization.onnx_integer import elementwise
from toolchain.runners.litert import LiteRT
from toolchain.stage import Context
from toolchain.tflite_file import TfliteFile
from toolchain.worker import silent

pytestmark = pytest.mark.tensorflow


def network(name):
    import keras

    keras.utils.set_random_seed(0)
    if name == "tiny":
        return tiny_model(keras)
    if name == "lenet":
        return lenet(keras)
    if name in ("GRU", "LSTM"):
        layers = keras.layers
        recurrent = getattr(layers, name)(8, unroll=True, return_sequences=True)
        return keras.Sequential([keras.Input((6, 4)), recurrent, layers.Conv1D(5, 3), layers.Flatten(), layers.Dense(3)])
    kind, alpha = ("MobileNet", 0.25) if name == "MobileNetV1" else ("MobileNetV2", 0.35)
    return application(keras, kind, 96, alpha=alpha)


MLPERF = {"resnet8": "ic/pretrainedResnet.h5", "ds_cnn": "kws/kws_ref_model.keras", "autoencoder": "ad/ad01.h5"}


def shared(name):
    return pytest.param(name, marks=needs_shared(f"mlperf_tiny/{MLPERF[name]}"))


def int8(name, folder, dense="convolution"):
    """The int8 .tflite that the project's export writes, and the export's context."""
    if name in MLPERF:
        path = SHARED / "mlperf_tiny" / MLPERF[name]
    else:
        path = folder / "model.keras"
        network(name).save(path)
    limits = (0.0, 255.0) if name == "resnet8" else (-1.0, 1.0)
    context = Context(path, folder / "int8.tflite", None, limits, 0, True, silent)
    Tflite(scheme="static_w8a8", dense=dense).run(path, folder / "int8.tflite", context)
    return folder / "int8.tflite", path, context


def random_rows(path, count):
    """Inputs over the whole range of int8, as stored."""
    shape = LiteRT(path).input_shapes[0]
    return np.random.default_rng(1).integers(-128, 128, (count, *shape)).astype(np.int8)


def onnx_answers(path, rows):
    session = __import__("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: row[None]})[0] for row in rows])


def test_onnx_answers_as_xnnpack_on_a_thousand_inputs(tmp_path):
    tflite, model, context = int8("tiny", tmp_path)
    outcome = Onnx(scheme="int8_from_tflite").run(model, tmp_path / "int8.onnx", context)
    rows = random_rows(tflite, 1000)
    assert np.array_equal(onnx_answers(tmp_path / "int8.onnx", rows), LiteRT(tflite).predict_raw([rows]))
    assert outcome.examples["bit for bit"] == "64 random inputs"


def test_a_translation_that_rounds_otherwise_is_refused(tmp_path, monkeypatch):
    """Residual additions with factors of 8 bits instead of 21."""
    import keras

    image = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(4, 3, padding="same")(image)
    keras.Model(image, keras.layers.Add()([x, keras.layers.Conv2D(4, 1)(x)])).save(tmp_path / "model.keras")
    context = Context(tmp_path / "model.keras", tmp_path / "int8.tflite", None, (-1.0, 1.0), 0, True, silent)
    Tflite(scheme="static_w8a8").run(tmp_path / "model.keras", tmp_path / "int8.tflite", context)
    Onnx(scheme="int8_from_tflite").run(tmp_path / "model.keras", tmp_path / "int8.onnx", context)
    monkeypatch.setattr(elementwise, "FACTOR_BITS", 7)
    with pytest.raises(ModelError, match=r"outputs differ from int8\.tflite in LiteRT's XNNPACK kernels"):
        Onnx(scheme="int8_from_tflite").run(tmp_path / "model.keras", tmp_path / "int8.onnx", context)


@pytest.mark.prove
@pytest.mark.parametrize(
    "name", [shared("resnet8"), shared("ds_cnn"), shared("autoencoder"), "MobileNetV1", "MobileNetV2", "lenet", "GRU", "LSTM"]
)
def test_networks_answer_alike_in_all_runtimes(name, tmp_path):
    """ONNX as XNNPACK on 1,000 inputs, whichever operator the dense layers are; TFLM as the reference kernels on 200."""
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime")
    fully_connected, model, context = int8(name, tmp_path, "fully_connected")
    Onnx(scheme="int8_from_tflite").run(model, tmp_path / "fully_connected.onnx", context)
    rows = random_rows(fully_connected, 1000)
    expected = LiteRT(fully_connected).predict_raw([rows])
    assert np.array_equal(onnx_answers(tmp_path / "fully_connected.onnx", rows), expected)
    was_dense = "FULLY_CONNECTED" in TfliteFile.read(fully_connected).operator_counts
    assert was_dense == (name != "MobileNetV1"), "its classifier is a convolution already"

    tflite, model, context = int8(name, tmp_path)
    assert "FULLY_CONNECTED" not in TfliteFile.read(tflite).operator_counts
    assert np.array_equal(LiteRT(tflite).predict_raw([rows]), expected)
    Onnx(scheme="int8_from_tflite").run(model, tmp_path / "int8.onnx", context)
    assert np.array_equal(onnx_answers(tmp_path / "int8.onnx", rows), expected)
    micro, answers = runtime.Interpreter.from_file(str(tflite)), []
    for row in rows[:200]:
        micro.set_input(row[None], 0)
        micro.invoke()
        answers.append(micro.get_output(0).copy())
    reference = LiteRT(tflite, kernels="reference").predict_raw([rows[:200]])
    assert np.array_equal(np.concatenate(answers), reference)
