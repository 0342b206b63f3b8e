import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.c_source.arithmetic import (
    FineScale,
    Scale,
    fine_point,
    fixed_point,
    kept_within,
    limits,
    requantized,
    requantized_once,
    shared_by,
)
from toolchain.errors import ModelError
from toolchain.tflite_file import Tensor


def test_factors_by_hand():
    assert fixed_point(0.5) == Scale(1 << 30, 0, 0)
    assert fixed_point(1.0) == Scale(1 << 30, 1, 0)
    assert fixed_point(3 / 16) == Scale(3 << 29, 0, 2)
    assert fine_point(0.75) == FineScale(3 << 29, 0, 31)
    assert fine_point(1 + 2.0**-52) == FineScale(1 << 30, 1, 30), "the last bit of a double is kept"
    assert fixed_point(0.0) == Scale(0, 0, 0)
    assert fixed_point(2.0**-40) == Scale(0, 0, 0), "too small for 31 bits of shift"
    assert shared_by(Scale(1 << 30, 1, 0), 4) == Scale(1 << 30, 0, 1), "1 / 4 = 2^30 * 2^(0 - 1 - 31)"


def test_one_rounding_and_two_differ_where_the_first_makes_a_tie():
    quarter = Scale(1 << 30, 0, 1)
    assert [requantized(v, quarter) for v in (1, 2, -1, -2)] == [1, 1, 0, -1], "1 / 4 is first rounded to a half, to 1 / 2"
    assert [requantized_once(v, fine_point(0.25)) for v in (1, 2, -1, -2, 6, -6)] == [0, 1, 0, -1, 2, -2], "halves away from zero"


@given(st.integers(-(2**29), 2**29), st.floats(2**-20, 0.99))
def test_requantizing_is_rounding_the_product(value, real):
    scale = fixed_point(real)
    assert abs(requantized(value, scale) - value * real) <= 0.5 + abs(value) * 2**-31 + 2**-scale.right
    exact = Fraction(real) * value
    assert requantized_once(value, fine_point(real)) == math.copysign(math.floor(abs(exact) + Fraction(1, 2)), value)


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
