import msgspec
import numpy as np
import pytest
from conftest import tiny_model

from toolchain import keras_models
from toolchain.stages.correct_bias import CorrectBias

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def model_path(keras, tmp_path):
    tiny_model(keras).save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


@pytest.mark.parametrize(("method", "layers"), [("empirical", ["conv", "depthwise", "point", "answer"]), ("analytic", ["depthwise"])])
def test_only_biases_change_and_by_how_much_is_said(model_path, context, tmp_path, method, layers):
    outcome = CorrectBias(method=method).run(model_path, tmp_path / "out.keras", context)
    before, after = keras_models.load(model_path), keras_models.load(tmp_path / "out.keras")
    changed = {old.name for old, new in zip(before.layers, after.layers, strict=True) if str(old.get_weights()) != str(new.get_weights())}
    assert changed == {"norm" if name == "conv" else name for name in layers}, "a convolution without bias is corrected behind it"
    for old, new in zip(before.weights, after.weights, strict=True):
        assert len(old.shape) == 1 or np.array_equal(old, new)
    assert [row["layer"] for row in outcome.details["layers"]] == layers
    assert all(row["largest_shift"] > 0 for row in outcome.details["layers"])
    assert 0 < outcome.details["difference"]["max"] < 0.05
    assert {note.what for note in outcome.notes} == {"conv", "depthwise", "point", "answer"} - set(layers)
    assert ("calibration" in outcome.examples) == (method == "empirical")


def test_without_data_the_statistics_of_the_model_do(model_path, context, tmp_path):
    bare = msgspec.structs.replace(context, data=None)
    outcome = CorrectBias().run(model_path, tmp_path / "out.keras", bare)
    assert 'use method = "analytic"' in outcome.notes[0].reason
    before, after = keras_models.load(model_path), keras_models.load(tmp_path / "out.keras")
    assert all(np.array_equal(a, b) for a, b in zip(before.get_weights(), after.get_weights(), strict=True))
    outcome = CorrectBias(method="analytic").run(model_path, tmp_path / "out.keras", bare)
    assert [row["layer"] for row in outcome.details["layers"]] == ["depthwise"]
    assert outcome.examples == {"difference": "256 random inputs"}


def test_the_scale_of_a_tensor_is_unknown_before_folding():
    with pytest.raises(ValueError, match='choose method = "empirical"'):
        CorrectBias(method="analytic", granularity="per_tensor")
