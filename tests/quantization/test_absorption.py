from __future__ import annotations

import numpy as np
import pytest

from toolchain.channels.replica import Replica
from toolchain.quantization.absorption import absorb

pytestmark = pytest.mark.tensorflow


def test_what_is_never_below_moves_into_the_next_bias_by_hand(keras):
    layers = keras.layers
    model = keras.Sequential([keras.Input((1,)), layers.Dense(2, activation="relu"), layers.Dense(1)])
    model.set_weights([np.float32([[1, 1]]), np.float32([10, 0]), np.float32([[2], [1]]), np.float32([5])])
    x = np.float32([[-2], [0], [3]])  # the first channel is 8 to 13, the second 0 to 3
    before = np.asarray(model(x))
    assert absorb(model, [x]) == 1
    assert model.get_weights()[1].tolist() == [2, 0]
    assert model.get_weights()[3].tolist() == [21]
    assert np.asarray(model(x)) == pytest.approx(before, abs=1e-5)


@pytest.mark.parametrize("name", ["own", "layer", "mean", "inside", "padded", "clipped", "no bias", "added", "prelu"])
def test_exact_on_the_examples_and_left_alone_where_it_would_not_be(keras, name):
    layers = keras.layers
    keras.utils.set_random_seed(0)
    x = start = keras.Input((6, 6, 2))
    activation = {"own": "relu", "clipped": "relu6", "mean": "relu", "padded": "relu", "no bias": "relu", "added": "relu"}.get(name)
    x = first = layers.Conv2D(4, 1, activation=activation, name="first", bias_initializer="ones")(x)
    if name in ("layer", "inside"):
        x = layers.ReLU()(x)
    if name == "prelu":
        x = layers.PReLU(alpha_initializer=keras.initializers.Constant(-2.0))(x)
    if name == "mean":
        x = layers.Dropout(0.1)(layers.AveragePooling2D(2)(x))
    if name == "added":
        x = layers.Add()([x, first])
    x = layers.Conv2D(3, 3, padding="same" if name == "padded" else "valid", use_bias=name != "no bias", name="second")(x)
    model = keras.Model(start, layers.GlobalAveragePooling2D()(x))
    if name == "inside":
        outer = keras.Input((6, 6, 2))
        model = keras.Model(outer, layers.Dense(2)(model(outer)))
    examples = np.random.default_rng(0).uniform(0, 0.3, (40, 6, 6, 2)).astype(np.float32)
    same = Replica(model).model
    count = absorb(model, [examples])
    assert (count > 0) == (name in ("own", "layer", "mean", "inside"))
    assert np.asarray(model(examples)) == pytest.approx(np.asarray(same(examples)), abs=1e-5)
