import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolchain.errors import ToolchainError
from toolchain.measure.latency import summarize
from toolchain.measure.paired import difference, ratio, ratio_across, unpaired


def timed(*rounds):
    return summarize([list(turn) for turn in rounds], "r", 1, 0.0)


def test_a_difference_by_hand():
    # 12 lost and 4 gained of 98: 12.5 - 4.5 = 8 of 100; sqrt(17 - 64 / 100) / 100 = 0.0404475
    found, (low, high) = difference(12, 4, 98)
    assert found == pytest.approx(8 / 98)
    assert low == pytest.approx(0.08 - 1.959964 * 0.0404475, abs=1e-6)
    assert high == pytest.approx(0.08 + 1.959964 * 0.0404475, abs=1e-6)


def test_no_change_is_zero_between_equal_limits():
    found, (low, high) = difference(0, 0, 100)
    assert found == 0
    assert high == -low == pytest.approx(1.959964 / 102)


def test_pairing_sees_what_two_intervals_do_not():
    # 10 of 1000 lost, none gained: certain in pairs, within the noise of 98 % against 97 % on other examples
    assert difference(10, 0, 1000)[1][0] > 0
    assert unpaired(0.98, (0.969, 0.987), 0.97, (0.957, 0.979))[1][0] < 0


@pytest.mark.parametrize("counts", [(100, 0, 5), (-1, 0, 5), (0, -1, 5), (3, 3, 5), (0, 0, 0), (0, 0, -1)])
def test_counts_that_cannot_be_are_refused(counts):
    with pytest.raises(ToolchainError, match="cannot be; run again"):
        difference(*counts)


@settings(deadline=None)
@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 500))
def test_a_difference_lies_in_its_interval_and_turns_with_its_sides(lost, gained, same):
    total = max(1, lost + gained + same)
    found, (low, high) = difference(lost, gained, total)
    assert -1 <= low <= found <= high <= 1
    assert difference(gained, lost, total) == (pytest.approx(-found), (pytest.approx(-high), pytest.approx(-low)))


def test_the_interval_covers_a_known_drop():
    """8 % lost and 4 % gained of 300: the true drop of 4 % lies in the interval about 95 % of the time."""
    rng = np.random.default_rng(0)
    cells = rng.multinomial(300, [0.08, 0.04, 0.88], 4000)
    inside = [low <= 0.04 <= high for low, high in (difference(int(lost), int(gained), 300)[1] for lost, gained, _ in cells)]
    assert 0.94 <= np.mean(inside) <= 0.97


def test_independent_results_by_hand():
    found, (low, high) = unpaired(0.9, (0.87, 0.92), 0.8, (0.77, 0.84))
    assert found == pytest.approx(0.1)
    assert low == pytest.approx(0.1 - 0.05)  # 3-4-5
    assert high == pytest.approx(0.1 + math.hypot(0.02, 0.03))


def test_a_ratio_is_taken_round_by_round():
    slow = timed(*[[4, 8], [2, 4], [20, 40]] * 2)  # medians 6, 3, 30
    fast = timed(*[[1, 2, 3], [4, 4, 4], [10, 10, 20]] * 2)  # medians 2, 4, 10
    found, interval = ratio(slow, fast)
    assert found == 3.0
    assert interval == (0.75, 3.0)


def test_few_rounds_have_no_interval():
    with pytest.raises(ToolchainError, match="5 rounds are too few for an interval, which needs 6"):
        ratio(timed(*[[1]] * 5), timed(*[[2]] * 5))


def test_a_machine_that_slows_down_does_not_change_a_ratio():
    speed = np.linspace(1, 3, 40)
    found, interval = ratio(timed(*([2 * s, 2 * s] for s in speed)), timed(*([s] for s in speed)))
    assert found == pytest.approx(2)
    assert interval == (pytest.approx(2), pytest.approx(2))


def test_a_file_of_both_runs_removes_the_machine():
    # the second run's machine takes three times as long; the new file takes 2 of the shared one's 4, the old one 3 of 4
    new, here = timed(*[[2]] * 6), timed(*[[4]] * 6)
    old, there = timed(*[[9]] * 6), timed(*[[12]] * 6)
    assert ratio_across(new, old, (here, there)) == (pytest.approx(2 / 3), (pytest.approx(2 / 3), pytest.approx(2 / 3)))
    assert ratio_across(new, old)[0] == pytest.approx(2 / 9)


def test_an_interval_across_runs_takes_the_worst_of_both():
    found, (low, high) = ratio_across(timed([2], [3], [4]), timed([1], [2], [4]))
    assert (found, low, high) == (1.5, 0.5, 4.0)


def test_durations_that_do_not_belong_together_are_refused():
    one, other = timed([1], [1], [1]), timed([1], [1])
    with pytest.raises(ToolchainError, match="3 and 2 rounds were not timed together"):
        ratio(one, other)
    for samples, rounds in (((1.0, 1.0), 3), ((), 3), ((1.0,), 0), ((1.0, 0.0), 2), ((1.0, math.nan), 2)):
        with pytest.raises(ToolchainError, match="time the files again"):
            ratio(msgspec.structs.replace(one, samples_ms=samples, rounds=rounds), one)
    with pytest.raises(ToolchainError, match="time the files again"):
        ratio_across(one, msgspec.structs.replace(one, p50_ms=0.0))
