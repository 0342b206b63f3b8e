from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "channels"))

import zoo

from benchmarks.quantization.spread import spread
from toolchain.channels.plan import compare
from toolchain.channels.replica import Replica
from toolchain.quantization.folding import fold
from toolchain.quantization.scaling import ScaleGraph, clip_of, listed

pytestmark = pytest.mark.tensorflow


def scales(graph) -> dict[str, set[int]]:
    """By layer, the classes of the channels it makes; 0 keeps its scale."""
    return {ends.layer.name: set(graph.root[ends.made].tolist()) for ends in graph.ends}


def test_a_depthwise_convolution_parts_two_scales_and_an_addition_joins_them(keras):
    layers = keras.layers
    x = start = keras.Input((6, 6, 2))
    x = a = layers.Conv2D(4, 1, activation="relu", name="a")(x)
    x = layers.ReLU()(layers.DepthwiseConv2D(3, padding="same", name="b")(x))
    x = layers.Add()([a, layers.Conv2D(4, 1, name="c")(x)])
    x = layers.Conv2D(3, 3, name="d")(layers.ZeroPadding2D()(layers.LeakyReLU()(x)))
    x = layers.Dense(2, name="e")(layers.Flatten()(layers.MaxPooling2D()(x)))
    found = scales(ScaleGraph(keras.Model(start, x)))
    assert found["a"] == found["c"]
    assert len(found["a"] | found["b"] | found["d"]) == 4 + 4 + 3
    assert found["e"] == {0}


def test_what_keeps_its_scale_says_why(keras):
    layers = keras.layers
    x = start = keras.Input((6, 6, 2))
    a = layers.Conv2D(4, 1, activation="sigmoid", name="a")(x)
    x = layers.Multiply()([layers.Conv2D(4, 1, activation="relu", name="b")(x), a])
    x = layers.BatchNormalization()(layers.Conv2D(5, 1, name="c")(x))
    x = layers.Softmax()(layers.Conv2D(6, 1, name="d")(x))
    x = layers.ReLU(threshold=0.5)(layers.Conv2D(3, 1, name="e")(x)) + 1.0
    x = layers.LayerNormalization()(layers.Dense(2, name="f")(layers.GlobalAveragePooling2D()(x)))
    graph = ScaleGraph(keras.Model(start, x))
    assert {name for name, classes in scales(graph).items() if classes != {0}} == {"b"}
    assert {note.what: note.reason for note in graph.notes()} == {
        "a": "4 channels keep their scale: sigmoid is not positively homogeneous",
        "c": "5 channels keep their scale: batch normalization comes after it; put fold_batchnorm before",
        "d": "6 channels keep their scale: Softmax is not positively homogeneous",
        "e": "3 channels keep their scale: ReLU is not positively homogeneous",
        "f": "2 channels keep their scale: LayerNormalization is not scaled through",
    }


def test_two_factors_of_a_product_are_not_both_scaled(keras):
    layers = keras.layers
    start = keras.Input((4, 4, 2))
    factors = [layers.Conv2D(3, 1, name=name)(start) for name in ("a", "b")]
    graph = ScaleGraph(keras.Model(start, layers.Dense(2, name="c")(layers.Multiply()(factors))))
    assert [classes == {0} for classes in scales(graph).values()] == [False, True, True]


def test_activations(keras):
    layers = keras.layers
    assert [clip_of(layers.Activation(name))[0] for name in ("relu", "relu6", "tanh", "linear")] == [np.inf, 6.0, None, np.inf]
    assert [clip_of(layers.ReLU(max_value=top))[0] for top in (6.0, None)] == [6.0, np.inf]
    assert clip_of(layers.ReLU(threshold=1.0))[0] is None
    assert clip_of(None) == (np.inf, "linear")


def test_a_sum_that_only_an_activation_reads_is_not_stored(keras):
    layers = keras.layers
    start = keras.Input((4,))
    alone, shared = layers.Dense(3, name="alone")(start), layers.Dense(3, name="shared")(start)
    x = layers.Add()([layers.ReLU()(alone), layers.ReLU()(shared), shared])
    graph = ScaleGraph(keras.Model(start, layers.Dense(2)(x)))
    assert (id(alone) in graph.stored, id(shared) in graph.stored) == (False, True)


def test_long_lists_are_cut():
    assert listed(["a", "b"]) == "a, b"
    assert listed(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


SMALL = list(zoo.small(__import__("keras")))
OFTEN = ["residual", "depthwise_and_separable", "squeeze_excite", "grouped_resnext", "unet", "channel_shuffle", "csp_slices", "volumes"]


@pytest.mark.parametrize("name", [pytest.param(name, marks=[] if name in OFTEN else pytest.mark.prove) for name in SMALL])
def test_any_scales_leave_the_float_function(keras, name):
    model = zoo.small(keras)[name]()
    zoo.randomize(model, 1)
    model, _ = fold(model)
    scaled = Replica(model).model
    spread(scaled, 0, 5)
    assert compare(model, scaled) < 1e-5
    if name in OFTEN:
        assert any(np.abs(a - b).max() > 1 for a, b in zip(model.get_weights(), scaled.get_weights(), strict=True))
