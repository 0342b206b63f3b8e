import pytest
from conftest import tiny_model

from toolchain import keras_models
from toolchain.channels.nodes import kind
from toolchain.channels.plan import compare
from toolchain.stages.fold_batchnorm import FoldBatchnorm

pytestmark = pytest.mark.tensorflow


def test_the_file_has_no_normalization_and_the_same_answers(keras, context, tmp_path):
    model = tiny_model(keras)
    model.layers[1].set_weights([w + 0.5 for w in model.layers[1].get_weights()])
    model.save(tmp_path / "model.keras")
    outcome = FoldBatchnorm().run(tmp_path / "model.keras", tmp_path / "out.keras", context)
    after = keras_models.load(tmp_path / "out.keras")
    assert [layer.name for layer in after.layers] == ["conv", "relu", "depthwise", "point", "flat", "answer"]
    assert compare(model, after) < 1e-5
    assert outcome.notes == ()
    assert outcome.details["normalizations"] == {"before": 1, "after": 0}
    assert outcome.details["difference"] < 1e-5


def test_what_stays_is_a_note(keras, context, tmp_path):
    layers = keras.layers
    start = keras.Input((8, 8, 1))
    x = layers.Add()([layers.Conv2D(2, 3)(start), layers.Conv2D(2, 3)(start)])
    keras.Model(start, layers.BatchNormalization(name="stays")(x)).save(tmp_path / "model.keras")
    outcome = FoldBatchnorm().run(tmp_path / "model.keras", tmp_path / "out.keras", context)
    assert [note.what for note in outcome.notes] == ["stays"]
    assert outcome.details["normalizations"] == {"before": 1, "after": 1}
    assert any(kind(layer) == "BatchNormalization" for layer in keras_models.load(tmp_path / "out.keras").layers)
