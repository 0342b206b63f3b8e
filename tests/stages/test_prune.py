import msgspec
import numpy as np
import pytest
from conftest import tiny_model
from hypothesis import given
from hypothesis import strategies as st

from toolchain import keras_models
from toolchain.errors import StageError
from toolchain.files import digest
from toolchain.stages.prune import Prune


@given(st.integers(2, 3000), st.floats(0, 0.9), st.floats(0.05, 1), st.one_of(st.none(), st.integers(1, 500)))
def test_the_last_step_is_one_at_which_tfmot_updates(total, begin, length, frequency):
    stage = Prune(sparsity=0.5, begin=begin, end=min(1.0, begin + length), frequency=frequency)
    first, last, every = stage.steps(total)
    assert 0 <= first <= last <= total
    assert every >= 1
    assert (last - first) % every == 0
    assert last - first > 0 or total <= 2 or int(begin * total) >= max(1, int(stage.end * total)) - 1


def test_frequency_defaults_to_twenty_updates_where_tfmots_100_steps_would_never_come():
    assert Prune(sparsity=0.5, begin=0.0, end=1.0).steps(66) == (0, 66, 3)


@pytest.fixture
def model_path(keras, tmp_path):
    tiny_model(keras).save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def kernels(path):
    model = keras_models.load(path)
    return {layer.name: layer.get_weights()[0] for layer in model.layers if layer.name in ("conv", "point", "answer", "depthwise")}


def run(stage, path, context, tmp_path):
    outcome = stage.run(path, tmp_path / "out.keras", msgspec.structs.replace(context, original=path))
    return outcome, kernels(tmp_path / "out.keras")


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "settings",
    [
        {"sparsity": 0.5},
        {"sparsity": 0.6, "scope": "model"},
        {"threshold": 0.1},
        {"sparsity": 0.5, "layers": {"po*": 0.25}, "keep": ["answer"]},
        {"pattern": "2:4"},
    ],
)
def test_one_shot_reaches_exactly_what_was_decided(model_path, context, tmp_path, settings):
    before, stamp = kernels(model_path), digest(model_path)
    stage = Prune(epochs=0, **settings)
    outcome, after = run(stage, model_path, msgspec.structs.replace(context, data=None), tmp_path)
    assert digest(model_path) == stamp
    table = outcome.details["layers"]
    for name, kernel in after.items():
        kept = kernel != 0
        assert np.array_equal(kernel[kept], before[name][kept]), "weights that stay keep their value"
        if name in table:
            assert np.mean(kernel == 0) == pytest.approx(table[name]["measured"])
            assert abs(table[name]["measured"] - table[name]["target"]) <= 0.5 / kernel.size + 1e-9
            if stage.pattern is None:
                assert np.abs(before[name][~kept]).max() <= np.abs(before[name][kept]).min()
        else:
            assert kept.all()
    if stage.scope == "model":
        magnitudes = np.concatenate([np.abs(before[n]).ravel() for n in table])
        zeros = sum(int((after[n] == 0).sum()) for n in table)
        assert zeros == round(0.6 * magnitudes.size) or abs(zeros / magnitudes.size - 0.6) < 0.01
    if stage.threshold:
        assert all((np.abs(before[n]) < 0.1).sum() == (after[n] == 0).sum() for n in table)
    if stage.pattern:
        assert "conv" not in table
        groups = np.moveaxis(after["point"], -2, -1).reshape(-1, 4)
        assert ((groups == 0).sum(1) >= 2).all()
    assert any(note.what == "depthwise" and "DepthwiseConv2D" in note.reason for note in outcome.notes)


@pytest.mark.tensorflow
@pytest.mark.parametrize("schedule", ["polynomial", "constant", "one_shot"])
def test_training_prunes_to_the_target_and_learns(model_path, context, tmp_path, schedule):
    stage = Prune(sparsity=0.5, schedule=schedule, epochs=2, batch_size=16, learning_rate=5e-3)
    before = kernels(model_path)
    outcome, after = run(stage, model_path, context, tmp_path)
    for name in ("conv", "point", "answer"):
        assert np.mean(after[name] == 0) == pytest.approx(0.5, abs=0.5 / after[name].size + 1e-9)
        assert not np.allclose(after[name][after[name] != 0], before[name][after[name] != 0])
    assert outcome.examples == {"training": "240 of 240 in shapes.npz/train"}


@pytest.mark.tensorflow
def test_a_run_that_misses_its_sparsity_fails(model_path, context, tmp_path, monkeypatch):
    monkeypatch.setattr(Prune, "steps", lambda self, total: (total + 5, total + 10, 1))
    with pytest.raises(StageError, match=r"reached a sparsity of 0.0000 instead of 0.5000"):
        run(Prune(sparsity=0.5, epochs=1), model_path, context, tmp_path)


@pytest.mark.tensorflow
def test_without_data_it_says_that_it_did_not_train(model_path, context, tmp_path):
    outcome, _ = run(Prune(sparsity=0.5, epochs=3), model_path, msgspec.structs.replace(context, data=None), tmp_path)
    assert any("pruned in one shot" in note.reason for note in outcome.notes)
    assert outcome.examples == {}


@pytest.mark.tensorflow
def test_no_layer_is_emptied_by_a_global_threshold(model_path, context, tmp_path):
    outcome, after = run(Prune(threshold=100.0, epochs=0), model_path, context, tmp_path)
    assert all((kernel != 0).any() for kernel in after.values())
    assert any("held at 90%" in note.reason for note in outcome.notes)


@pytest.mark.tensorflow
def test_a_model_inside_the_model_is_left_alone_and_named(keras, context, tmp_path):
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, name="hidden")], name="inner")
    given = keras.Input((4,))
    keras.Model(given, keras.layers.Dense(8, name="conv")(inner(given))).save(tmp_path / "nested.keras")
    bare = msgspec.structs.replace(context, data=None)
    outcome = Prune(sparsity=0.5, epochs=0).run(tmp_path / "nested.keras", tmp_path / "out.keras", bare)
    assert any(note.what == "inner" for note in outcome.notes)
    after = keras_models.load(tmp_path / "out.keras")
    assert np.mean(after.get_layer("conv").get_weights()[0] == 0) == 0.5
    assert (after.get_layer("inner").get_layer("hidden").get_weights()[0] != 0).all()
