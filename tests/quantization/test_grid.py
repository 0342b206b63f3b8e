from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.quantization.grid import Affine, nearest_weights, weight_scales


def test_scale_and_zero_point_by_hand():
    assert Affine.of_range(-1.0, 1.55) == Affine(pytest.approx(0.01), -28)
    assert Affine.of_range(0.0, 2.55) == Affine(pytest.approx(0.01), -128)
    assert Affine.of_range(1.0, 2.55) == Affine.of_range(0.0, 2.55)  # zero must be on the grid
    assert Affine.of_range(-2.55, -1.0) == Affine(pytest.approx(0.01), 127)
    assert Affine.of_range(-1.27, 0.5, symmetric=True) == Affine(pytest.approx(0.01), 0)
    assert Affine.of_range(-3.2767, 1.0, bits=16) == Affine(pytest.approx(1e-4), 0, 16)
    assert Affine.of_range(0.0, 0.0) == Affine(pytest.approx(1 / 255), -128)


def test_values_beyond_the_range_are_clipped():
    grid = Affine(0.5, -128)
    assert grid.limits == (0.0, 127.5)
    assert grid.nearest(np.float32([-3.0, 0.2, 0.3, 500.0])).tolist() == [0.0, 0.0, 0.5, 127.5]


@given(st.floats(-1e3, 0), st.floats(1e-3, 1e3), st.sampled_from([8, 16]), st.booleans())
def test_zero_is_exact_and_no_value_inside_moves_by_more_than_half_a_step(low, high, bits, symmetric):
    grid = Affine.of_range(low, high, bits, symmetric=symmetric)
    x = np.linspace(low, high, 101, dtype=np.float32)
    assert grid.nearest(np.float32([0.0])) == 0.0
    assert np.abs(grid.nearest(x) - x).max() <= 1.01 * grid.scale  # half a step, and half of one for the rounded zero point


def test_weights_have_one_scale_a_row():
    rows = np.float32([[0.5, -1.27], [0.0, 0.0], [127.0, 3.4]])
    assert weight_scales(rows).ravel().tolist() == pytest.approx([0.01, 1.0, 1.0])
    assert nearest_weights(rows).tolist() == [pytest.approx([0.5, -1.27]), [0.0, 0.0], [127.0, 3.0]]


def test_a_tensor_has_the_scale_of_its_largest_weight():
    rows = np.float32([[0.5, -1.27], [0.0, 0.0], [0.02, 0.304]])
    assert weight_scales(rows, granularity="per_tensor").ravel().tolist() == pytest.approx([0.01] * 3)
    assert nearest_weights(rows, granularity="per_tensor")[2].tolist() == pytest.approx([0.02, 0.3])
