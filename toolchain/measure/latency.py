"""Durations of single inferences, with the candidates interleaved.

Timing one file after the other compares the machine's moods: here a sequential order swung results by 3.7x. Every round
times each candidate once, in a new random order, after one untimed inference that brings it back into the caches.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import numpy as np

from toolchain.report import Latency

Candidate = Callable[[], None]

ROUNDS: Final = 6
"""The fewest whose range is a 95 % interval of their median: all of n lie on one side of it with 2 / 2^n."""


class Timing(msgspec.Struct, frozen=True):
    """How long to measure."""

    rounds: int = 40
    turn_s: float = 0.005
    """A candidate's turn in a round takes about that long, and is at least one inference."""
    warmup_s: float = 0.1
    budget_s: float = 10.0
    """Fewer rounds, at least 6, where a candidate would take longer than this in all."""


Samples = list[list[float]]
"""Milliseconds of each inference, by round."""


def interleaved(
    candidates: Mapping[str, Candidate], timing: Timing, seed: int = 0, progress: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, Samples]:
    """Time every candidate in every round."""
    counts, slowest = {}, 0.0
    for name, run in candidates.items():
        estimate = _warm_up(run, timing.warmup_s)
        counts[name] = min(50, max(1, int(timing.turn_s / estimate)))
        slowest = max(slowest, (counts[name] + 1) * estimate)
    rounds = max(ROUNDS, min(timing.rounds, int(timing.budget_s / slowest)))
    samples: dict[str, Samples] = {name: [] for name in candidates}
    rng = np.random.default_rng(seed)
    for done in range(rounds):
        for name in rng.permutation(sorted(candidates)):
            samples[str(name)].append(_turn(candidates[str(name)], counts[str(name)]))
        progress(done + 1, rounds)
    return samples


def _warm_up(run: Candidate, seconds: float) -> float:
    """Run for a while; the shortest duration in seconds."""
    best, until = math.inf, time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        run()
        end = time.perf_counter()
        best = min(best, end - start)
        if end >= until:
            return max(best, 1e-6)


def _turn(run: Candidate, count: int) -> list[float]:
    run()
    durations = []
    for _ in range(count):
        start = time.perf_counter_ns()
        run()
        durations.append((time.perf_counter_ns() - start) / 1e6)
    return durations


def summarize(samples: Samples, runtime: str, threads: int, load_before: float) -> Latency:
    """p90 and p99 over all samples; p50, and so its interval, from the rounds' medians, which are independent."""
    flat = np.array([sample for turn in samples for sample in turn])
    medians = [float(np.median(turn)) for turn in samples]
    p90, p99 = np.percentile(flat, [90, 99])
    return Latency(
        how="measured",
        runtime=runtime,
        threads=threads,
        p50_ms=float(np.median(medians)),
        p90_ms=float(p90),
        p99_ms=float(p99),
        min_ms=float(flat.min()),
        interval_ms=median_interval(medians),
        rounds=len(samples),
        load_before=load_before,
        load_after=os.getloadavg()[0],
        samples_ms=tuple(round(float(sample), 6) for sample in flat),
    )


def median_interval(values: list[float]) -> tuple[float, float]:
    """95 % interval of the median by order statistics: ranks from the binomial distribution of values below it.

    Conover, Practical Nonparametric Statistics, 3rd ed., section 3.2. The whole range for fewer than 6 values.
    """
    ordered, n = sorted(values), len(values)
    tail, low = 0.0, 0
    for k in range(n // 2):
        tail += math.comb(n, k) / 2**n
        if tail > 0.025:
            break
        low = k
    return ordered[low], ordered[n - 1 - low]
