import msgspec
import numpy as np
import pytest
from conftest import tiny_model

from toolchain.errors import ModelError, StageError
from toolchain.exports.onnx import Onnx
from toolchain.exports.tflite import Tflite
from toolchain.measure.fidelity import Fidelity
from toolchain.runners import open_runner
from toolchain.runners.litert import LiteRT
from toolchain.runners.onnxruntime import OnnxRuntime
from toolchain.tflite_file import TfliteFile

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def model_path(keras, tmp_path):
    tiny_model(keras).save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def write(export, model_path, tmp_path, context):
    if export.source:
        source, _ = write(export.source, model_path, tmp_path, context)
        context = msgspec.structs.replace(context, source=source)
    outcome = export.run(model_path, tmp_path / export.name, context)
    return tmp_path / export.name, outcome


@pytest.mark.parametrize(
    ("export", "name", "tolerance"),
    [
        (Tflite(), "float32.tflite", 1e-5),
        (Tflite(scheme="float16"), "float16.tflite", 1e-2),
        (Tflite(scheme="dynamic_w8"), "dynamic_w8.tflite", 0.05),
        (Tflite(scheme="static_w8a8"), "static_w8a8.tflite", 0.1),
        (Tflite(scheme="static_w8a8", io="float32"), "static_w8a8_io_float32.tflite", 0.1),
        (Tflite(scheme="static_w8a8", io="uint8"), "static_w8a8_io_uint8.tflite", 0.1),
        (Onnx(), "float32.onnx", 1e-5),
        (Onnx(opset=13, of="original"), "original_float32.onnx", 1e-5),
        (Onnx(scheme="static_w8a8"), "static_w8a8.onnx", 0.15),
        (Onnx(scheme="int8_from_tflite"), "int8_from_tflite.onnx", 0.1),
    ],
)
def test_every_scheme_is_written_and_compared(model_path, tmp_path, context, export, name, tolerance):
    path, outcome = write(export, model_path, tmp_path, context)
    assert path.name == name
    fidelity = msgspec.convert(outcome.details["fidelity"], Fidelity)
    assert fidelity.max_error <= tolerance
    assert outcome.examples["comparison"] == "30 of 30 in shapes.npz/validation"
    assert ("calibration" in outcome.examples) == (export.scheme == "static_w8a8")
    if "calibration" in outcome.examples:
        assert outcome.examples["calibration"] == "50 of 240 in shapes.npz/train"


def test_static_int8_is_whole_integer_per_channel_with_int8_edges(model_path, tmp_path, context):
    path, _ = write(Tflite(scheme="static_w8a8"), model_path, tmp_path, context)
    file = TfliteFile.read(path)
    assert file.activation_dtypes == ("INT8",)
    assert {file.tensors[i].dtype for i in (*file.inputs, *file.outputs)} == {"INT8"}
    assert [len(file.tensors[op.inputs[1]].scale) for op in file.operators if op.name == "CONV_2D"] == [
        4,
        8,
        3,
    ]  # the last one is the dense layer
    assert file.scheme == "static_w8a8"


def test_onnx_from_tflite_gives_the_tflites_answers_bit_for_bit(model_path, tmp_path, context):
    path, _ = write(Onnx(scheme="int8_from_tflite"), model_path, tmp_path, context)
    x = np.random.default_rng(3).uniform(0, 1, (200, 8, 8, 1)).astype(np.float32)
    assert np.array_equal(OnnxRuntime(path).predict([x]), LiteRT(tmp_path / "static_w8a8.tflite", kernels="xnnpack").predict([x]))


def test_without_data_random_calibration_is_said(model_path, tmp_path, context):
    _, outcome = write(Tflite(scheme="static_w8a8"), model_path, tmp_path, msgspec.structs.replace(context, data=None))
    assert outcome.notes[0].what == "calibration"
    assert "uniform random inputs in [0, 1]" in outcome.notes[0].reason


def test_a_float_operator_is_an_error_unless_it_is_allowed(keras, tmp_path, context):
    image = keras.Input((8, 8, 1))
    x = keras.layers.Flatten()(keras.layers.Conv2D(2, 3)(image))
    sin = keras.ops.sin if keras.__name__ == "keras" else __import__("tensorflow").sin  # no int8 kernel for SIN in schema.fbs
    model = keras.Model(image, keras.layers.Dense(3)(sin(x)))
    model.save(tmp_path / "model.keras")
    with pytest.raises(StageError, match="static_w8a8.tflite"):
        write(Tflite(scheme="static_w8a8"), tmp_path / "model.keras", tmp_path, context)
    path, outcome = write(Tflite(scheme="static_w8a8", allow_float=True), tmp_path / "model.keras", tmp_path, context)
    assert path.name == "static_w8a8_float_fallback.tflite"
    assert any("computes in float" in note.reason for note in outcome.notes)


def sequence_model(keras, kind):
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((6, 4)), getattr(layers, kind)(5, return_sequences=True), getattr(layers, kind)(3), layers.Dense(2)]
    )


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_recurrent_models_export_in_float(keras, tmp_path, context, kind):
    sequence_model(keras, kind).save(tmp_path / "model.keras")
    bare = msgspec.structs.replace(context, data=None)
    for export in (Tflite(), Onnx()):
        path, outcome = write(export, tmp_path / "model.keras", tmp_path, bare)
        assert outcome.details["fidelity"]["max_error"] < 1e-5
        assert open_runner(path).input_shapes == [(6, 4)]


def test_a_file_that_computes_something_else_is_refused(model_path, tmp_path, context, monkeypatch):
    """A converter that loses the weights, as TFLiteConverter does on a Keras 3 SavedModel whose variables it cannot see."""
    import tensorflow as tf

    from toolchain import keras_function

    def without_weights(self):
        return tf.function(lambda *x: [y * 0.5 for y in self.call(*x)], input_signature=self.specs).get_concrete_function()

    frozen = keras_function.ModelFunction.frozen
    monkeypatch.setattr(
        keras_function.ModelFunction,
        "frozen",
        lambda self: frozen(keras_function.ModelFunction(self.source, self.specs, without_weights(self))),
    )
    with pytest.raises(ModelError, match="the converter broke it"):
        write(Tflite(), model_path, tmp_path, context)


def test_a_saved_model_is_exported(keras, tmp_path, context):
    tiny_model(keras).export(tmp_path / "saved")
    for export in (Tflite(), Onnx()):
        _, outcome = write(export, tmp_path / "saved", tmp_path, context)
        assert outcome.details["fidelity"]["max_error"] < 1e-5
