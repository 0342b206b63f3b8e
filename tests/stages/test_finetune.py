import msgspec
import numpy as np
import pytest
from conftest import tiny_model

from toolchain import keras_models
from toolchain.errors import StageError
from toolchain.finetuning import Course
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
    assert max(scores) > (0.45 if alpha else 0.6), "the teacher is untrained"
    assert outcome.examples["training"] == "240 of 240 in shapes.npz/train"


def test_the_best_epoch_is_kept(model_path, context, tmp_path):
    outcome = Finetune(epochs=3, batch_size=16, learning_rate=1.0).run(model_path, tmp_path / "out.keras", context)
    from toolchain.keras_function import of_keras
    from toolchain.measure.accuracy import quality

    after = keras_models.load(tmp_path / "out.keras")
    outputs = of_keras(after, "m", 16).predict([context.data.inputs("validation")])[0]
    found = quality(outputs, np.asarray(context.data.raw("validation")[1]))
    assert found >= max(outcome.details["validation"]) - 1e-6, "the model as it came is kept where training only harms"


def test_without_data_the_model_stays_as_it_is_and_that_is_said(model_path, context, tmp_path):
    outcome = Finetune().run(model_path, tmp_path / "out.keras", msgspec.structs.replace(context, data=None))
    assert outcome.notes[0].reason == "no labelled data was given: the model is as it was"
    before, after = keras_models.load(model_path), keras_models.load(tmp_path / "out.keras")
    assert all(np.array_equal(a, b) for a, b in zip(before.get_weights(), after.get_weights(), strict=True))


@pytest.mark.parametrize("optimizer", ["sgd", pytest.param("adam", marks=pytest.mark.prove)])
def test_optimizers_warm_up_decay_and_the_clock(model_path, context, tmp_path, optimizer):
    rate = 0.02 if optimizer == "adam" else 0.1
    stage = Finetune(
        epochs=500, batch_size=16, learning_rate=rate, optimizer=optimizer, warm_up=0.3, weight_decay=1e-4, budget_s=8, flip=True
    )
    outcome = stage.run(model_path, tmp_path / "out.keras", context)
    assert 2 <= len(outcome.details["validation"]) < 500, "the clock ended it"
    assert max(outcome.details["validation"]) > 0.6


def test_the_learning_rate_climbs_and_falls():
    stage = Finetune(learning_rate=0.8, warm_up=0.5)
    assert [stage.rate(position) for position in (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)] == pytest.approx([0, 0.4, 0.8, 0.4, 0, 0])


def test_two_teachers_answer_to_every_changed_copy_once(keras, model_path, context, tmp_path):
    tiny_model(keras, seed=3).save(tmp_path / "second.keras")
    stage = Finetune(epochs=9, alpha=0.5, flip=True, shift=1, teachers=(str(model_path), str(tmp_path / "second.keras")))
    net = keras_models.load(model_path)
    answers = Course(net, context, stage)._answers
    assert answers.shape == (4, 240, 3)
    copy, some = 2, np.array([5, 77])
    images = stage.changes(context.data, copy, context.seed).apply(context.data.inputs("train", some), some)
    mean = np.mean([np.asarray(keras_models.load(path)(images)) for path in stage.files], axis=0)
    assert np.allclose(answers[copy, some], np.log(mean), atol=1e-4)


def test_a_teacher_of_something_else_is_refused(keras, model_path, context, tmp_path):
    keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(7)], name="other").save(tmp_path / "other.keras")
    with pytest.raises(StageError, match=r"teacher other.keras answers \[\(7,\)\], tiny \[\(3,\)\]"):
        Finetune(alpha=0.5, teachers=(str(tmp_path / "other.keras"),)).run(model_path, tmp_path / "out.keras", context)


def test_asking_that_takes_all_the_time_is_said(model_path, context, tmp_path):
    stage = Finetune(alpha=0.5, teachers=(str(model_path),), budget_s=1e-3)
    with pytest.raises(StageError, match="budget_s = 0.001 was used up by asking the teachers"):
        stage.run(model_path, tmp_path / "out.keras", context)


def test_images_whose_place_matters_are_not_moved(keras, context, tmp_path):
    layers = keras.layers
    first = {"data_format": "channels_first"}
    net = [
        layers.Reshape((1, 8, 8)),
        layers.Conv2D(4, 3, **first),
        layers.GlobalAveragePooling2D(**first),
        layers.Dense(3, activation="softmax"),
    ]
    keras.Sequential([keras.Input((8, 8, 1)), *net]).save(tmp_path / "first.keras")
    with pytest.raises(StageError, match="flip and shift are for images with their channels last"):
        Finetune(flip=True).run(tmp_path / "first.keras", tmp_path / "out.keras", context)
