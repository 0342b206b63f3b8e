"""Signals with one fault each, and the reason that has to come out."""

import re

import numpy as np
import pytest

from toolchain.fidelity.reasons import explain, of_grid, of_weights, saturated
from toolchain.fidelity.sites import Stored
from toolchain.quantization.grid import Affine

RNG = np.random.default_rng(0)
SIGNAL = RNG.uniform(0, 1, (8, 5, 5, 6)).astype(np.float32)


def on(signal, grid, stored=None, weights=None):
    """The reason for a layer whose answer is the signal rounded to the grid."""
    return explain(signal, np.zeros_like(signal) if weights is None else weights, grid.nearest(signal) - signal, grid, stored)


def test_a_large_channel_takes_the_steps_of_the_others():
    signal = SIGNAL.copy()
    signal[..., 4] *= 50
    found = on(signal, Affine.of_range(0, 50))
    assert (found.kind, found.channel) == ("channel_range", 4)
    assert "reaches 49.42, 49.7 times the median channel's 0.9952" in found.text
    assert f"{np.median(np.abs(signal).max((0, 1, 2))) / (50 / 255):.3g} steps" in found.text


def test_a_grid_that_reaches_too_far():
    found = on(SIGNAL, Affine.of_range(0, 40))
    assert found.kind == "scale"
    assert "40.1 times too wide" in found.text or "40 times too wide" in found.text
    assert "predicts" in found.text


def test_the_prediction_is_the_noise_of_rounding():
    grid = Affine.of_range(0, 1)
    noise = grid.nearest(SIGNAL) - SIGNAL
    assert float((noise**2).mean()) == pytest.approx(grid.scale**2 / 12, rel=0.1)


def test_what_the_scale_predicts_is_measured():
    found = on(SIGNAL, Affine.of_range(0, 2.5)).text
    predicted, measured = re.search(r"predicts ([\d.]+) dB, measured ([\d.]+) dB", found).groups()
    assert float(predicted) == pytest.approx(float(measured), abs=0.5)


def test_values_beyond_the_grid():
    found = on(SIGNAL, Affine.of_range(0, 0.6))
    assert found.kind == "saturation"
    assert f"{saturated(SIGNAL, Affine.of_range(0, 0.6)):.2%}" in found.text
    assert saturated(SIGNAL, Affine.of_range(0, 0.6)) == pytest.approx(0.4, abs=0.03)
    assert saturated(SIGNAL, Affine.of_range(0, 1)) == 0


def test_negative_values_below_the_zero_point():
    found = on(SIGNAL - np.float32(0.3), Affine.of_range(0, 0.7))
    assert found.kind == "zero_point"
    assert "lowest step" in found.text
    found = on(np.float32(0.3) - SIGNAL, Affine(0.7 / 255, 127))
    assert found.kind == "zero_point"
    assert "highest step" in found.text


def test_single_values_that_stretch_the_grid():
    signal = np.repeat(SIGNAL, 16, axis=0) / 10
    signal[0, 0, 0] = 1
    found = on(signal, Affine.of_range(0, 1))
    assert found.kind == "scale"
    assert found.text.startswith("single values reach 1,")


def test_arithmetic_that_is_worse_than_the_grid():
    grid = Affine.of_range(0, 1)
    answer = grid.nearest(SIGNAL) - SIGNAL + np.float32(0.1)
    assert of_grid(SIGNAL, answer, grid).kind == "arithmetic"
    assert of_grid(SIGNAL, answer, None).kind == "arithmetic"


def test_nan_is_counted():
    answer = np.zeros_like(SIGNAL)
    answer[0, 0, 0, :2] = np.nan
    found = explain(SIGNAL, np.zeros_like(SIGNAL), answer, None, None)
    assert (found.kind, found.text) == ("not_finite", "2 of 1,200 values are NaN or infinite")


def test_an_exact_layer_has_no_reason():
    assert explain(SIGNAL, np.zeros_like(SIGNAL), np.zeros_like(SIGNAL), None, None) is None


class TestWeights:
    ROWS = np.array([[100, -127, 90], [127, 3, -2], [2, -1, 1]])

    def test_one_scale_for_all_channels(self):
        found = of_weights(Stored(np.array([[127, 0], [4, -3], [5, 2]]), np.float32([0.1])), 12.0)
        assert (found.kind, found.channel) == ("weights", 0)
        assert "25.4 times the median channel's range, which is left 5 of 127 steps" in found.text

    def test_the_coarsest_row(self):
        found = of_weights(Stored(self.ROWS, np.float32([0.1, 0.1, 0.1])), 12.0)
        assert found.channel == 2
        assert "rounding predicts 13.8 dB" in found.text, "10 log10(12 (4 + 1 + 1) / 3)"

    def test_weights_of_another_training(self):
        found = of_weights(Stored(self.ROWS[:2], np.float32([0.1, 0.1])), 5.0)
        assert found.text.startswith("its weights are not the model's, rounded: 5.0 dB")
        assert of_weights(None, 5.0).text == "its weights are not the model's: 5.0 dB with them alone"

    def test_the_larger_part_is_named(self):
        noise = np.full_like(SIGNAL, 0.2)
        assert on(SIGNAL, Affine.of_range(0, 1), Stored(self.ROWS, np.float32([0.1] * 3)), noise).kind == "weights"
        assert on(SIGNAL, Affine.of_range(0, 40), Stored(self.ROWS, np.float32([0.1] * 3)), noise / 1000).kind == "scale"
