from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from quantizable import kernels

from toolchain.exports.tflite import Tflite
from toolchain.quantization.grid import weight_scales
from toolchain.quantization.replay import replay
from toolchain.quantization.rounding import Learned, Learning, choices, learn, nearest, on_grid
from toolchain.tflite_file import TfliteFile

pytestmark = pytest.mark.tensorflow


def every_kind(keras):
    """Each layer whose grid a converter picks, with and without an activation of its own or behind it."""
    keras.utils.set_random_seed(3)
    layers = keras.layers
    x = start = keras.Input((8, 8, 1))
    x = layers.Conv2D(6, 3, activation="relu", name="conv")(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise")(x)
    x = layers.ReLU(6.0, name="relu6")(x)
    x = layers.Conv2DTranspose(5, 2, strides=2, name="transposed")(x)
    x = layers.Conv2D(4, 3, strides=2, use_bias=False, name="strided")(x)
    x = layers.Reshape((9, 4))(x)
    x = layers.Conv1D(4, 3, padding="same", activation="relu", name="conv1d")(x)
    x = layers.Dense(3, name="positions")(x)
    x = layers.Flatten()(x)
    return keras.Model(start, layers.Dense(3, activation="softmax", name="answer")(x))


def small(keras):
    """A convolution with zeros in its kernel, and a dense layer."""
    keras.utils.set_random_seed(3)
    start = keras.Input((8, 8, 1))
    x = keras.layers.Flatten()(keras.layers.Conv2D(6, 3, strides=3, activation="relu", name="conv")(start))
    model = keras.Model(start, keras.layers.Dense(3, activation="softmax", name="answer")(x))
    kernel, bias = model.get_layer("conv").get_weights()
    model.get_layer("conv").set_weights([kernel * (np.abs(kernel) > 0.1), bias])
    return model


def examples(count: int, seed: int = 0) -> np.ndarray:
    """Neighbouring pixels resemble each other, as in an image; that is what rounding can make use of."""
    x = np.random.default_rng(seed).normal(size=(count, 8, 8, 1)).cumsum(1).cumsum(2)
    return np.float32(x / np.abs(x).max())


def learned(model, twin, inputs, how) -> dict[str, Learned]:
    found = {}
    replay(model, twin, inputs, lambda seen: found.__setitem__(seen.kernel.layer.name, learn(seen, how, 0)))
    return found


def stored(path) -> list[tuple[np.ndarray, np.ndarray]]:
    """The int8 kernels of a file as rows `[C, n]`, and their scales `[C, 1]`."""
    file = TfliteFile.read(path)
    tensors = [file.tensors[op.inputs[1]] for op in file.operators if op.macs]
    first = [file.constant(t)[0].transpose(2, 0, 1) if t.shape[0] == 1 else file.constant(t) for t in tensors]  # depthwise: [1, h, w, C]
    return [(integers.reshape(len(integers), -1), np.float32(t.scale)[:, None]) for integers, t in zip(first, tensors, strict=True)]


def test_weights_on_the_grid_by_hand():
    rows = np.float32([[0.5, -1.27, 0.304], [0.0, 0.0, 0.0]])
    found = on_grid(rows, np.array([[50, -127, 31], [0, 0, 0]]))
    assert found[0].tolist() == pytest.approx([0.5, -1.27, 0.31])
    assert found[1].tolist() == [0, 0, 0]
    assert nearest(rows).tolist() == [[50, -127, 30], [0, 0, 0]]


def test_every_largest_weight_keeps_its_scale_bit_for_bit():
    """All 2^23 mantissas; the exponent changes nothing. The converter divides in double precision."""
    largest = np.arange(2**23, 2**24, dtype=np.float32)[:, None]
    scales = weight_scales(largest)
    written = on_grid(largest, np.full_like(largest, 127))
    assert (written != largest).any(), "127 scales are not always the largest weight"
    assert np.array_equal(weight_scales(written), scales)
    assert np.array_equal((written.astype(np.float64) / 127).astype(np.float32), scales)


def test_zeros_and_the_largest_weight_have_no_choice():
    low, free = choices(np.array([[-127.0, 0.0, 3.4, 127.0], [-126.6, 126.7, 5.00001, -0.3]]))
    assert low.tolist() == [[-127, 0, 3, 127], [-127, 126, 5, -1]]
    assert free.tolist() == [[False, False, True, False], [True, True, False, True]]


@pytest.mark.parametrize("granularity", ["per_channel", "per_tensor"])
def test_the_converter_rounds_to_what_was_learned_bit_for_bit(keras, granularity, context, tmp_path):
    model, twin = every_kind(keras), every_kind(keras)
    results = learned(model, twin, examples(64), Learning(400, 0.02, True, granularity))
    assert list(results) == ["conv", "depthwise", "transposed", "strided", "conv1d", "positions", "answer"]
    assert all(result.changed > 0 for result in results.values()), "a kernel rounded to nearest would prove nothing"
    twin.save(tmp_path / "twin.keras")
    Tflite(scheme="static_w8a8", granularity=granularity).run(tmp_path / "twin.keras", tmp_path / "twin.tflite", context)
    written = stored(tmp_path / "twin.tflite")
    for before, after, (integers, scales) in zip(kernels(model), kernels(twin), written, strict=True):
        name = before.layer.name
        wanted = weight_scales(before.rows, granularity=granularity)
        assert np.array_equal(np.broadcast_to(scales, wanted.shape), wanted), name
        integers = integers.reshape(before.rows.shape)
        assert np.array_equal(integers, nearest(after.rows, granularity)), name
        assert np.abs(integers - before.rows / scales).max() < 1, f"{name}: each weight takes one of its two neighbours"
        assert (integers != nearest(before.rows, granularity)).mean() == pytest.approx(results[name].changed), name


def test_no_choice_of_roundings_is_much_better(keras):
    """All 2^7 roundings of a neuron that nearest rounding makes smaller everywhere; the first weight is the largest and stays."""
    start = keras.Input((8,))
    model = keras.Model(start, keras.layers.Dense(1, use_bias=False)(start))
    weights = np.float32([1.27, 0.3046, 0.2044, 0.5047, 0.1043, 0.4049, 0.6041, 0.0048])
    model.layers[-1].set_weights([weights[:, None]])
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    x = np.float32(1 + 0.3 * np.random.default_rng(1).normal(size=(200, 8)))
    result = learned(model, twin, x, Learning(400, 0.02, False))[model.layers[-1].name]
    roundings = [np.array([0, *choice]) for choice in product([0, 1], repeat=7)]
    errors = [((x @ (np.float32(0.01) * (np.floor(weights / 0.01 + 1e-3) + up) - weights)) ** 2).mean() for up in roundings]
    assert result.learned_mse < 0.05 * result.nearest_mse
    assert result.learned_mse < 1.3 * min(errors)


def test_zeros_stay_and_no_layer_gets_worse(keras):
    model, twin = small(keras), small(keras)
    results = learned(model, twin, examples(64), Learning(100, 0.02, True))
    before, after = (net.get_layer("conv").get_weights()[0] for net in (model, twin))
    assert (before == 0).sum() > 10
    assert (after[before == 0] == 0).all()
    assert all(result.learned_mse <= result.nearest_mse for result in results.values())
    assert twin.get_layer("conv").activation.__name__ == "relu", "the layer is as it was"
    assert twin.get_layer("answer").activation.__name__ == "softmax"


def test_the_same_seed_learns_the_same(keras):
    twins = [small(keras) for _ in range(2)]
    for twin in twins:
        learned(small(keras), twin, examples(32), Learning(50, 0.02, True))
    assert all(np.array_equal(a, b) for a, b in zip(*(twin.get_weights() for twin in twins), strict=True))


def test_rows_that_learned_badly_are_rounded_to_nearest(keras):
    model, twin, x = small(keras), small(keras), examples(32)
    result = learned(model, twin, x, Learning(2, 50.0, False))["conv"]
    found = np.asarray(twin.get_layer("conv")(x)) - np.asarray(model.get_layer("conv")(x))
    assert np.square(found).mean() == pytest.approx(result.learned_mse, rel=1e-3)
    assert result.learned_mse <= result.nearest_mse
