import msgspec
import numpy as np
import pytest
from conftest import shapes, tiny_model

from toolchain import keras_models
from toolchain.data import Dataset, DataSettings
from toolchain.data_sources import Request, prepare
from toolchain.errors import StageError
from toolchain.exports.tflite import Tflite
from toolchain.files import digest
from toolchain.measure import accuracy
from toolchain.runners import open_runner
from toolchain.stage import Context
from toolchain.stages import qat
from toolchain.stages.cluster import Cluster
from toolchain.stages.finetune import Finetune
from toolchain.stages.prune import Prune
from toolchain.stages.qat import Qat
from toolchain.worker import silent

pytestmark = pytest.mark.tensorflow

crossing = pytest.mark.parametrize("keras", ["keras"], indirect=True)
"""Where what is tested is the same in both Kerases: the one that crosses the bridge."""


@pytest.fixture
def model_path(keras, tmp_path):
    tiny_model(keras).save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def kernels(path):
    model = keras_models.load(path)
    return {layer.name: layer.get_weights()[0] for layer in model.layers if layer.name in ("conv", "point", "answer", "depthwise")}


def run(stage, path, context, tmp_path):
    return stage.run(path, tmp_path / "out.keras", msgspec.structs.replace(context, original=path))


def test_a_plain_model_of_the_same_keras_comes_back_trained(model_path, context, tmp_path):
    stamp, before = digest(model_path), keras_models.load(model_path)
    outcome = run(Qat(epochs=2, batch_size=16, learning_rate=5e-3, alpha=0.5), model_path, context, tmp_path)
    after = keras_models.load(tmp_path / "out.keras")
    assert digest(model_path) == stamp
    assert keras_models.flavor_of(after) == keras_models.flavor_of(before)
    assert [layer.name for layer in after.layers] == [layer.name for layer in before.layers]
    assert all(not np.array_equal(old, new) for old, new in zip(before.get_weights(), after.get_weights(), strict=True))
    assert len(outcome.details["validation"]) == 2
    assert outcome.examples["calibration"] == "50 of 240 in shapes.npz/train"
    assert outcome.notes == ()


@crossing
def test_zeros_stay_zero(model_path, context, tmp_path):
    Prune(sparsity=0.5, epochs=0).run(model_path, tmp_path / "pruned.keras", context)
    run(Qat(epochs=1, batch_size=16, learning_rate=5e-3), tmp_path / "pruned.keras", context, tmp_path)
    before, after = kernels(tmp_path / "pruned.keras"), kernels(tmp_path / "out.keras")
    for name in ("conv", "point", "answer"):
        assert np.array_equal(before[name] == 0, after[name] == 0)
        assert not np.array_equal(before[name], after[name])


@crossing
def test_clusters_move_as_one(model_path, context, tmp_path):
    Prune(sparsity=0.5, epochs=0).run(model_path, tmp_path / "pruned.keras", context)
    Cluster(number_of_clusters=6, epochs=0).run(tmp_path / "pruned.keras", tmp_path / "clustered.keras", context)
    stage = Qat(epochs=1, batch_size=16, learning_rate=5e-3, preserve="clusters")
    run(stage, tmp_path / "clustered.keras", context, tmp_path)
    before, after = kernels(tmp_path / "clustered.keras"), kernels(tmp_path / "out.keras")
    for name in ("conv", "point", "answer"):
        old, new = np.unique(before[name]), np.unique(after[name])
        assert len(new) == len(old) <= 6
        assert not np.array_equal(old, new)
        assert np.array_equal(before[name] == 0, after[name] == 0)


@crossing
def test_lost_zeros_and_clusters_fail(model_path, context, tmp_path, monkeypatch):
    def untied(model, *, tied):
        return fake_quantized(model)

    fake_quantized = qat.fake_quantized
    Cluster(number_of_clusters=6, epochs=0).run(model_path, tmp_path / "clustered.keras", context)
    monkeypatch.setattr(qat, "fake_quantized", untied)
    with pytest.raises(StageError, match="clusters, of which some broke up"):
        run(Qat(epochs=1, batch_size=16, learning_rate=5e-3, preserve="clusters"), tmp_path / "clustered.keras", context, tmp_path)
    with pytest.raises(StageError, match="'conv/0' lost zeros"):
        Qat()._check({"conv/0": np.array([[0.0, 1.0]])}, {"conv/0": np.array([[0.5, 1.0]])})


def test_without_labelled_data_the_model_is_as_it_was(model_path, context, tmp_path):
    outcome = run(Qat(), model_path, msgspec.structs.replace(context, data=None), tmp_path)
    assert "no labelled data" in outcome.notes[0].reason
    assert all(np.array_equal(kernel, kernels(tmp_path / "out.keras")[name]) for name, kernel in kernels(model_path).items())


@crossing
def test_epochs_that_change_nothing_are_told(model_path, context, tmp_path):
    outcome = run(Qat(epochs=1, learning_rate=1e-30), model_path, context, tmp_path)
    assert "no epoch scored higher in int8" in outcome.notes[0].reason
    assert all(np.array_equal(kernel, kernels(tmp_path / "out.keras")[name]) for name, kernel in kernels(model_path).items())


@pytest.fixture
def coarse(tmp_path):
    """A net whose float outputs are right and whose int8 outputs are not: weights of a dead channel stretch the others' grid."""
    import tf_keras

    x, y = shapes(1200)
    np.savez(tmp_path / "many.npz", x=x, y=y)
    found = prepare(Request(str(tmp_path / "many.npz"), "run", 0, tmp_path / "many"), silent)
    data = Dataset(found.name, found.digest, found.folder, DataSettings(scale="1/255", calibration=100))
    tf_keras.utils.set_random_seed(0)
    layers = tf_keras.layers
    net = tf_keras.Sequential(
        [
            tf_keras.Input((8, 8, 1)),
            layers.Conv2D(8, 3, padding="same", activation="relu", name="first"),
            layers.Conv2D(8, 3, name="second"),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    kernel, bias = net.get_layer("first").get_weights()
    bias[0] = -100.0  # never gets through the ReLU
    net.get_layer("first").set_weights([kernel, bias])
    net.save(tmp_path / "untrained.keras")
    context = Context(tmp_path / "untrained.keras", None, data, (0.0, 1.0), 0, False, silent)
    Finetune(epochs=10, learning_rate=1e-2, batch_size=32).run(tmp_path / "untrained.keras", tmp_path / "float.keras", context)
    net = keras_models.load(tmp_path / "float.keras")
    kernel, bias = net.get_layer("second").get_weights()
    kernel[:, :, 0] = 180.0
    net.get_layer("second").set_weights([kernel, bias])
    net.save(tmp_path / "coarse.keras")
    return tmp_path / "coarse.keras", context


@pytest.mark.prove
def test_accuracy_that_int8_loses_comes_back(coarse, tmp_path):
    model, context = coarse
    data = context.data

    def int8(path, split):
        Tflite(scheme="static_w8a8").run(path, path.with_suffix(".tflite"), context)
        return accuracy.quality(open_runner(path.with_suffix(".tflite")).predict([data.inputs(split)]), data.raw(split)[1])

    answers = np.asarray(keras_models.load(model)(data.inputs("test")))
    assert accuracy.quality(answers, data.raw("test")[1]) > 0.97
    assert int8(model, "test") < 0.6
    outcome = Qat(epochs=4, learning_rate=1e-2, batch_size=32).run(model, tmp_path / "trained.keras", context)
    assert int8(tmp_path / "trained.keras", "test") > 0.9
    promised = max(outcome.details["validation"])
    assert int8(tmp_path / "trained.keras", "validation") == pytest.approx(promised, abs=0.02), "the score is that of the file to come"
