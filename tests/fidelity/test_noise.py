import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from toolchain.fidelity.noise import LOST, channel_sqnr_db, decibels, level_db, lower, sqnr_db

VALUES = arrays(np.float32, (6, 3), elements=st.floats(-100, 100, width=16))


def test_by_hand():
    assert sqnr_db(np.float32([3, 4]), np.float32([0.5, 0])) == pytest.approx(20), "10 log10(25 / 0.25)"
    assert sqnr_db(np.float32([3, 4]), np.zeros(2)) is None
    assert sqnr_db(np.zeros(2), np.float32([1, 0])) == LOST
    assert sqnr_db(np.float32([1]), np.float32([np.nan])) == LOST


def test_a_large_channel_does_not_hide_the_others():
    signal = np.float32([[1000, 1, 1, 0], [1000, -1, 1, 0]])
    noise = np.float32([[0.1, 0.1, 0.1, 0], [0.1, 0.1, 0.1, 0]])
    assert sqnr_db(signal, noise) == pytest.approx(10 * math.log10(2_000_004 / 0.06), abs=1e-3)
    assert channel_sqnr_db(signal, noise) == pytest.approx(20, abs=1e-3), "of 80, 20 and 20 dB; the channel of zeros does not count"
    assert level_db(signal, noise) == pytest.approx(20, abs=1e-3)


def test_channels_that_are_exact_or_have_no_signal():
    assert channel_sqnr_db(np.float32([[1, 1, 1]]), np.float32([[0, 0, 1]])) is None
    assert channel_sqnr_db(np.zeros((2, 3)), np.ones((2, 3))) is None
    assert channel_sqnr_db(np.float32([1, 2]), np.float32([1, 2])) is None, "one axis: no channels"


@given(VALUES, VALUES, st.sampled_from([0.25, 2.0, 16.0]))
def test_a_common_factor_changes_nothing(signal, noise, factor):
    for measure in (sqnr_db, channel_sqnr_db):
        found, scaled = measure(signal, noise), measure(signal * np.float32(factor), noise * np.float32(factor))
        assert scaled == (found if found is None else pytest.approx(found))


def test_words():
    assert (lower(None, 3.0, 2.0), lower(None, None)) == (2.0, None)
    assert (decibels(None), decibels(12.34), decibels(LOST)) == ("exact", "12.3 dB", "lost")
