import msgspec
import numpy as np
import pytest
from conftest import tiny_model

from toolchain import keras_models
from toolchain.stages.finetune import Finetune

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def model_path(keras, tmp_path):
    model = tiny_model(keras)
    kernel = model.get_layer("point").get_weights()
    kernel[0][..., ::2, :] = 0
    model.get_layer("point").set_weights(kernel)
    model.save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_it_learns_keeps_zeros_and_the_momentum(model_path, context, tmp_path, alpha):
    stage = Finetune(epochs=6, batch_size=16, learning_rate=0.02, alpha=alpha)
    outcome = stage.run(model_path, tmp_path / "out.keras", msgspec.structs.replace(context, original=model_path))
    after = keras_models.load(tmp_path / "out.keras")
    assert (after.get_layer("point").get_weights()[0][..., ::2, :] == 0).all()
    assert after.get_layer("norm").momentum == pytest.approx(0.99)
    scores = outcome.details["validation"]
    assert len(scores) == 6
    if not alpha:
        assert max(scores) > 0.6
    assert outcome.examples["training"] == "240 of 240 in shapes.npz/train"


def test_the_best_epoch_is_kept(model_path, context, tmp_path):
    outcome = Finetune(epochs=3, batch_size=16, learning_rate=1.0).run(model_path, tmp_path / "out.keras", context)
    from toolchain.keras_function import of_keras
    from toolchain.measure.accuracy import quality

    after = keras_models.load(tmp_path / "out.keras")
    outputs = of_keras(after, "m", 16).predict([context.data.inputs("validation")])[0]
    found = quality(outputs, np.asarray(context.data.raw("validation")[1]))
    assert found == pytest.approx(max(outcome.details["validation"]), abs=1e-6)


def test_without_data_the_model_stays_as_it_is_and_that_is_said(model_path, context, tmp_path):
    outcome = Finetune().run(model_path, tmp_path / "out.keras", msgspec.structs.replace(context, data=None))
    assert outcome.notes[0].reason == "no labelled data was given: the model is as it was"
    before, after = keras_models.load(model_path), keras_models.load(tmp_path / "out.keras")
    assert all(np.array_equal(a, b) for a, b in zip(before.get_weights(), after.get_weights(), strict=True))
