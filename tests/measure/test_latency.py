import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.measure.latency import ROUNDS, Timing, interleaved, median_interval, summarize


def test_candidates_take_turns_in_every_round():
    calls = []
    candidates = {name: (lambda name=name: calls.append(name)) for name in "abc"}
    samples = interleaved(candidates, Timing(rounds=6, turn_s=1e-9, warmup_s=0.0))
    assert {name: len(rounds) for name, rounds in samples.items()} == {"a": 6, "b": 6, "c": 6}
    turns = calls[3:]  # after one warm-up each; a turn is one untimed and one timed call
    for start in range(0, len(turns), 6):
        assert sorted(turns[start : start + 6]) == list("aabbcc")
    assert len({tuple(turns[start : start + 6]) for start in range(0, len(turns), 6)}) > 1


def test_a_slow_candidate_gets_fewer_rounds():
    from time import sleep

    samples = interleaved({"slow": lambda: sleep(0.02)}, Timing(rounds=40, warmup_s=0.0, budget_s=0.8))
    assert 6 < len(samples["slow"]) <= 20
    assert len(interleaved({"slow": lambda: sleep(0.02)}, Timing(rounds=40, warmup_s=0.0, budget_s=0.01))["slow"]) == ROUNDS == 6


def test_the_interval_of_the_median_by_the_binomial_table():
    # n = 10: P(X <= 1) = 11/1024 = 0.0107, P(X <= 2) = 0.0547; so the 2nd and the 9th value
    assert median_interval([float(v) for v in range(1, 11)]) == (2.0, 9.0)
    assert median_interval([3.0, 1.0, 2.0]) == (1.0, 3.0)
    assert 2 / 2**ROUNDS <= 0.05 < 2 / 2 ** (ROUNDS - 1), "the range of fewer values is no 95 % interval"


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=50))
def test_the_interval_contains_the_median(values):
    low, high = median_interval(values)
    assert low <= float(np.median(values)) <= high


def test_the_median_is_that_of_rounds_and_percentiles_come_from_all_raw_samples():
    found = summarize([[1.0, 2.0], [3.0, 4.0], [5.0]], "r", 1, 0.0)
    assert (found.p50_ms, found.min_ms, found.rounds) == (3.5, 1.0, 3)
    assert found.interval_ms == (1.5, 5.0)
    assert found.p90_ms == pytest.approx(4.6)
    assert found.samples_ms == (1.0, 2.0, 3.0, 4.0, 5.0)
