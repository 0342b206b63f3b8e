import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.c_source.arithmetic import Scale, fixed_point, kept_within, limits, requantized, requantized_once, shared_by
from toolchain.errors import ModelError
from toolchain.tflite_file import Tensor


def test_factors_by_hand():
    assert fixed_point(0.5) == Scale(1 << 30, 0, 0)
    assert fixed_point(1.0) == Scale(1 << 30, 1, 0)
    assert fixed_point(3 / 16) == Scale(3 << 29, 0, 2)
    assert fixed_point(0.0) == Scale(0, 0, 0)
    assert fixed_point(2.0**-40) == Scale(0, 0, 0), "too small for 31 bits of shift"
    assert shared_by(Scale(1 << 30, 1, 0), 4) == Scale(1 << 30, 0, 1), "1 / 4 = 2^30 * 2^(0 - 1 - 31)"


def test_one_rounding_and_two_differ_where_the_first_makes_a_tie():
    # 5 * 0.3 = 1.5 less a rounding error: once rounds to 1 or 2 by the exact value, twice rounds the rounded one
    half = Scale(1 << 30, 0, 1)  # a quarter
    assert [requantized(v, half) for v in (2, -2, 6, -6)] == [1, -1, 2, -2], "halves away from zero"
    assert [requantized_once(v, half) for v in (2, -2, 6, -6)] == [1, 0, 2, -1], "halves upwards"


@given(st.integers(-(2**29), 2**29), st.floats(2**-20, 0.99))
def test_requantizing_is_rounding_the_product(value, real):
    scale = fixed_point(real)
    for answer in (requantized(value, scale), requantized_once(value, scale)):
        assert abs(answer - value * real) <= 0.5 + abs(value) * 2**-31 + 2**-scale.right


def test_factors_that_cannot_be_computed_are_refused():
    for real in (math.nan, math.inf, -1.0, 2.0**30):
        with pytest.raises(ModelError, match="cannot be computed in fixed point"):
            fixed_point(real)
    assert kept_within(255, Scale(1 << 30, 4, 0)) == Scale(1 << 30, 4, 0)
    with pytest.raises(ModelError, match=r"a factor of 2\^23 and more leaves the kernels' range"):
        kept_within(255, Scale(1 << 30, 23, 0))


def test_the_range_that_an_activation_leaves():
    tensor = Tensor(0, "y", (1, 4), "INT8", (0.05,), (-28,))
    assert limits(tensor, 0) == (-128, 127)
    assert limits(tensor, 1) == (-28, 127)
    assert limits(tensor, 2) == (-48, -8)
    assert limits(tensor, 3) == (-28, 92)
    with pytest.raises(ModelError, match="fused activation 4"):
        limits(tensor, 4)
