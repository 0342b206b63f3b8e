from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "channels"))

import zoo

from toolchain import keras_models
from toolchain.channels.nodes import kind
from toolchain.channels.plan import compare
from toolchain.errors import ModelError
from toolchain.quantization import folding
from toolchain.quantization.folding import fold, normalization

pytestmark = pytest.mark.tensorflow


def normalizations(model) -> list[str]:
    return [layer.name for layer in model._flatten_layers() if kind(layer) == "BatchNormalization"]


def folded(model, tmp_path):
    """Folded, saved and loaded again; exact, and the caller's model is as it was."""
    zoo.randomize(model, 0)
    before = [np.array(w) for w in model.get_weights()]
    found, notes = fold(model)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    keras_models.save(found, tmp_path / "folded.keras")
    again = keras_models.load(tmp_path / "folded.keras")
    assert compare(model, again, 7) < 1e-5
    assert type(again) is type(model)
    assert normalizations(again) == [note.what for note in notes]
    names = {layer.name for layer in model.layers} - {layer.name for layer in again.layers}
    assert names <= set(normalizations(model)), "the names of other layers stay"
    return again, {note.what: note.reason for note in notes}


def test_factor_and_offset_by_hand(keras):
    layer = keras.layers.BatchNormalization(epsilon=0.25)
    layer.build((None, 2))
    layer.set_weights([np.float32([3.0, 1.0]), np.float32([1.0, 0.0]), np.float32([2.0, -4.0]), np.float32([2.0, 15.75])])
    factor, offset = normalization(layer)
    assert factor.tolist() == [2.0, 0.25]
    assert offset.tolist() == [-3.0, 1.0]


@pytest.mark.parametrize(
    "name", ["conv1d", "conv2d", "grouped", "conv3d", "depthwise", "depthwise_1d", "separable", "transposed", "dense", "conv_with_bias"]
)
def test_every_linear_layer_takes_it_in(keras, name, tmp_path):
    layers = keras.layers
    shape, linear = {
        "conv1d": ((9, 3), layers.Conv1D(4, 3, padding="causal", use_bias=False)),
        "conv2d": ((6, 6, 3), layers.Conv2D(4, 3, padding="same", use_bias=False)),
        "grouped": ((6, 6, 4), layers.Conv2D(6, 3, groups=2, use_bias=False)),
        "conv3d": ((4, 4, 4, 2), layers.Conv3D(4, 2, use_bias=False)),
        "depthwise": ((6, 6, 3), layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", use_bias=False)),
        "depthwise_1d": ((9, 3), layers.DepthwiseConv1D(3, use_bias=False)),
        "separable": ((6, 6, 3), layers.SeparableConv2D(4, 3, padding="same", use_bias=False)),
        "transposed": ((4, 4, 3), layers.Conv2DTranspose(4, 3, 2, padding="same", use_bias=False)),
        "dense": ((5,), layers.Dense(4, use_bias=False)),
        "conv_with_bias": ((6, 6, 3), layers.Conv2D(4, 3)),
    }[name]
    model = keras.Sequential([keras.Input(shape), linear, layers.BatchNormalization(scale=name != "dense"), layers.ReLU()])
    found, reasons = folded(model, tmp_path)
    assert reasons == {}
    assert len(found.layers) == 2


def test_it_passes_means_and_dropout_and_other_normalizations(keras, tmp_path):
    layers = keras.layers
    x = start = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, use_bias=False)(x)
    x = layers.BatchNormalization()(layers.BatchNormalization()(layers.AveragePooling2D(2, padding="same")(layers.Dropout(0.2)(x))))
    x = layers.Activation("linear")(x)
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    x = layers.Dropout(0.1)(layers.BatchNormalization(name="before_dense")(x))
    found, reasons = folded(keras.Model(start, layers.Dense(3)(x)), tmp_path)
    assert reasons == {}
    assert normalizations(found) == []


def test_before_a_layer_only_where_nothing_is_padded(keras, tmp_path):
    layers = keras.layers
    x = start = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(name="of_the_input")(x)
    x = layers.Add()(
        [
            layers.Conv2D(4, 3, name="a", activation="relu")(x),
            layers.DepthwiseConv2D(3, name="b")(layers.Conv2D(4, 1, padding="same", name="c")(x)),
        ]
    )
    x = layers.BatchNormalization(name="after_add")(x)
    x = layers.Conv2D(4, 3, padding="same", name="padded")(x)
    x = layers.MaxPooling2D()(layers.ReLU()(x))
    x = layers.BatchNormalization(name="after_max", center=False)(x)
    model = keras.Model(start, layers.Dense(3)(layers.Flatten()(layers.Conv2D(4, 2, name="end")(x))))
    _, reasons = folded(model, tmp_path)
    assert list(reasons) == ["after_add"]
    assert "Add 'add" in reasons["after_add"]
    assert "before it has no kernel to take it in, and Conv2D 'padded' after it pads with zeros" in reasons["after_add"]


def test_a_normalization_without_offset_goes_through_padding(keras):
    layers = keras.layers
    model = keras.Sequential([keras.Input((6, 6, 2)), layers.BatchNormalization(center=False), layers.Conv2D(3, 3, padding="same")])
    zoo.randomize(model, 0)
    gamma, _, variance = model.layers[0].get_weights()
    model.layers[0].set_weights([gamma, np.zeros(2), variance])
    assert normalizations(fold(model)[0]) == []


def test_what_stays_says_why(keras, tmp_path):
    layers = keras.layers
    x = start = keras.Input((8, 8, 4))
    shared = layers.Conv2D(4, 3, padding="same", name="shared")
    x = layers.BatchNormalization(name="one")(shared(x))
    x = layers.BatchNormalization(name="two")(shared(layers.ReLU()(x)))
    forked = layers.Conv2D(4, 1, name="forked", activation="relu")(x)
    y = layers.BatchNormalization(name="three")(forked)
    x = layers.Add()([y, forked])
    x = layers.Conv2D(4, 1, name="clipped", activation="relu")(x)
    x = layers.Conv2D(2, 3, name="same", padding="same")(layers.BatchNormalization(name="four")(x))
    twice = layers.BatchNormalization(name="five")
    x = layers.Add()([twice(layers.Conv2D(2, 1)(x)), twice(layers.Conv2D(2, 1)(x))])
    x = layers.BatchNormalization(name="six", axis=1)(layers.Conv2D(2, 1, name="last")(x))
    _, reasons = folded(keras.Model(start, layers.BatchNormalization(name="seven")(layers.ReLU()(x))), tmp_path)
    assert list(reasons) == ["one", "three", "four", "five", "six", "seven"]
    assert "Conv2D 'shared' before it is called more than once" in reasons["one"]
    assert "Conv2D 'forked' before it has other readers" in reasons["three"]
    assert "the relu of Conv2D 'clipped' comes before it" in reasons["four"]
    assert reasons["five"].endswith("it is called more than once")
    assert "Conv2D 'last' before it has its channels on another axis" in reasons["six"]
    assert "it makes an output of the model" in reasons["seven"]


def test_models_inside_models_and_shared_ones(keras, tmp_path):
    layers = keras.layers
    block = keras.Sequential(
        [keras.Input((6, 6, 3)), layers.Conv2D(3, 3, padding="same", use_bias=False), layers.BatchNormalization(), layers.ReLU()],
        name="block",
    )
    start = keras.Input((6, 6, 3))
    model = keras.Model(start, layers.BatchNormalization(name="outside")(block(layers.Add()([start, block(start)]))))
    found, reasons = folded(model, tmp_path)
    assert [layer for layer in found.get_layer("block").layers if kind(layer) == "BatchNormalization"] == []
    assert list(reasons) == ["outside"]


def test_channels_first(keras, tmp_path):
    layers, first = keras.layers, {"data_format": "channels_first"}
    x = start = keras.Input((3, 9, 9))
    x = layers.BatchNormalization(axis=1)(layers.Conv2D(4, 3, **first)(x))
    x = layers.BatchNormalization(axis=1)(layers.GlobalAveragePooling2D(**first)(layers.DepthwiseConv2D(3, **first)(x)))
    assert folded(keras.Model(start, layers.Dense(2)(x)), tmp_path)[1] == {}


def test_an_output_and_training_statistics_stay(keras):
    layers = keras.layers
    start = keras.Input((4,))
    x = layers.Dense(3)(start)
    y = layers.BatchNormalization(name="in_training")(layers.Dense(3)(x), training=True)
    model = keras.Model(start, [x, layers.BatchNormalization(name="read_twice")(x), y])
    same, notes = fold(model)
    assert same is model
    assert {note.what: "training=True" in note.reason for note in notes} == {"read_twice": False, "in_training": True}


def test_a_wrong_fold_is_refused(keras, monkeypatch):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.BatchNormalization()])
    zoo.randomize(model, 0)
    monkeypatch.setattr(folding, "normalization", lambda layer: (np.ones(3), np.ones(3)))
    with pytest.raises(ModelError, match="changes the outputs by .* of their scale; leave fold_batchnorm out"):
        fold(model)


@pytest.mark.prove
@pytest.mark.parametrize("name", ["MobileNetV2", "MobileNetV3Small"])
def test_published_networks_keep_no_normalization(keras, name, tmp_path):
    _, reasons = folded(zoo.large(keras)[name](), tmp_path)
    assert reasons == {}


@pytest.mark.prove
def test_a_folded_mobilenet_exports_without_stray_operators(keras, tmp_path):
    from collections import Counter

    import onnx
    import tf2onnx

    from toolchain.keras_function import of_keras

    model = zoo.large(keras)["MobileNet"]()
    zoo.randomize(model, 0)

    def operators(net):
        function = of_keras(net, "mobilenet")
        tf2onnx.convert.from_function(function.concrete, input_signature=function.specs, opset=17, output_path=str(tmp_path / "m.onnx"))
        found = Counter(node.op_type for node in onnx.load(tmp_path / "m.onnx").graph.node)
        return [found[name] for name in ("BatchNormalization", "Mul", "Add")]

    if keras.__name__ == "keras":
        assert sum(operators(model)) > 0, "otherwise there is nothing to fold"
    assert operators(fold(model)[0]) == [0, 0, 0]
