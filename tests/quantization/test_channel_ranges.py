from __future__ import annotations

import numpy as np
import pytest

from toolchain.quantization.channel_ranges import Ranges, each_value, observe, rows_of, weight_ranges
from toolchain.quantization.scaling import Ends, ScaleGraph

pytestmark = pytest.mark.tensorflow


def test_shares_by_hand():
    ranges = Ranges(((np.array([0, 1, 2]), np.array([4.0, 1.0, 2.0])), (np.array([2, 3]), np.array([1.0, 8.0]))))
    assert ranges.shares(np.ones(4)).tolist() == [1.0, 0.25, 0.5, 1.0]
    assert ranges.shares(np.array([1.0, 0.125, 1.0, 8.0])).tolist() == [0.5, 1.0, 1.0, 1.0]
    assert ranges.largest(4).tolist() == [4.0, 1.0, 2.0, 8.0]


def test_activations_are_measured_in_models_inside_models_and_over_all_batches(keras):
    layers = keras.layers
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(2, activation="relu", use_bias=False, name="inside"), layers.Dense(2)])
    start = keras.Input((3,))
    graph = ScaleGraph(keras.Model(start, layers.Dense(1)(inner(start))))
    inner.get_layer("inside").set_weights([np.float32([[1, 0], [0, 2], [0, 0]])])
    x = np.zeros((70, 3), np.float32)
    x[3], x[69] = (1, 5, 7), (3, -1, 9)
    ranges = observe(graph, [x])
    inside = next(ends for ends in graph.ends if ends.layer.name == "inside")
    assert ranges.largest(len(graph.root))[graph.root[inside.made]].tolist() == [3.0, 10.0]


def test_values_are_those_of_the_model(keras):
    start = keras.Input((3,))
    model = keras.Model(start, keras.layers.Dense(2)(start))
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    found = []
    each_value(model, [x], lambda tensor, value: found.append(value))
    assert [len(batch) for batch in found] == [32, 8]
    assert np.concatenate(found) == pytest.approx(np.asarray(model(x)), abs=1e-6)


def test_rows_and_what_they_read(keras):
    layers = keras.layers

    def rows(layer, shape, channels):
        layer(np.zeros((1, *shape), np.float32))
        kernel = np.arange(layer.get_weights()[0].size, dtype=np.float32).reshape(layer.get_weights()[0].shape)
        layer.set_weights([-kernel, *layer.get_weights()[1:]])
        return rows_of(Ends(layer, np.arange(channels) + 1, np.zeros(0)))

    reads, largest = rows(layers.Dense(2), (3,), 3)
    assert (reads.tolist(), largest.tolist()) == ([[1, 2, 3]] * 2, [[0, 2, 4], [1, 3, 5]])
    reads, largest = rows(layers.Conv2D(2, (1, 2), groups=2), (2, 2, 4), 4)
    assert (reads.tolist(), largest.tolist()) == ([[1, 2], [3, 4]], [[4, 6], [5, 7]])
    reads, largest = rows(layers.DepthwiseConv2D((1, 2), depth_multiplier=2), (2, 2, 2), 2)
    assert (reads.tolist(), largest.tolist()) == ([[1], [1], [2], [2]], [[4], [5], [6], [7]])
    reads, largest = rows(layers.Conv2DTranspose(2, (1, 2)), (2, 2, 3), 3)
    assert (reads.tolist(), largest.tolist()) == ([[1, 2, 3]] * 2, [[6, 7, 8], [9, 10, 11]])


def test_without_data_a_channel_is_as_large_as_its_largest_weight(keras):
    layers = keras.layers
    start = keras.Input((4, 4, 2))
    x = layers.SeparableConv2D(3, 1, name="a")(start)
    graph = ScaleGraph(keras.Model(start, layers.Conv2D(2, 1)(x)))
    graph.ends[0].layer.set_weights([np.ones((1, 1, 2, 1)), np.float32([[[[1, -5, 0], [3, 4, 2]]]]), np.zeros(3)])
    ranges = weight_ranges(graph)
    assert ranges.largest(len(graph.root))[graph.root[graph.ends[0].made]].tolist() == [3.0, 5.0, 2.0]
