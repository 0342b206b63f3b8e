import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolchain.quantization.grid import Affine
from toolchain.quantization.ranges import Histogram, entropy, estimate, least_squares, percentile, squared_error, threshold


def histogram(counts, low, high):
    return Histogram(np.array(counts), low, high)


def test_bins_have_edges_and_middles():
    found = histogram([1, 2, 1], 0.0, 3.0)
    assert list(found.edges) == [0, 1, 2, 3]
    assert list(found.centers) == [0.5, 1.5, 2.5]
    assert found.outside(1.0, 3.0) == 0.25


def test_percentile_leaves_half_of_the_rest_on_each_side():
    found = histogram([1, 0, 98, 0, 1], -5.0, 5.0)
    assert percentile(found, 98) == (-1.0, 1.0)
    assert percentile(found, 99) == (-5.0, 5.0)  # half a value may go, and no bin has that few
    assert percentile(found, 100) == (-5.0, 5.0)
    assert percentile(histogram([0, 1, 0], 0.0, 3.0), 100) == (1.0, 2.0)


def test_percentile_of_one_side_keeps_the_other():
    assert percentile(histogram([50, 48, 0, 2], 0.0, 4.0), 96) == (0.0, 2.0)


def test_squared_error_by_hand():
    # a grid of 0, 1, 2, 3 (2 bits): 0.5 rounds to even 0, 1.5 to 2, 5.5 is clipped to 3
    grid = Affine(1.0, -2, bits=2)
    assert grid.limits == (0.0, 3.0)
    found = histogram([2, 1, 0, 0, 0, 1], 0.0, 6.0)
    assert squared_error(found, grid) == pytest.approx((2 * 0.25 + 0.25 + 6.25) / 4)


def test_least_squares_clips_a_rare_outlier_and_keeps_a_frequent_one():
    counts = np.zeros(2048)
    counts[:64] = 1000
    counts[-1] = 1
    low, high = least_squares(histogram(counts, 0.0, 20.48), 4, False)
    assert low == 0
    assert 0.64 <= high < 5
    counts[-1] = 30_000
    assert least_squares(histogram(counts, 0.0, 20.48), 4, False)[1] > 15


def test_sixteen_bits_leave_nothing_to_clip():
    counts = np.zeros(2048)
    counts[:64] = 1000
    counts[-1] = 1
    assert least_squares(histogram(counts, 0.0, 20.48), 16, True)[1] == pytest.approx(20.48, rel=0.09)


def test_threshold_by_hand():
    """Four levels: keeping 4 bins diverges by 0.0221, 6 rules out the outlier's bin, 8 blurs the head by 0.0531."""
    counts = np.array([8, 4, 2, 1, 0, 0, 0, 1])
    kept_4 = 0.875 * math.log(15 / 16) + 0.125 * math.log(15 / 8)
    kept_8 = 0.5 * math.log(8 / 6) + 0.25 * math.log(4 / 6) + 0.125 * math.log(2 / 1.5) + 0.0625 * math.log(1 / 1.5)
    assert kept_4 < kept_8
    assert threshold(counts, 4) == 4
    assert threshold(np.array([8, 4, 2, 1, 0, 0, 0, 8]), 4) == 8  # now the clipped share is what costs


def test_entropy_cuts_the_tail_of_a_bell_and_keeps_a_short_range():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(size=200_000), [30.0]])
    found = Histogram(np.histogram(values, 2048)[0], float(values.min()), 30.0)
    low, high = entropy(found, 8, False)
    assert 2 < high < 6
    assert low == pytest.approx(max(-high, values.min()), abs=0.02)


def test_zeros_of_a_relu_do_not_decide_the_range():
    rng = np.random.default_rng(0)
    counts, edges = np.histogram(np.abs(rng.normal(size=100_000)), 2048)
    crowded = counts.copy()
    crowded[0] += 10_000_000
    high = float(edges[-1])
    assert entropy(Histogram(crowded, 0.0, high), 8, False) == entropy(Histogram(counts, 0.0, high), 8, False)


def test_estimates_by_name():
    found = histogram([1, 0, 98, 0, 1], -5.0, 5.0)
    assert estimate(found, "minmax", 0, 8, False) == (-5.0, 5.0)
    assert estimate(found, "percentile", 98, 8, False) == (-1.0, 1.0)
    assert estimate(found, "mse", 0, 8, False) == least_squares(found, 8, False)
    assert estimate(found, "entropy", 0, 8, False) == entropy(found, 8, False)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.integers(0, 1000), min_size=300, max_size=300),
    st.floats(-100, 100, allow_subnormal=False),
    st.floats(0.01, 100),
    st.sampled_from(["minmax", "percentile", "mse", "entropy"]),
    st.booleans(),
)
def test_every_estimate_lies_within_what_was_seen(counts, low, width, by, symmetric):
    found = histogram(counts, low, low + width)
    chosen = estimate(found, by, 99.0, 8, symmetric)
    slack = 1e-6 * (abs(low) + width)
    # a range moves towards zero when it shrinks, which may lie outside of [low, high]
    assert min(low, 0) - slack <= chosen[0]
    assert chosen[1] <= max(low + width, 0) + slack


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 1000), min_size=64, max_size=64), st.floats(-10, 0), st.floats(0.1, 10))
def test_least_squares_is_never_worse_than_minmax(counts, low, high):
    found = histogram(counts, low, high)
    best = Affine.of_range(*least_squares(found, 4, False), 4)
    assert squared_error(found, best) <= squared_error(found, Affine.of_range(low, high, 4))
