import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from toolchain.comparison import Comparison, Distance, compare
from toolchain.emulator import EmulatorResult, Layer, Trace

VALUES = arrays(np.float32, 12, elements=st.floats(-100, 100, width=16))


class TestDistance:
    def test_by_hand(self):
        found = Distance.between(np.float32([3, 4, 0, 0]), np.float32([3, 3, 0, 0]))
        assert found.max_difference == 1
        assert found.mean_difference == 0.25
        assert found.sqnr_db == pytest.approx(13.9794, abs=1e-4), "10 log10(25 / 1)"
        assert found.cosine == pytest.approx(21 / (5 * 18**0.5))

    def test_the_first_is_the_signal(self):
        assert Distance.between(np.float32([1]), np.float32([11])).sqnr_db == pytest.approx(-20), "10 log10(1 / 100)"
        assert Distance.between(np.float32([11]), np.float32([1])).sqnr_db == pytest.approx(0.8279, abs=1e-4), "10 log10(121 / 100)"

    def test_where_nothing_differs_there_is_no_noise(self):
        assert Distance.between(np.float32([1, 2]), np.float32([1, 2])) == Distance(0, 0, None, pytest.approx(1))

    def test_noise_without_a_signal(self):
        assert Distance.between(np.zeros(2, np.float32), np.float32([0, 2])) == Distance(2, 1, -math.inf, None)

    def test_small_integers_do_not_wrap_around(self):
        found = Distance.between(np.int8([-128]), np.int8([127]))
        assert (found.max_difference, found.sqnr_db) == (255, pytest.approx(10 * math.log10(128**2 / 255**2)))

    @given(VALUES, VALUES)
    def test_laws(self, a, b):
        found, back = Distance.between(a, b), Distance.between(b, a)
        assert found.max_difference == back.max_difference
        assert 0 <= found.mean_difference <= found.max_difference * (1 + 1e-12)
        assert (found.sqnr_db is None) == (found.max_difference == 0)
        assert found.cosine is None or abs(found.cosine) <= 1 + 1e-12

    @given(VALUES, VALUES)
    def test_a_scale_of_both_leaves_the_ratio(self, a, b):
        found, scaled = Distance.between(a, b), Distance.between(4 * a, 4 * b)
        assert scaled.max_difference == 4 * found.max_difference
        assert scaled.sqnr_db == (None if found.sqnr_db is None else pytest.approx(found.sqnr_db))


def result(*layers: tuple[int, str, int], unit: str = "instructions", **changes) -> EmulatorResult:
    """Layers by index, operator and cost."""
    made = tuple(Layer(index=index, operator=operator, output="t", macs=10, **{unit: cost}) for index, operator, cost in layers)
    found = EmulatorResult(emulator="cortex_m", how="executed", status="ok", reason=None, **{f"{unit}_per_layer": made or None})
    return msgspec.structs.replace(found, **changes)


def trace(outputs, **layers) -> Trace:
    return Trace(np.float32(outputs), {int(name[1:]): np.float32(values) for name, values in layers.items()})


class TestCompare:
    def test_layers_are_paired_with_the_values_of_their_own_places(self):
        a, b = result((0, "CONV_2D", 100), (2, "MEAN", 7)), result((1, "CONV_2D", 50), (2, "MEAN", 7))
        found = compare("pico", (a, b), (trace([[1]], _0=[1, 2], _2=[5]), trace([[1.5]], _1=[1, 4], _2=[5])))
        assert found.reason is None
        assert [(p.first.instructions, p.second.instructions) for p in found.layers] == [(100, 50), (7, 7)]
        assert [p.distance for p in found.layers] == [
            Distance(2, 1, pytest.approx(10 * math.log10(5 / 4)), pytest.approx(9 / (5 * 17) ** 0.5)),
            Distance(0, 0, None, 1),
        ]
        assert found.outputs == Distance(0.5, 0.5, pytest.approx(6.0206, abs=1e-4), 1)

    def test_layers_of_other_shapes_have_costs_and_no_distance(self):
        both = result((0, "CONV_2D", 100)), result((0, "CONV_2D", 50))
        found = compare("pico", both, (trace([[1, 2]], _0=[1, 2]), trace([[1]], _0=[1])))
        assert (found.outputs, [p.distance for p in found.layers]) == (None, [None])

    @pytest.mark.parametrize("unit", ["instructions", "cycles", "ms"])
    def test_without_traces_the_costs_are_there(self, unit):
        both = result((0, "CONV_2D", 100), unit=unit), result((0, "CONV_2D", 50), unit=unit)
        found = compare("pico", both, (None, None))
        assert (found.outputs, found.reason) == (None, None)
        assert [(getattr(p.first, unit), getattr(p.second, unit), p.distance) for p in found.layers] == [(100, 50, None)]

    def test_a_trace_of_one_file_alone_is_no_distance(self):
        both = result((0, "CONV_2D", 100)), result((0, "CONV_2D", 50))
        found = compare("pico", both, (trace([[1]], _0=[1]), None))
        assert (found.outputs, found.layers[0].distance) == (None, None)

    @pytest.mark.parametrize(
        ("second", "reason"),
        [
            (result((0, "CONV_2D", 9), (1, "RELU", 1)), "the files have different operators: 1 and 2"),
            (result((0, "MEAN", 9)), "the files have different operators: 1 and 1"),
            (result(), "the emulator does not tell its layers apart"),
            (result(status="refused", reason="no GELU"), "refused: no GELU"),
        ],
    )
    def test_layers_that_do_not_fit_are_not_paired_and_the_reason_is_there(self, second, reason):
        found = compare("pico", (result((0, "CONV_2D", 100)), second), (None, None))
        assert (found.layers, found.reason) == ((), reason)

    def test_it_travels_as_json(self):
        both = result((0, "CONV_2D", 100)), result((0, "CONV_2D", 50))
        found = compare("pico", both, (trace([[1]], _0=[1]), trace([[2]], _0=[2])))
        assert msgspec.json.decode(msgspec.json.encode(found), type=Comparison) == found
