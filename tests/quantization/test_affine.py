from __future__ import annotations

import numpy as np
import pytest

from toolchain.quantization import affine

pytestmark = pytest.mark.tensorflow

FACTOR_IN, OFFSET_IN = np.array([2.0, -0.5, 1.5, 0.25]), np.array([1.0, 3.0, -2.0, 0.5])


def linear_layers(keras):
    """Each kind of linear layer with the shape of an input it takes; four input channels each."""
    layers = keras.layers
    return {
        "dense": (layers.Dense(3), (4,)),
        "dense along an axis": (layers.Dense(3, use_bias=False), (5, 4)),
        "conv1d": (layers.Conv1D(6, 3), (7, 4)),
        "conv2d": (layers.Conv2D(6, (2, 3), strides=2, use_bias=False), (7, 8, 4)),
        "groups": (layers.Conv2D(6, 2, groups=2), (5, 5, 4)),
        "conv3d": (layers.Conv3D(3, 2), (3, 3, 3, 4)),
        "depthwise": (layers.DepthwiseConv2D(3, depth_multiplier=2), (5, 5, 4)),
        "depthwise 1d": (layers.DepthwiseConv1D(3, use_bias=False), (5, 4)),
        "separable": (layers.SeparableConv2D(5, 2, depth_multiplier=2), (5, 5, 4)),
        "separable 1d": (layers.SeparableConv1D(5, 2, use_bias=False), (5, 4)),
        "transposed": (layers.Conv2DTranspose(3, 2, strides=2), (4, 4, 4)),
        "transposed 1d": (layers.Conv1DTranspose(3, 2), (4, 4)),
    }


NAMES = list(linear_layers(__import__("keras")))


@pytest.mark.parametrize("name", NAMES)
def test_maps_before_and_after_a_layer_are_in_its_weights(keras, name):
    layer, shape = linear_layers(keras)[name]
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    assert np.asarray(layer(x)).any()
    assert affine.is_linear(layer)
    transposed = "transposed" in name
    offset = np.zeros(4) if transposed else OFFSET_IN
    expected = np.asarray(layer(FACTOR_IN.astype(np.float32) * x + offset.astype(np.float32)))
    factor_out = np.linspace(-2, 3, expected.shape[-1])
    offset_out = np.linspace(1, -4, expected.shape[-1])
    weights = affine.before(layer, affine.weights_of(layer), FACTOR_IN, offset)
    weights = affine.after(layer, weights, factor_out, offset_out)
    config = layer.get_config() | {"use_bias": True}
    if "depthwise" in name:
        config.pop("filters", None)  # Keras 3 writes it and does not read it
    twin = type(layer).from_config(config)
    twin.build((None, *shape))
    twin.set_weights(weights)
    assert np.asarray(twin(x)) == pytest.approx(factor_out * expected + offset_out, abs=2e-5)


def test_what_sees_padding(keras):
    layers = keras.layers
    assert affine.pads(layers.Conv2D(2, 3, padding="same"))
    assert affine.pads(layers.Conv1D(2, 3, padding="causal"))
    assert affine.pads(layers.Conv2DTranspose(2, 3))
    assert not affine.pads(layers.Conv2D(2, 1, strides=2, padding="same"))
    assert not affine.pads(layers.DepthwiseConv2D(3))
    assert not affine.pads(layers.Dense(2))
