import numpy as np
import pytest

from toolchain.exports.tflite import Tflite
from toolchain.keras_function import of_keras
from toolchain.quantization import converter
from toolchain.quantization.pooling import as_means
from toolchain.runners.litert import LiteRT
from toolchain.stage import Context
from toolchain.tflite_file import TfliteFile
from toolchain.worker import silent

pytestmark = pytest.mark.tensorflow


def net(keras, window):
    """A channel that is large in one place only, so that its average is small."""
    image = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(3, 1, activation="relu", use_bias=False)(image)
    x = keras.layers.AveragePooling2D(window)(x)
    model = keras.Model(image, keras.layers.Flatten()(x))
    model.layers[1].set_weights([np.float32([[[[1.0, 0.5, 0.25]]]])])
    return model


def dots(count):
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 0.02, (count, 8, 8, 1)).astype(np.float32)
    x[np.arange(count), rng.integers(0, 8, count), rng.integers(0, 8, count)] = 10
    return x


def test_float_answers_stay_and_windows_that_slide_stay(keras, tmp_path):
    for window, operators in ((8, {"CONV_2D": 1, "MEAN": 1, "RESHAPE": 1}), (4, {"AVERAGE_POOL_2D": 1, "CONV_2D": 1, "RESHAPE": 1})):
        before = converter.float32(of_keras(net(keras, window), "net"))
        (tmp_path / "before.tflite").write_bytes(before)
        (tmp_path / "after.tflite").write_bytes(as_means(before))
        assert TfliteFile.read(tmp_path / "after.tflite").operator_counts == operators
        expected, found = (LiteRT(tmp_path / f"{name}.tflite").predict([dots(5)]) for name in ("before", "after"))
        assert found == pytest.approx(expected, rel=1e-5)


def test_an_int8_average_has_a_grid_of_its_own(tmp_path):
    """The image reaches 10, the averages of uniform noise stay near 5."""
    import keras

    model = net(keras, 8)
    model.save(tmp_path / "model.keras")
    context = Context(tmp_path / "model.keras", None, None, (0.0, 10.0), 0, False, silent)
    Tflite(scheme="static_w8a8").run(tmp_path / "model.keras", tmp_path / "int8.tflite", context)
    file = TfliteFile.read(tmp_path / "int8.tflite")
    mean = next(op for op in file.operators if op.name == "MEAN")
    before, after = (file.tensors[index].scale[0] for index in (mean.inputs[0], mean.outputs[0]))
    assert before == pytest.approx(10 / 255, rel=0.02)
    assert after < 0.7 * before
