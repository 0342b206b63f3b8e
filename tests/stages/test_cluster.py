import msgspec
import numpy as np
import pytest
from conftest import tiny_model

from toolchain import keras_models
from toolchain.errors import StageError
from toolchain.files import digest
from toolchain.stages import cluster
from toolchain.stages.cluster import Cluster
from toolchain.stages.prune import Prune

pytestmark = pytest.mark.tensorflow

crossing = pytest.mark.parametrize("keras", ["keras"], indirect=True)
"""Where what is tested is the same in both Kerases: the one that crosses the bridge."""

CLUSTERED = ("conv", "point", "answer")


@pytest.fixture
def model_path(keras, tmp_path):
    tiny_model(keras).save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def kernels(path):
    return {layer.name: layer.get_weights()[0] for layer in keras_models.load(path).layers if layer.name in (*CLUSTERED, "depthwise")}


def test_every_kernel_has_as_few_values_as_asked_and_takes_fewer_compressed_bytes(model_path, context, tmp_path):
    before, stamp = kernels(model_path), digest(model_path)
    outcome = Cluster(number_of_clusters=8, epochs=1, batch_size=16, learning_rate=1e-3).run(model_path, tmp_path / "out.keras", context)
    after = kernels(tmp_path / "out.keras")
    assert digest(model_path) == stamp
    for name in CLUSTERED:
        assert outcome.details["layers"][name] == {"before": len(np.unique(before[name])), "after": len(np.unique(after[name]))}
        assert len(np.unique(after[name])) <= 8
    assert [(note.what, "DepthwiseConv2D" in note.reason) for note in outcome.notes] == [("depthwise", True)]
    weights = outcome.details["weights"]
    assert weights["after"]["raw"] == weights["before"]["raw"]
    assert weights["after"]["gzip"] < 0.5 * weights["before"]["gzip"]
    assert weights["after"]["zstd"] < 0.5 * weights["before"]["zstd"]
    assert outcome.examples == {"training": "240 of 240 in shapes.npz/train"}


@pytest.mark.parametrize("start", ["kmeans_plus_plus", "density_based", "linear", "random"])
def test_without_training_each_weight_moves_to_the_nearest_of_few_values(context, tmp_path, start):
    import tf_keras

    tiny_model(tf_keras).save(tmp_path / "model.keras")
    stage = Cluster(number_of_clusters=6, cluster_centroids_init=start, epochs=0, keep=("po*",))
    outcome = stage.run(tmp_path / "model.keras", tmp_path / "out.keras", msgspec.structs.replace(context, data=None))
    before, after = kernels(tmp_path / "model.keras"), kernels(tmp_path / "out.keras")
    assert np.array_equal(before["point"], after["point"])
    for name in ("conv", "answer"):
        values = np.unique(after[name])
        nearest = np.abs(before[name][..., None] - values).min(-1)
        assert np.allclose(np.abs(before[name] - after[name]), nearest, atol=1e-6)
    assert any(note.what == "training" and "epochs = 0" in note.reason for note in outcome.notes)
    assert outcome.examples == {}


@crossing
def test_zeros_stay_zero_unless_that_is_not_asked(model_path, context, tmp_path):
    Prune(sparsity=0.5, epochs=0).run(model_path, tmp_path / "pruned.keras", context)
    Cluster(number_of_clusters=8, epochs=1, batch_size=16, learning_rate=1e-3).run(
        tmp_path / "pruned.keras", tmp_path / "kept.keras", context
    )
    free = Cluster(number_of_clusters=8, epochs=0, cluster_centroids_init="linear", preserve_sparsity=False)
    free.run(tmp_path / "pruned.keras", tmp_path / "free.keras", context)
    pruned, kept, free = (kernels(tmp_path / f"{name}.keras") for name in ("pruned", "kept", "free"))
    for name in CLUSTERED:
        assert not kept[name][pruned[name] == 0].any()
        assert len(np.unique(kept[name])) <= 8
    assert any(free[name][pruned[name] == 0].any() for name in CLUSTERED)


@crossing
def test_too_many_values_and_lost_zeros_fail(model_path, context, tmp_path, monkeypatch):
    Prune(sparsity=0.5, epochs=0).run(model_path, tmp_path / "pruned.keras", context)
    stage = Cluster(number_of_clusters=8, cluster_centroids_init="linear", epochs=0)
    wrap = Cluster._wrap

    def without_zeros(self, model, chosen, context):
        return wrap(msgspec.structs.replace(self, preserve_sparsity=False), model, chosen, context)

    monkeypatch.setattr(Cluster, "_wrap", without_zeros)
    with pytest.raises(StageError, match="lost zeros that it came with"):
        stage.run(tmp_path / "pruned.keras", tmp_path / "out.keras", context)
    monkeypatch.setattr(Cluster, "_wrap", lambda self, *rest: wrap(msgspec.structs.replace(self, number_of_clusters=12), *rest))
    with pytest.raises(StageError, match="distinct weights, more than 8"):
        stage.run(tmp_path / "pruned.keras", tmp_path / "out.keras", context)


def test_what_cannot_be_clustered_is_named(keras, context, tmp_path):
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, name="hidden")], name="inner")
    given = keras.Input((4,))
    values = keras.layers.Dense(3, name="small")(keras.layers.Dense(8, name="wide")(inner(given)))
    keras.Model(given, values).save(tmp_path / "nested.keras")
    bare = msgspec.structs.replace(context, data=None)
    outcome = Cluster(number_of_clusters=24, epochs=2).run(tmp_path / "nested.keras", tmp_path / "out.keras", bare)
    told = {note.what: note.reason for note in outcome.notes}
    assert "model inside the model" in told["inner"]
    assert "no more than 24 weights" in told["small"]
    assert "no labelled data" in told["training"]
    before, after = keras_models.load(tmp_path / "nested.keras"), keras_models.load(tmp_path / "out.keras")
    assert np.array_equal(*(net.get_layer("inner").get_layer("hidden").get_weights()[0] for net in (before, after)))
    with pytest.raises(StageError, match="matches 'nothing'; they are wide"):
        Cluster(number_of_clusters=24, keep=("nothing",)).run(tmp_path / "nested.keras", tmp_path / "out.keras", bare)
    with pytest.raises(StageError, match="no layer of .* can be clustered"):
        Cluster(number_of_clusters=64, epochs=0).run(tmp_path / "nested.keras", tmp_path / "out.keras", bare)


@crossing
def test_recurrent_kernels_are_clustered(keras, context, tmp_path):
    keras.Sequential([keras.Input((5, 3)), keras.layers.LSTM(4, name="lstm"), keras.layers.Dense(3)]).save(tmp_path / "model.keras")
    bare = msgspec.structs.replace(context, data=None)
    Cluster(number_of_clusters=5, epochs=0).run(tmp_path / "model.keras", tmp_path / "out.keras", bare)
    kernel, recurrent, bias = keras_models.load(tmp_path / "out.keras").get_layer("lstm").get_weights()
    assert len(np.unique(kernel)) <= 5
    assert len(np.unique(recurrent)) <= 5
    assert set(np.unique(bias)) == {0.0, 1.0}


def test_weights_are_measured_as_they_lie_in_a_file():
    class Model:
        def get_weights(self):
            return [np.zeros((100, 10), np.float32), np.ones(24, np.float32)]

    measured = cluster._compressed(Model())
    assert measured["raw"] == 4096
    assert 0 < measured["gzip"] < 100
