from __future__ import annotations

import numpy as np
import pytest
from quantizable import kernels

pytestmark = pytest.mark.tensorflow


def net(keras):
    layers = keras.layers
    x = start = keras.Input((6, 6, 2))
    x = layers.Conv2D(3, 2, name="conv")(x)
    x = layers.DepthwiseConv2D(2, depth_multiplier=2, use_bias=False, name="depth")(x)
    x = layers.Conv2DTranspose(4, 2, name="up")(x)
    x = layers.Flatten()(x)
    return keras.Model(start, layers.Dense(5, name="dense")(x))


def test_rows_are_what_one_output_channel_multiplies(keras):
    found = {kernel.layer.name: kernel for kernel in kernels(net(keras))}
    assert [(name, kernel.rows.shape) for name, kernel in found.items()] == [
        ("conv", (3, 8)),
        ("depth", (6, 4)),
        ("up", (4, 24)),
        ("dense", (5, 100)),
    ]
    depthwise = found["depth"].layer.get_weights()[0]
    assert found["depth"].rows[3].tolist() == depthwise[:, :, 1, 1].ravel().tolist()
    assert found["depth"].bias is None


def test_assigning_rows_writes_back_what_was_read(keras):
    model = net(keras)
    for kernel in kernels(model):
        before = kernel.layer.get_weights()
        kernel.assign(kernel.rows)
        assert all(np.array_equal(a, b) for a, b in zip(before, kernel.layer.get_weights(), strict=True))
        kernel.assign(2 * kernel.rows, None if kernel.bias is None else kernel.bias + 1)
        after = kernel.layer.get_weights()
        assert np.array_equal(after[0], 2 * before[0])
        assert all(np.array_equal(b, a + 1) for a, b in zip(before[1:], after[1:], strict=True))
