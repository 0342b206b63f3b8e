import msgspec
import numpy as np
import pytest
from conftest import tiny_model

from benchmarks.quantization.spread import spread
from toolchain import keras_models
from toolchain.channels.plan import compare
from toolchain.errors import ModelError
from toolchain.quantization import equalization
from toolchain.quantization.folding import fold
from toolchain.stages.equalize import Equalize

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def model_path(keras, tmp_path):
    model, _ = fold(tiny_model(keras))
    spread(model, 0, 5)
    model.save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def sqnr(path, data, tmp_path) -> float:
    """Signal to quantization noise of the logits in dB, of the int8 file over the test split."""
    from toolchain.exports.tflite import Tflite
    from toolchain.keras_function import open_function
    from toolchain.runners import open_runner
    from toolchain.stage import Context
    from toolchain.worker import silent

    Tflite(scheme="static_w8a8").run(path, tmp_path / "m.tflite", Context(path, None, data, (0.0, 1.0), 0, False, silent))
    x = data.inputs("test")
    expected = open_function(path).predict([x])[0]
    noise = open_runner(tmp_path / "m.tflite").predict([x]) - expected
    return float(10 * np.log10((expected**2).sum() / (noise**2).sum()))


def test_the_float_function_stays_and_int8_recovers(model_path, context, tmp_path):
    outcome = Equalize().run(model_path, tmp_path / "out.keras", context)
    before, after = keras_models.load(model_path), keras_models.load(tmp_path / "out.keras")
    x = context.data.inputs("test")
    assert np.asarray(after(x)) == pytest.approx(np.asarray(before(x)), abs=1e-4)
    found = outcome.details["equalized"]
    assert found["unused_before"] > found["unused_after"] + 2
    assert outcome.details["difference"]["calibration"] < 1e-5
    assert outcome.examples == {"calibration": "50 of 240 in shapes.npz/train", "difference": "190 of 240 in shapes.npz/train"}
    assert [note.what for note in outcome.notes] == ["answer"]
    assert sqnr(tmp_path / "out.keras", context.data, tmp_path) > sqnr(model_path, context.data, tmp_path) + 6


def test_without_data_it_looks_at_weights_and_says_so(model_path, context, tmp_path):
    outcome = Equalize().run(model_path, tmp_path / "out.keras", msgspec.structs.replace(context, data=None))
    assert any("no data for this model: ranges are those of weights" in note.reason for note in outcome.notes)
    assert outcome.details["equalized"]["unused_after"] < outcome.details["equalized"]["unused_before"]
    assert compare(keras_models.load(model_path), keras_models.load(tmp_path / "out.keras")) < 1e-5
    assert "absorbed_channels" not in outcome.details


def test_absorption_can_be_switched_off(keras, context, tmp_path):
    layers = keras.layers
    net = [layers.Flatten(), layers.Dense(6, activation="relu", bias_initializer="ones"), layers.Dense(3)]
    keras.Sequential([keras.Input((8, 8, 1)), *net]).save(tmp_path / "model.keras")
    counts = [
        Equalize(absorb=absorb).run(tmp_path / "model.keras", tmp_path / "out.keras", context).details["absorbed_channels"]
        for absorb in (True, False)
    ]
    assert counts[0] > 0
    assert counts[1] == 0


def test_a_change_of_the_function_is_refused(model_path, context, tmp_path, monkeypatch):
    right = equalization.affine.before
    monkeypatch.setattr(equalization.affine, "before", lambda layer, weights, factor, offset: right(layer, weights, factor**1.01, offset))
    with pytest.raises(ModelError, match="equalization changes its outputs by .* of their scale; leave equalize out"):
        Equalize().run(model_path, tmp_path / "out.keras", context)
    assert not (tmp_path / "out.keras").exists()
