import pytest
from latency.small import device, profile

from toolchain.latency.profile import Row
from toolchain.latency.speed import speed_of


def row(macs, fitted_ms):
    return Row(
        network="net", family="nets", board="board", macs=macs, ms=1.0, fitted_ms=fitted_ms, held_out_ms=None, held_out_interval_ms=None, source="here",
    )  # fmt: skip


def test_rate_and_cost_of_a_call_by_hand():
    found = speed_of(profile(rows=(row(300_000, 11.0), row(700_000, 11.0))), device(clock_hz=200_000_000))
    # 22 ms at 100 MHz are 2.2 M cycles, 2.0 M without the board's factor of 1.1: half a MAC a cycle
    assert found.macs_per_s == pytest.approx(0.5 * 200e6)
    assert found.layer_s == pytest.approx(1000 / 200e6)
    assert found.channel_step == 4
