import msgspec
import numpy as np
import pytest
from conftest import tiny_model
from quantizable import kernels

from toolchain import keras_models
from toolchain.errors import StageError
from toolchain.quantization.folding import fold
from toolchain.quantization.rounding import nearest, on_grid
from toolchain.stages import adaround
from toolchain.stages.adaround import Adaround

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def folded(keras, tmp_path):
    fold(tiny_model(keras))[0].save(tmp_path / "folded.keras")
    return tmp_path / "folded.keras"


def test_weights_lie_on_the_grid_and_the_report_says_what_that_did(folded, context, tmp_path):
    told = []
    watching = msgspec.structs.replace(context, progress=lambda *what: told.append(what))
    outcome = Adaround(steps=60, learning_rate=0.05, keep=("point",)).run(folded, tmp_path / "out.keras", watching)
    before, after = (list(kernels(keras_models.load(path))) for path in (folded, tmp_path / "out.keras"))
    for old, new in zip(before, after, strict=True):
        assert np.array_equal(new.rows, on_grid(old.rows, nearest(new.rows))), new.layer.name
    kept = next(index for index, kernel in enumerate(before) if kernel.layer.name == "point")
    assert np.array_equal(nearest(before[kept].rows), nearest(after[kept].rows))
    assert [row["layer"] for row in outcome.details["layers"]] == ["conv", "depthwise", "answer"]
    assert all(row["learned_mse"] <= row["nearest_mse"] for row in outcome.details["layers"])
    assert any(row["changed"] > 0 for row in outcome.details["layers"])
    assert 0 < outcome.details["difference"]["max"] < 0.1
    assert outcome.examples["calibration"] == "240 of 240 in shapes.npz/train"
    assert told[1] == ("adaround depthwise", 1, 4)


def test_a_normalization_that_would_change_the_grid_is_refused(keras, context, tmp_path):
    layers = keras.layers
    before = [layers.Flatten(), layers.Dense(4, activation="relu"), layers.BatchNormalization(), layers.Dense(3)]
    for model in (tiny_model(keras), keras.Sequential([keras.Input((8, 8, 1)), *before])):
        model.save(tmp_path / "model.keras")
        with pytest.raises(StageError, match="put fold_batchnorm before adaround"):
            Adaround().run(tmp_path / "model.keras", tmp_path / "out.keras", context)


def test_examples_that_would_not_fit_in_memory_are_left_out_and_that_is_said(folded, context, tmp_path, monkeypatch):
    monkeypatch.setattr(adaround, "MEMORY_BYTES", 10 * 4 * (6 * 6 * 8) * 20)
    outcome = Adaround(steps=2).run(folded, tmp_path / "out.keras", context)
    assert outcome.examples["calibration"] == "20 of 240 in shapes.npz/train"
    assert "20 instead of 500 examples" in outcome.notes[-1].reason


def test_a_pattern_that_matches_nothing_is_refused(folded, context, tmp_path):
    with pytest.raises(StageError, match="no layer matches 'pint'; they are conv, depthwise, point, answer"):
        Adaround(keep=("pint",)).run(folded, tmp_path / "out.keras", context)


def test_without_data_the_model_stays_as_it_is_and_that_is_said(folded, context, tmp_path):
    outcome = Adaround().run(folded, tmp_path / "out.keras", msgspec.structs.replace(context, data=None))
    assert outcome.notes[0].what == "adaround"
    before, after = keras_models.load(folded), keras_models.load(tmp_path / "out.keras")
    assert all(np.array_equal(a, b) for a, b in zip(before.get_weights(), after.get_weights(), strict=True))
