from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from conftest import tiny_model

from toolchain.errors import StageError
from toolchain.quantization.drift import drift
from toolchain.quantization.replay import Visit, replay, visited

pytestmark = pytest.mark.tensorflow


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 8, 8, 1)).astype(np.float32)


def watched(model, tensors, x) -> list[np.ndarray]:
    keras = __import__(type(model).__module__.partition(".")[0])
    return [np.asarray(values) for values in keras.Model(model.inputs, tensors)(x)]


def test_each_kernel_sees_the_float_network_and_the_twin_as_it_is_by_then(keras):
    model, twin, x = tiny_model(keras), tiny_model(keras), images(70)
    seen: dict[str, Visit] = {}

    def visit(found: Visit) -> None:
        seen[found.kernel.layer.name] = found
        found.kernel.assign(np.round(8 * found.kernel.rows) / 8)

    replay(model, twin, x, visit)
    assert list(seen) == ["conv", "depthwise", "point", "answer"]
    relu, flat = (model.get_layer(name).output for name in ("relu", "flat"))
    exact = watched(model, [relu, flat], x)
    changed = watched(twin, [twin.get_layer("relu").output, twin.get_layer("flat").output], x)
    assert not np.allclose(exact[0], changed[0], atol=1e-2)
    for name, rounded in (("depthwise", changed[0]), ("answer", changed[1])):
        assert np.allclose(np.concatenate(seen[name].rounded), rounded, atol=1e-5)
    logits = exact[1] @ model.get_layer("answer").get_weights()[0] + model.get_layer("answer").get_weights()[1]
    assert np.allclose(np.concatenate(seen["answer"].sums), logits, atol=1e-4)
    assert np.allclose(seen["answer"].means(seen["answer"].sums), logits.mean(0), atol=1e-4)


def test_activations_are_those_that_a_converter_fuses(keras):
    model, twin = tiny_model(keras), tiny_model(keras)
    found = {}
    replay(model, twin, images(2), lambda seen: found.__setitem__(seen.kernel.layer.name, seen.activation))
    assert found["point"] is twin.get_layer("point").activation
    assert found["conv"] is None, "the batch normalization stands between"
    assert found["depthwise"] is None
    assert found["answer"] is None, "softmax"


def test_a_layer_that_is_an_activation_is_one_too(keras):
    layers = keras.layers
    made = []
    for _ in range(2):
        x = start = keras.Input((4,))
        x = layers.ReLU(6.0, name="six")(layers.Dense(3, name="dense")(x))
        x = layers.Activation("linear", name="line")(layers.Dense(3, name="second")(x))
        made.append(keras.Model(start, layers.Activation("softmax", name="soft")(layers.Dense(3, name="last")(x))))
    found = {}
    replay(*made, np.ones((2, 4), np.float32), lambda seen: found.__setitem__(seen.kernel.layer.name, seen.activation))
    assert found == {"dense": made[1].get_layer("six"), "second": None, "last": None}


def test_only_what_an_integer_file_stores_is_quantized(keras):
    model, twin = tiny_model(keras), tiny_model(keras)
    shapes = []

    def quantize(values):
        shapes.append(tuple(values[0].shape[1:]))
        return [tf.zeros_like(value) for value in values]

    found = {}
    replay(model, twin, images(3), lambda seen: found.__setitem__(seen.kernel.layer.name, seen.rounded), quantize)
    # the input, ReLU (not the convolution and its normalization), depthwise, point, flatten, answer
    assert shapes == [(8, 8, 1), (8, 8, 4), (6, 6, 4), (6, 6, 8), (288,), (3,)]
    assert not np.any(found["depthwise"][0])


def test_two_inputs_are_refused(keras):
    starts = [keras.Input((2,)), keras.Input((2,))]
    model = keras.Model(starts, keras.layers.Dense(1)(keras.layers.Add()(starts)), name="pair")
    with pytest.raises(StageError, match="pair: has 2 inputs"):
        replay(model, model, np.ones((1, 2)), lambda seen: None)


def test_layers_of_layers_are_named(keras):
    inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, name="deep")], name="inner")
    start = keras.Input((3,))
    found, notes = visited(keras.Model(start, keras.layers.Dense(2, name="outer")(inner(start))))
    assert list(found) == ["outer"]
    assert [note.what for note in notes] == ["inner"]


def test_drift_is_the_difference_of_the_outputs(keras, context):
    model, changed = tiny_model(keras), tiny_model(keras)
    kernel, bias = changed.get_layer("answer").get_weights()
    changed.get_layer("answer").set_weights([kernel, bias + np.float32([9, 0, 0])])
    moved, used = drift(model, changed, context)
    x = context.data.inputs("validation")
    before, after = np.asarray(model(x)), np.asarray(changed(x))
    assert moved["max"] == pytest.approx(np.abs(after - before).max(), abs=1e-5)
    assert moved["largest_output"] == pytest.approx(before.max(), abs=1e-5)
    assert used == f"{len(x)} of {len(x)} in shapes.npz/validation"
    assert drift(model, model, context)[0]["max"] == 0.0
