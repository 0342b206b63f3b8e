import math

import msgspec
import numpy as np
import pytest
from conftest import HERE
from hypothesis import given, settings
from hypothesis import strategies as st
from latency.small import device, network, profile

from toolchain.latency.estimate import estimate, internal_bytes, refusal, shares, variance
from toolchain.latency.work import TERMS
from toolchain.tflite_file import TfliteFile

CYCLES = (
    3 * 3456 + 432 + 10 * 128 + 248 + 1000,  # convolution
    5 * 1152 + 10 * 128 + 104 + 1000,  # depthwise
    512 + 10 * 64 + 48 + 1000,  # 1x1 convolution
    0,  # reshape
    4 * 192 + 10 * 3 + 204 + 1000,  # fully connected
    100 * 3 + 1000,  # softmax
)


@pytest.fixture
def file(tmp_path):
    return TfliteFile.read(network(tmp_path / "net.tflite"))


def test_milliseconds_by_hand(file):
    found = estimate(file, profile(), 100_000_000, None)
    assert found.ms_per_operator == pytest.approx([cycles / 1e5 for cycles in CYCLES])
    assert found.ms == pytest.approx(sum(CYCLES) / 1e5)
    assert sum(found.ms_per_operator) == found.ms


def test_a_clock_twice_as_fast_halves_the_time(file):
    assert estimate(file, profile(), 200_000_000, None).ms == pytest.approx(estimate(file, profile(), 100_000_000, None).ms / 2)


def test_the_interval_by_hand(file):
    known = profile()
    found = estimate(file, known, 100_000_000, None)
    costs = {term: known.cycles[term] for term in TERMS}
    part = shares(known, [{"conv_mac": 3, "output": 2}])
    assert part == {"conv_mac": 6 / 26, "output": 20 / 26}
    # independent costs of 10 % each, then what networks and boards differ by
    assert variance(known, part, None) == pytest.approx(0.01 * ((6 / 26) ** 2 + (20 / 26) ** 2) + 0.06**2)
    low, high = found.interval_ms
    assert low < found.ms < high
    assert math.log(high / found.ms) == pytest.approx(math.log(found.ms / low))
    assert math.log(high / found.ms) > 1.645 * math.hypot(0.06, 0.08)
    assert len(costs) == len(TERMS)


def test_a_measured_board_has_its_factor_and_a_narrower_interval(file):
    known = profile()
    here, elsewhere = estimate(file, known, 100_000_000, known.boards[0]), estimate(file, known, 100_000_000, None)
    assert here.ms == pytest.approx(1.1 * elsewhere.ms)
    assert here.interval_ms[1] / here.ms < elsewhere.interval_ms[1] / elsewhere.ms
    faster = estimate(file, known, 120_000_000, known.boards[0])
    assert faster.ms == pytest.approx(here.ms / 1.2)
    assert faster.interval_ms[1] / faster.ms == pytest.approx(elsewhere.interval_ms[1] / elsewhere.ms)


@settings(max_examples=15, deadline=None)
@given(filters=st.integers(1, 24), classes=st.integers(1, 16))
def test_wider_networks_never_take_less(tmp_path_factory, filters, classes):
    folder = tmp_path_factory.mktemp("net")

    def ms(filters, classes):
        return estimate(TfliteFile.read(network(folder / "net.tflite", filters, classes)), profile(), 100_000_000, None).ms

    assert ms(filters, classes) < ms(filters + 1, classes)
    assert ms(filters, classes) < ms(filters, classes + 1)


def test_what_is_known_is_not_refused(file):
    assert refusal(file, profile(), device()) is None


def test_refusals(file, tmp_path):
    known = profile()
    assert refusal(file, known, device(core="cortex-m7")) == "profile round-1.0/cortex-m4 is calibrated on cortex-m4, mine has cortex-m7"
    assert "int8 networks, this file is float32" in refusal(TfliteFile.read(HERE / "data" / "tiny_float32.tflite"), known, device())
    assert "contains FLOOR" in refusal(TfliteFile.read(network(tmp_path / "floor.tflite", last="FLOOR")), known, device())
    assert "computes in int8, uint8" in refusal(TfliteFile.read(network(tmp_path / "uint8.tflite", dtype=np.uint8)), known, device())
    assert "a loop or a branch" in refusal(msgspec.structs.replace(file, subgraphs=2), known, device())
    far = profile(macs=(100_000, 1_000_000))
    assert "5,312 MACs are far from the 100,000 to 1,000,000" in refusal(file, far, device())
    assert refusal(file, profile(macs=(53_120, 53_120)), device()) is None
    assert "far from" in refusal(file, profile(macs=(10, 531)), device())


def test_work_that_nothing_calibrated_is_refused(file):
    known = profile(shares=dict.fromkeys(TERMS, 0.6) | {"narrow_conv_mac": 0.1})
    reason = refusal(file, known, device())
    share = 3 * 3456 / sum(CYCLES)
    assert reason.startswith(f"{share:.0%} of the estimated time would be narrow_conv_mac")
    assert reason.endswith("spends more than 10% there")
    # 0.1 of the time may lie beyond twice the largest share that was measured
    assert refusal(file, profile(shares=known.shares | {"narrow_conv_mac": (share - 0.09) / 2}), device()) is None
    assert refusal(file, profile(shares=known.shares | {"narrow_conv_mac": (share - 0.11) / 2}), device()) is not None


def test_activations_in_external_memory_are_refused(file):
    assert refusal(file, profile(), device(sram_bytes=192)) is None
    assert "activations need at least 192 B, mine has 191 B of SRAM" in refusal(file, profile(), device(sram_bytes=191))
    assert "external memory" in refusal(file, profile(), device(sram_bytes=200, reserved_sram_bytes=9))
    assert "external memory" in refusal(file, profile(), device(sram_bytes=1024, contiguous_sram_bytes=191))
    assert internal_bytes(device(sram_bytes=1024, contiguous_sram_bytes=512, reserved_sram_bytes=100).memory) == 512
