import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import zoo
from conformity import check_exact, random_plan

from toolchain import keras_models
from toolchain.channels import ChannelGraph, Plan
from toolchain.channels.plan import compare
from toolchain.errors import ModelError, StageError

pytestmark = pytest.mark.tensorflow

SMALL = list(zoo.small(__import__("keras")))
OUTPUT = "an output of the model"
SPREAD = "spreads it over all channels"


def graph_of(keras, name, seed=1, **settings):
    model = zoo.small(keras)[name]()
    zoo.randomize(model, seed)
    return ChannelGraph(model, **settings)


@pytest.mark.parametrize("name", SMALL)
def test_six_unequal_masks_are_exact_and_nothing_is_frozen_without_need(keras, name):
    graph = graph_of(keras, name)
    assert len(graph.groups) >= 1
    assert all(row.reason == OUTPUT or row.reason.endswith(SPREAD) for row in graph.frozen), graph.frozen
    assert graph.count_params(np.ones(len(graph.root), bool)) == graph.model.count_params()
    plans = [check_exact(graph, seed) for seed in range(2)]
    for seed in range(2, 6):
        random_plan(graph, seed).apply()  # compares itself with the masked original to 1e-5
    assert max(compare(graph.model, plan.masked()) for plan in plans) > 1e-3, "the masks must matter"


@pytest.mark.parametrize("name", ["residual", "transformer", "csp_slices", "shared_encoder", "conv1d_gru", "channel_shuffle"])
def test_an_empty_plan_is_the_identity_and_pruning_twice_works(keras, name, tmp_path):
    graph = graph_of(keras, name)
    same = Plan(graph, ()).apply()
    assert same.count_params() == graph.model.count_params()
    assert compare(graph.model, same) <= 1e-6
    smaller = random_plan(graph, 3).apply()
    keras_models.save(smaller, tmp_path / "smaller.keras")
    again = keras_models.load(tmp_path / "smaller.keras")
    assert keras_models.flavor_of(again) is keras_models.flavor_of(graph.model)
    assert compare(smaller, again) <= 1e-6
    check_exact(ChannelGraph(again), 4)


def test_the_callers_model_is_never_changed(keras):
    graph = graph_of(keras, "residual")
    before = [w.copy() for w in graph.model.get_weights()]
    check_exact(graph, 0)
    assert all(np.array_equal(a, b) for a, b in zip(before, graph.model.get_weights(), strict=True))


@pytest.mark.parametrize("name", ["residual", "unet", "sequential"])
def test_the_exported_file_agrees_too(keras, name, tmp_path):
    import tensorflow as tf

    from toolchain.channels.nodes import random_inputs
    from toolchain.keras_function import of_keras
    from toolchain.runners.litert import LiteRT

    smaller = random_plan(graph_of(keras, name), 2).apply()
    function = of_keras(smaller, name)
    (tmp_path / "m.tflite").write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([function.frozen()]).convert())
    inputs = random_inputs(smaller, 3, 0)
    assert np.allclose(LiteRT(tmp_path / "m.tflite").predict(inputs), function.predict(inputs)[0], atol=1e-4)


def test_macs_by_hand(keras):
    layers = keras.layers
    image = layers.Input((8, 8, 3))
    x = layers.DepthwiseConv2D(3)(layers.Conv2D(4, 3, padding="same")(image))
    graph = ChannelGraph(keras.Model(image, layers.Dense(2)(layers.Flatten()(x))))
    everything = np.ones(len(graph.root), bool)
    assert graph.count_macs(everything) == 8 * 8 * 9 * 3 * 4 + 6 * 6 * 9 * 4 + 6 * 6 * 4 * 2
    (group,) = graph.groups
    assert group.width == 4
    assert graph.count_macs(graph.alive(group.classes[:1])) == 8 * 8 * 9 * 3 * 3 + 6 * 6 * 9 * 3 + 6 * 6 * 3 * 2


def test_what_is_not_understood_is_frozen_with_its_reason(keras):
    layers = keras.layers
    image = layers.Input((8, 8, 3))
    x = layers.Softmax()(layers.Conv2D(6, 3, activation="relu")(image))
    x = layers.UnitNormalization()(layers.Conv2D(7, 1)(x))
    x = layers.LayerNormalization()(layers.Conv2D(8, 1)(x))
    x = layers.Conv2D(9, 1, activation="softmax")(x)
    model = keras.Model(image, layers.Dense(3)(layers.Flatten()(layers.Conv2D(10, 1)(x))))
    zoo.randomize(model, 0)
    graph = ChannelGraph(model)
    reasons = {row.channels: row.reason for row in graph.frozen}
    assert "Softmax" in reasons[6]
    assert "UnitNormalization" in reasons[7]
    assert "its statistics would change" in reasons[8]
    assert "lets channels see each other" in reasons[9]
    assert [group.width for group in graph.groups] == [10]
    assert all(0 <= row.share_of_macs < 1 for row in graph.frozen)
    check_exact(graph, 0)
    loose = ChannelGraph(model, inexact=True)
    assert sorted(group.width for group in loose.groups) == [8, 10]
    assert random_plan(loose, 1).apply().count_params() < model.count_params()


def test_channels_first(keras):
    """Only the graph and its counts: convolutions with channels first do not run on every processor."""
    layers = keras.layers
    image = layers.Input((3, 8, 8))
    x = layers.Conv2D(6, 3, data_format="channels_first")(image)
    x = layers.ReLU()(layers.BatchNormalization(axis=1)(x))
    x = layers.MaxPooling2D(2, data_format="channels_first")(x)
    x = layers.Conv2D(5, 1, data_format="channels_first")(x)
    model = keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D(data_format="channels_first")(x)))
    graph = ChannelGraph(model)
    assert [group.width for group in graph.groups] == [6, 5]
    assert graph.count_macs(np.ones(len(graph.root), bool)) == 36 * 27 * 6 + 9 * 6 * 5 + 5 * 2
    assert graph.count_params(graph.alive(graph.groups[0].classes[:2])) == (27 * 4 + 4) + 4 * 4 + (4 * 5 + 5) + 12


def test_clear_errors(keras):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(2)

        def call(self, x):
            return self.dense(x)

    own = Own()
    own(np.zeros((1, 3), np.float32))
    with pytest.raises(ModelError, match="a subclassed model has no graph; rebuild it functionally"):
        ChannelGraph(own)
    with pytest.raises(ModelError, match=r"the model is not built; start it with keras.Input\(shape\)"):
        ChannelGraph(keras.Sequential([keras.layers.Dense(2)]))
    graph = graph_of(keras, "sequential")
    with pytest.raises(StageError, match="1 would empty every layer"):
        graph.plan(1.0)
    with pytest.raises(StageError, match="all 8 channels would go"):
        Plan(graph, graph.groups[0].classes)


def test_a_wrong_rule_is_caught_by_apply(keras, monkeypatch):
    from toolchain.channels import rules

    def forgets_states(graph, site, ins):
        return rules.recurrent(graph, site, ins[:1])

    monkeypatch.setitem(rules.RULES, "GRU", forgets_states)
    monkeypatch.setattr(rules, "zip", lambda *parts, strict=False: zip(*parts, strict=False), raising=False)
    graph = graph_of(keras, "encoder_decoder_states")
    with pytest.raises(ModelError, match="differs from the masked original|cannot be built"):
        for seed in range(6):
            random_plan(graph, seed).apply()
