"""A layer that is bad on purpose is the one that is named, with the right reason."""

import importlib

import msgspec
import numpy as np
import pytest
from fidelity import nets

from toolchain import ladder_jobs as jobs
from toolchain.errors import ModelError
from toolchain.exports.onnx import Onnx
from toolchain.exports.tflite import Tflite
from toolchain.stage import Context
from toolchain.worker import silent

pytestmark = pytest.mark.tensorflow

CASES = [
    ("keras", "cnn", "channel_range"),
    ("tf_keras", "residual", "scale"),
    ("keras", "ds_cnn", "saturation"),
]
PAIRS = [(net, plant) for net in nets.NETS for plant in nets.PLANTS]
REST = [(("keras", "tf_keras")[i % 2], *pair) for i, pair in enumerate(PAIRS) if pair not in [case[1:] for case in CASES]]


def opened(model, folder):
    return jobs.open_model(jobs.OpenJob(model, folder, "model", folder / "inputs.npz", None, 48, (0.0, 1.0), 0, False), silent)


def layers(model, file, folder):
    return jobs.layers(jobs.LayersJob(file.name, opened(model, folder), file, folder / "inputs.npz"), silent)


def check(flavor, net, plant, folder):
    model, file = nets.planted(importlib.import_module(flavor), net, plant, folder)
    found = layers(model, file, folder)
    assert (found.blame.layer, found.blame.reason.kind) == (nets.named("two"), plant)
    if plant != "scale":
        assert found.blame.reason.channel == nets.BAD
    assert found.unmatched == found.unknown == found.notes == ()
    assert "falls from" in found.blame.reason.text


@pytest.mark.parametrize(("flavor", "net", "plant"), CASES)
def test_the_planted_layer_is_named(flavor, net, plant, tmp_path):
    check(flavor, net, plant, tmp_path)


@pytest.mark.prove
@pytest.mark.parametrize(("flavor", "net", "plant"), REST)
def test_every_planted_layer_is_named(flavor, net, plant, tmp_path):
    check(flavor, net, plant, tmp_path)


def test_a_healthy_network_has_accumulated_noise_and_nobody_to_blame(tmp_path, keras):
    found = layers(*nets.healthy(keras, "residual", tmp_path), tmp_path)
    assert (found.blame.layer, found.blame.reason.kind) == (None, "accumulated")
    names = [layer.name for layer in found.layers]
    assert names[1:] == [nets.named("stem"), nets.named("two"), "three", "add + joined", "mean", "answer"]
    assert all(layer.own is not None for layer in found.layers)


def test_coarse_weights_are_named(tmp_path):
    """One weight of a channel is 2,000 times the others, on a pixel that is always dark: only the others' rounding is seen."""
    import keras

    model = nets.build(keras, "cnn")
    kernel, bias = model.get_layer("three").get_weights()
    norm = model.get_layer("two_norm").get_weights()
    norm[0][0], norm[1][0] = 0, 0
    model.get_layer("two_norm").set_weights(norm)
    kernel[:, :, 0, :] = 2000 * np.abs(kernel).max()
    model.get_layer("three").set_weights([kernel, bias])
    model.save(tmp_path / "coarse.keras")
    found = layers(tmp_path / "coarse.keras", nets.int8(model, nets.images(60), tmp_path / "coarse.tflite"), tmp_path)
    assert (found.blame.layer, found.blame.reason.kind) == (nets.named("three"), "weights")
    assert ("dead", (0,)) in [(a.kind, a.channels) for a in found.anomalies if a.where == nets.named("two")]


def dense_with_a_loud_unit(keras):
    """Unit 3 of the hidden layer is a thousand times the others, and read with a thousandth of the weight."""
    keras.utils.set_random_seed(0)
    hidden, answer = keras.layers.Dense(16, activation="relu", name="hidden"), keras.layers.Dense(5, name="answer")
    model = keras.Sequential([keras.Input((6, 6, 2)), keras.layers.Flatten(name="flat"), hidden, answer])
    kernel, bias = hidden.get_weights()
    kernel[:, 3], bias[3] = 1000 * np.abs(kernel[:, 3]), 0
    hidden.set_weights([kernel, bias])
    kernel, bias = answer.get_weights()
    kernel[3] /= 1000
    answer.set_weights([kernel, bias])
    return model


@pytest.mark.parametrize("dense", ["convolution", "fully_connected"])
def test_a_bad_dense_layer_is_named_in_files_that_this_project_exports(dense, tmp_path):
    import keras

    dense_with_a_loud_unit(keras).save(tmp_path / "m.keras")
    context = Context(tmp_path / "m.keras", None, None, (0.0, 1.0), 0, False, silent)
    Tflite(scheme="static_w8a8", dense=dense).run(tmp_path / "m.keras", tmp_path / "m.tflite", context)
    found = layers(tmp_path / "m.keras", tmp_path / "m.tflite", tmp_path)
    assert all(row.own is not None for row in found.layers if row.name in ("hidden", "answer"))
    assert (found.blame.layer, found.blame.reason.kind, found.blame.reason.channel) == ("hidden", "channel_range", 3)


class TestOnnx:
    @pytest.fixture
    def files(self, tmp_path):
        """A Keras file with a saturating layer, its float .onnx, the int8 one of onnxruntime and the one translated from the .tflite."""
        tf2onnx, quantization = pytest.importorskip("tf2onnx"), pytest.importorskip("onnxruntime.quantization")
        import keras

        from toolchain.keras_function import of_keras

        model = nets.build(keras, "cnn")
        calibration = nets.saturating(model)
        model.save(tmp_path / "m.keras")
        function = of_keras(model, "m")
        paths = [tmp_path / name for name in ("float32.onnx", "qdq.onnx", "from_tflite.onnx")]
        tf2onnx.convert.from_function(function.concrete, input_signature=function.specs, opset=17, output_path=str(paths[0]))
        file = nets.int8(model, calibration, tmp_path / "m.tflite")
        tf2onnx.convert.from_tflite(str(file), opset=17, output_path=str(paths[2]))

        class Reader(quantization.CalibrationDataReader):
            rows = iter(calibration)

            def get_next(self):
                row = next(self.rows, None)
                return None if row is None else {"input_0": row[None]}

        quantization.shape_inference.quant_pre_process(str(paths[0]), str(tmp_path / "p.onnx"), skip_symbolic_shape=True)
        int8 = quantization.QuantType.QInt8
        quantization.quantize_static(
            str(tmp_path / "p.onnx"), str(paths[1]), Reader(), per_channel=True, activation_type=int8, weight_type=int8
        )
        return tmp_path / "m.keras", *paths

    def test_float_tensors_are_found_channels_first_and_the_planted_layer_in_both_int8_files(self, files, tmp_path):
        model, *paths = files
        exact, *int8 = (layers(model, path, tmp_path) for path in paths)
        assert exact.blame.reason.kind == "none"
        assert [row.name for row in exact.layers if row.operator == "Relu"] == [nets.named("one"), nets.named("two"), nets.named("three")]
        assert all(row.own is not None for row in exact.layers)
        assert exact.unmatched == ()
        for found in int8:
            assert (found.blame.layer, found.blame.reason.kind, found.blame.reason.channel) == (nets.named("two"), "saturation", nets.BAD)
            assert found.unmatched == ()


def exported(model, scheme, folder):
    """The model and its .onnx, as the exports write them."""
    model.save(folder / "m.keras")
    context = Context(folder / "m.keras", None, None, (-1.0, 1.0), 0, False, silent)
    Tflite(scheme="static_w8a8").run(folder / "m.keras", folder / "static_w8a8.tflite", context)
    Onnx().run(folder / "m.keras", folder / "float32.onnx", context)
    source = folder / Onnx(scheme=scheme).source.name if scheme != "float32" else None
    Onnx(scheme=scheme).run(folder / "m.keras", folder / f"{scheme}.onnx", msgspec.structs.replace(context, source=source))
    return folder / "m.keras", folder / f"{scheme}.onnx"


def test_what_stands_behind_a_split_is_found_in_an_onnx(tmp_path):
    import keras

    image = keras.Input((6, 6, 4))
    first, second = keras.ops.split(keras.layers.Conv2D(4, 1, name="stem")(image), 2, axis=-1)
    x = keras.layers.Concatenate()([first, keras.layers.Conv2D(2, 3, padding="same", name="behind")(second)])
    found = layers(*exported(keras.Model(image, keras.layers.Conv2D(3, 1, name="last")(x)), "float32", tmp_path), tmp_path)
    assert {"stem", "behind", "last"} <= {row.name for row in found.layers}
    assert found.unmatched == ()


def test_an_onnx_of_integers_throughout_is_not_taken_apart(tmp_path):
    import keras

    model = keras.Sequential([keras.Input((6, 6, 2)), keras.layers.Conv2D(3, 3), keras.layers.Flatten(), keras.layers.Dense(3)])
    model, file = exported(model, "int8_from_tflite", tmp_path)
    with pytest.raises(ModelError, match="computes in integers throughout: compare the .tflite"):
        layers(model, file, tmp_path)


def test_what_a_loop_computes_is_not_taken_for_a_constant(tmp_path):
    import keras

    recurrent = [keras.layers.GRU(4, name="recurrent"), keras.layers.Dense(3, name="dense"), keras.layers.ReLU(name="relu")]
    keras.Sequential([keras.Input((5, 3)), *recurrent]).save(tmp_path / "m.keras")
    context = Context(tmp_path / "m.keras", None, None, (-1.0, 1.0), 0, False, silent)
    Onnx().run(tmp_path / "m.keras", tmp_path / "float32.onnx", context)
    found = layers(tmp_path / "m.keras", tmp_path / "float32.onnx", tmp_path)
    assert len([row for row in found.layers if row.operator != "INPUT"]) >= 2


def test_layers_of_keras_are_named_through_folding_and_what_cannot_be_found_is_listed(keras, tmp_path):
    layers_of = keras.layers
    inputs = keras.Input((8, 8, 2))
    x = layers_of.SeparableConv2D(4, 3, name="separable")(inputs)
    x = layers_of.Dropout(0.5, name="drop")(layers_of.ReLU(name="relu")(layers_of.BatchNormalization(name="norm")(x)))
    inner = keras.Sequential([keras.Input((6, 6, 4)), layers_of.Conv2D(3, 3, name="hidden", activation="relu")], name="inner")
    x = layers_of.Flatten(name="flat")(inner(x))
    model = keras.Model(inputs, layers_of.Dense(3, activation="softmax", name="answer")(x))
    model.save(tmp_path / "m.keras")
    found = opened(tmp_path / "m.keras", tmp_path)
    called = list(found.names.values())
    assert "separable + norm + relu + drop" in called
    assert "separable + norm + relu + drop (DEPTHWISE_CONV_2D)" in called
    assert "answer (FULLY_CONNECTED)" in called
    assert any(name.startswith("inner") for name in called)
    assert found.unmatched == ()
    assert found.notes == ("inner is a model inside the model: its layers carry the converter's names",)
