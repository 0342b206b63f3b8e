from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.quantization.spread import spread
from toolchain.channels.nodes import random_inputs
from toolchain.channels.plan import compare
from toolchain.channels.replica import Replica
from toolchain.quantization.channel_ranges import observe
from toolchain.quantization.equalization import HEADROOM, equalize, equalize_without_data
from toolchain.quantization.scaling import ScaleGraph

pytestmark = pytest.mark.tensorflow

BLOCKS = ["conv", "padded", "depthwise", "residual", "concat", "pool", "shuffle", "leaky"]


def build(keras, blocks: list[str]):
    layers = keras.layers
    x = start = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 1, activation="relu")(x)
    for block in blocks:
        if block == "conv":
            x = layers.Conv2D(6, 1, activation="relu")(x)
        elif block == "padded":
            x = layers.ReLU()(layers.Conv2D(6, 3, padding="same")(x))
        elif block == "depthwise":
            x = layers.ReLU()(layers.DepthwiseConv2D(3, padding="same")(x))
        elif block == "residual":
            x = layers.Add()([x, layers.Conv2D(6, 1)(layers.Conv2D(4, 3, padding="same", activation="relu")(x))])
        elif block == "concat":
            x = layers.Conv2D(6, 1)(layers.Concatenate()([x, layers.Conv2D(5, 1, activation="relu")(x)]))
        elif block == "pool":
            x = layers.UpSampling2D()(layers.MaxPooling2D()(x))
        elif block == "shuffle":
            x = layers.Reshape((8, 8, 6))(layers.Permute((1, 2, 4, 3))(layers.Reshape((8, 8, 2, 3))(x)))
        else:
            x = layers.LeakyReLU()(layers.Conv2D(6, 1)(x))
    return keras.Model(start, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))


@settings(max_examples=5, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    blocks=st.lists(st.sampled_from(BLOCKS), min_size=2, max_size=5), seed=st.integers(0, 99), strength=st.sampled_from([0.25, 0.5, 1.0])
)
def test_spread_ranges_are_balanced_again_and_the_float_function_stays(keras, blocks, seed, strength):
    keras.utils.set_random_seed(seed)
    model = build(keras, blocks)
    spoiled = Replica(model).model
    spread(spoiled, seed, 6)
    assert compare(model, spoiled, seed) < 1e-4
    x = random_inputs(model, 8, seed)
    even = _unused(Replica(model).model, x)
    graph = ScaleGraph(spoiled)
    found = equalize(graph, observe(graph, x), strength)
    assert compare(model, spoiled, seed) < 1e-4
    assert found.unused_before > even + 1
    assert _unused(spoiled, x) == pytest.approx(found.unused_after, abs=0.05), "what was computed is what is there"
    assert found.unused_after < max(even + 0.5, 0.5 * found.unused_before)
    again = equalize(graph, observe(graph, x), strength)
    assert again.largest_octaves < 0.1, "it no longer changes"


def _unused(model, x) -> float:
    graph = ScaleGraph(model)
    ranges = observe(graph, x)
    shares = ranges.shares(np.ones(len(graph.root)))
    classes = np.unique(graph.root)[1:]
    return float(-np.log2(shares[classes][shares[classes] > 1e-6]).mean())


def pair(keras, first, second, activation="relu"):
    """Two channels in one tensor: weights that make them and weights that read them."""
    layers = keras.layers
    model = keras.Sequential([keras.Input((1,)), layers.Dense(2, activation=activation, use_bias=False), layers.Dense(1, use_bias=False)])
    model.set_weights([np.float32([first]), np.float32(second).reshape(2, 1)])
    return model


def test_a_pair_by_hand(keras):
    """Ranges (8, 1/2) are read by weights (1/4, 1): at strength 1/2 the products (2, 1/2) are shared out evenly."""
    model = pair(keras, [8, 0.5], [0.25, 1])
    graph = ScaleGraph(model)
    found = equalize(graph, observe(graph, [np.float32([[1]])]), 0.5)
    (made,), read = model.get_weights()[0], model.get_weights()[1].ravel()
    assert made * read == pytest.approx([2.0, 0.5], rel=1e-6)
    assert made[1] / made[0] == pytest.approx(0.5, rel=0.02)
    assert read[1] / read[0] == pytest.approx(0.5, rel=0.02)
    assert (found.channels, found.pinned, found.unused_before) == (2, 0, 2.0)
    assert found.unused_after == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("strength", "made", "read"), [(1.0, [1, 1], [1, 0.25]), (0.0, [1, 0.25], [1, 1])])
def test_strength_says_whose_ranges_are_even(keras, strength, made, read):
    model = pair(keras, [8, 0.5], [0.25, 1])
    graph = ScaleGraph(model)
    equalize(graph, observe(graph, [np.float32([[1]])]), strength)
    first, second = (w.ravel() for w in model.get_weights())
    assert first / first[0] == pytest.approx(made, rel=0.02)
    assert second / second[0] == pytest.approx(read, rel=0.02)


def test_without_data_weights_stand_in_for_activations(keras):
    model = pair(keras, [8, 0.5], [0.25, 1])
    found = equalize_without_data(ScaleGraph(model), 0.5)
    first, second = (w.ravel() for w in model.get_weights())
    assert first[1] / first[0] == pytest.approx(0.5, rel=0.02)
    assert second[1] / second[0] == pytest.approx(0.5, rel=0.02)
    assert found.unused_after == pytest.approx(0.5, abs=0.02)
    assert found.largest_octaves == pytest.approx(np.abs(np.log2(np.array([8, 0.5]) / first)).max(), abs=1e-3)


def test_a_channel_below_a_clip_is_raised_only_as_far_as_it_stays_below(keras):
    model = pair(keras, [8, 0.5], [1, 1], activation="relu6")
    graph = ScaleGraph(model)
    x = np.float32([[0.5], [1.0]])
    before = np.asarray(model(x))
    found = equalize(graph, observe(graph, [x]), 1.0)
    made = model.get_weights()[0].ravel()
    assert found.pinned == 1
    assert made[0] == 8.0, "it is clipped and stays"
    assert made[1] == pytest.approx(6 / HEADROOM, rel=1e-5)
    assert np.asarray(model(x)) == pytest.approx(before, rel=1e-6)


def test_without_data_what_is_clipped_stays(keras):
    model = pair(keras, [8, 0.5], [1, 1], activation="relu6")
    found = equalize_without_data(ScaleGraph(model), 0.5)
    assert (found.channels, found.pinned, found.largest_octaves) == (2, 2, 0.0)
    assert model.get_weights()[0].ravel().tolist() == [8, 0.5]


def test_a_dead_channel_and_one_that_nobody_reads_stay(keras):
    model = pair(keras, [0, 4], [1, 1])
    graph = ScaleGraph(model)
    equalize(graph, observe(graph, [np.float32([[1]])]), 0.5)
    assert model.get_weights()[0].ravel().tolist() == [0, 4]
    model = pair(keras, [1, 4], [0, 1])
    graph = ScaleGraph(model)
    equalize(graph, observe(graph, [np.float32([[1]])]), 0.5)
    assert model.get_weights()[0].ravel().tolist() == [1, 4]
