from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quantizable import kernels

from toolchain.normalization import recalibrate
from toolchain.quantization.bias import clipped_normal_mean, correct_analytic, correct_empirical, shift_of
from toolchain.quantization.grid import nearest_weights
from toolchain.quantization.replay import replay

pytestmark = pytest.mark.tensorflow


def normalized(keras):
    """Normal inputs stay normal behind the first normalization, as section 4.2.1 assumes."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    x = start = keras.Input((6, 6, 3))
    x = layers.BatchNormalization(name="first")(x)
    x = layers.ReLU(name="relu")(x)
    x = layers.Conv2D(4, 3, use_bias=False, name="conv")(x)
    x = layers.BatchNormalization(name="second")(x)
    x = layers.Activation("relu6", name="relu6")(x)
    x = layers.DepthwiseConv2D(2, name="depthwise")(x)
    x = layers.Flatten(name="flat")(x)
    model = keras.Model(start, layers.Dense(2, name="answer")(x))
    rng = np.random.default_rng(1)
    for name in ("first", "second"):
        layer = model.get_layer(name)
        layer.set_weights([np.float32(rng.uniform(0.5, 1.5, w.shape)) if "gamma" in w.name else np.array(w) for w in layer.weights])
    model.get_layer("first").set_weights(
        [*model.get_layer("first").get_weights()[:1], np.float32([-0.5, 0.2, 1.0]), np.zeros(3), np.ones(3)]
    )
    return model


def coarse(model):
    """Weights of the whole model moved far from their grid in one direction, so that rounding shifts every mean."""
    for kernel in kernels(model):
        scales = np.abs(kernel.rows).max(axis=1, keepdims=True) / 127
        kernel.assign(np.where(np.abs(kernel.rows) < 126 * scales, (np.floor(kernel.rows / scales) + 0.45) * scales, kernel.rows))
    return model


def inputs(count: int) -> np.ndarray:
    return np.random.default_rng(2).normal(size=(count, 6, 6, 3)).astype(np.float32)


def shifts_of(keras, model, twin, x) -> dict[str, np.ndarray]:
    """The shift of each channel's mean `[C]` in each layer, with the twin's weights rounded to nearest."""
    copy = keras.models.clone_model(twin)
    copy.set_weights(twin.get_weights())
    found = {}

    def visit(seen):
        seen.kernel.assign(nearest_weights(seen.kernel.rows))
        found[seen.kernel.layer.name] = seen.means([a - b for a, b in zip(seen.sums_of_twin(), seen.sums, strict=True)])

    replay(model, copy, x, visit)
    return found


def test_mean_of_a_clipped_normal_by_hand():
    def mean(center, deviation, low, high=math.inf):
        return clipped_normal_mean(np.array([center]), np.array([deviation]), low, high)[0]

    assert mean(0.0, 1.0, 0.0) == pytest.approx(1 / math.sqrt(2 * math.pi))
    assert mean(0.0, 2.0, -1.0, 1.0) == pytest.approx(0.0)
    assert mean(9.0, 0.5, 0.0, 6.0) == pytest.approx(6.0, abs=1e-6)
    assert mean(-9.0, 0.5, 0.0, 6.0) == pytest.approx(0.0, abs=1e-6)
    assert mean(2.5, 0.0, 0.0, 6.0) == pytest.approx(2.5)
    assert mean(0.7, 1.3, -math.inf) == pytest.approx(0.7)


@settings(derandomize=True, max_examples=25, deadline=None)
@given(st.floats(-4, 8), st.floats(0.05, 4), st.sampled_from([6.0, math.inf]))
def test_mean_of_a_clipped_normal_is_that_of_samples(center, deviation, high):
    samples = np.clip(np.random.default_rng(0).normal(center, deviation, 200_000), 0, high)
    found = clipped_normal_mean(np.array([center]), np.array([deviation]), 0.0, high)[0]
    assert found == pytest.approx(samples.mean(), abs=5 * deviation / math.sqrt(200_000))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("Conv2D", {"filters": 4, "kernel_size": 2}),
        ("Conv2D", {"filters": 4, "kernel_size": 3, "groups": 2}),
        ("DepthwiseConv2D", {"kernel_size": 2, "depth_multiplier": 3}),
        ("Conv2DTranspose", {"filters": 3, "kernel_size": 2, "strides": 2}),
        ("Dense", {"units": 5}),
    ],
)
def test_constant_inputs_shift_by_the_error_times_their_value(keras, name, settings):
    x = np.broadcast_to(np.float32([1.0, -2.0, 0.5, 3.0]), (1, 4, 4, 4))
    model = keras.Sequential([keras.Input((4, 4, 4)), getattr(keras.layers, name)(**settings)])
    kernel = next(kernels(model))
    error = np.random.default_rng(0).normal(size=kernel.rows.shape)
    before = np.asarray(model(x))
    kernel.assign(np.float32(kernel.rows + error))
    shift = np.asarray(model(x)) - before
    if name == "Conv2DTranspose":  # each place is reached by another of the four taps
        shift = shift.mean((0, 1, 2))
    assert np.allclose(shift, shift_of(kernel, error, x[0, 0, 0]), atol=1e-4)


def test_analytic_shifts_are_those_of_normal_inputs(keras):
    model, twin = coarse(normalized(keras)), coarse(normalized(keras))
    x = inputs(2000)
    for net in (model, twin):
        recalibrate(net, x)
    measured = shifts_of(keras, model, twin, x)
    shifts, notes = correct_analytic(twin)
    assert list(shifts) == ["conv", "depthwise"]
    assert shifts["conv"] == pytest.approx(measured["conv"], abs=0.02 * np.abs(measured["conv"]).max())
    # what arrives at the depthwise layer is a sum of 27 clipped normals, which is nearly normal; it is shifted itself
    left = shifts_of(keras, model, twin, x)["depthwise"]
    assert np.abs(left).max() < 0.1 * np.abs(measured["depthwise"]).max()
    assert [(note.what, note.reason) for note in notes] == [("answer", "no BatchNormalization tells the mean of its inputs: not corrected")]
    assert np.array_equal(twin.get_layer("conv").get_weights()[0], model.get_layer("conv").get_weights()[0]), "weights stay float"


def test_token_ids_are_no_activations(keras):
    """On an int8 grid ids would name other rows of the table."""

    def net():
        keras.utils.set_random_seed(0)
        table = [keras.layers.Embedding(2000, 16, embeddings_initializer="normal"), keras.layers.GlobalAveragePooling1D()]
        return keras.Sequential([keras.Input((6,), dtype="int32"), *table, keras.layers.Dense(3)])

    ids = np.random.default_rng(0).integers(0, 2000, (200, 6)).astype(np.int32)
    shifts, _ = correct_empirical(net(), net(), ids, activations=True)
    (shift,) = shifts.values()
    assert np.abs(shift).max() < 1e-3


def test_empirical_correction_leaves_no_shift_on_its_examples(keras):
    model, twin = coarse(normalized(keras)), coarse(normalized(keras))
    x = inputs(100)
    before = shifts_of(keras, model, twin, x)
    shifts, notes = correct_empirical(model, twin, x, activations=False)
    after = shifts_of(keras, model, twin, x)
    assert list(shifts) == ["conv", "depthwise", "answer"]
    assert notes == ()
    moved = np.array(twin.get_layer("second").moving_mean) - np.array(model.get_layer("second").moving_mean)
    assert moved == pytest.approx(shifts["conv"], abs=1e-6), "the normalization subtracts the shift"
    # what stands before the normalization still shifts, what comes out of it does not
    for name in ("depthwise", "answer"):
        assert np.abs(after[name]).max() < 0.01 * np.abs(before[name]).max()
    assert np.array_equal(twin.get_layer("answer").get_weights()[0], model.get_layer("answer").get_weights()[0]), "weights stay float"


def test_rounded_activations_shift_means_too(keras):
    found = []
    for activations in (False, True):
        model, twin = normalized(keras), normalized(keras)
        found.append(correct_empirical(model, twin, inputs(100), activations=activations)[0]["answer"])
    assert not np.allclose(*found, rtol=1e-2)


def test_what_cannot_be_corrected_is_said(keras):
    start = keras.Input((3,))
    shared = keras.layers.Dense(3, name="shared")
    x = keras.layers.Dense(3, use_bias=False, name="bare")(shared(shared(start)))
    x = keras.layers.Reshape((1, 3))(x)
    model, twin = (keras.Model(start, keras.layers.LSTM(2, name="lstm")(x)) for _ in range(2))
    shifts, notes = correct_empirical(model, twin, np.ones((4, 3), np.float32), activations=False)
    assert shifts == {}
    assert {note.what: note.reason for note in notes} == {
        "shared": "is called 2 times, and what fits one call misfits another: left as it was",
        "lstm": "the weights inside a LSTM are left as they were",
        "bare": "has no bias and no BatchNormalization behind it: not corrected",
    }
