import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from toolchain.fidelity.matching import Match, match, unmatched
from toolchain.fidelity.sites import INPUT, Site

RNG = np.random.default_rng(0)


def site(name, values, operator="CONV_2D", inputs=(0,), grid=None):
    return Site(name, operator, () if operator == INPUT else inputs, np.asarray(values, np.float32), grid, None, None)


def values(*shape):
    return RNG.normal(size=(4, *shape)).astype(np.float32)


X, A, B, Y = values(6, 5, 3), values(6, 5, 3), values(6, 5, 3), values(7)
REFERENCE = [site("x", X, INPUT), site("a", A), site("b", B), site("y", Y)]


def noisy(v):
    return v + 0.1 * RNG.normal(size=v.shape).astype(np.float32)


def places(found):
    return {place: m.reference for place, m in found.items()}


def test_names_decide_even_where_values_do_not_correlate():
    found = [site("x", X, INPUT), site("b", -A), site("a", A), site("z", Y)]
    assert places(match(REFERENCE, found, (3, 3))) == {0: 0, 1: 2, 2: 1, 3: 3}


def test_other_names_are_matched_by_values_whatever_their_order():
    found = [site("p", X, INPUT), site("q", noisy(B)), site("r", values(6, 5, 3), "MUL"), site("s", noisy(A)), site("t", noisy(Y))]
    matched = match(REFERENCE, found, (3, 4))
    assert places(matched) == {0: 0, 1: 2, 3: 1, 4: 3}
    assert unmatched(found, set(matched)) == [2]


def test_a_list_of_the_same_operators_is_matched_by_place():
    found = [site("p", X, INPUT), site("q", -A), site("r", values(6, 5, 3)), site("s", Y)]
    assert places(match(REFERENCE, found, (3, 3))) == {0: 0, 1: 1, 2: 2, 3: 3}


def test_channels_first_and_axes_of_one():
    moved = np.moveaxis(noisy(A), -1, 1)
    found = [site("p", X, INPUT), site("q", moved, "Conv"), site("t", noisy(Y)[:, None, None], "Mean")]
    matched = match(REFERENCE, found, (3, 2))
    assert matched[1] == Match(1, channels_first=True)
    assert matched[2] == Match(3)
    np.testing.assert_array_equal(matched[1].from_reference(A, moved.shape), np.moveaxis(A, -1, 1))


def test_what_repeats_its_input_has_its_reference():
    found = [
        site("p", X, INPUT),
        site("q", X, "QUANTIZE"),
        site("a", A),
        site("f", A.reshape(4, -1), "RESHAPE", (2,)),
        site("t", Y, "MEAN"),
    ]
    assert places(match(REFERENCE, found, (3, 4))) == {0: 0, 1: 0, 2: 1, 3: 1, 4: 3}


def test_stored_values_come_before_those_in_between():
    from toolchain.quantization.grid import Affine

    found = [site("p", X, INPUT), site("q", A, "Conv"), site("r", noisy(A), "Relu", (1,), Affine(0.1, 0)), site("t", Y, "Gemm", (2,))]
    assert places(match(REFERENCE, found, (3, 3))) == {0: 0, 2: 1, 3: 3}


def test_a_tensor_that_is_nowhere_in_the_model_stays_alone():
    found = [site("p", X, INPUT), site("q", values(6, 5, 3), "MUL"), site("t", Y)]
    matched = match(REFERENCE, found, (3, 2))
    assert 1 not in matched
    assert unmatched(REFERENCE, {m.reference for m in matched.values()}) == [1, 2]


@settings(derandomize=True)
@given(st.permutations(range(5)))
def test_shuffled_tensors_find_their_places(order):
    tensors = [np.random.default_rng(i).normal(size=(4, 3, 3, 2)) for i in range(5)]
    reference = [site("x", X, INPUT), *(site(f"r{i}", t) for i, t in enumerate(tensors)), site("y", Y)]
    found = [site("p", X, INPUT), *(site(f"f{i}", tensors[i], "Conv") for i in order), site("t", Y, "Gemm")]
    assert places(match(reference, found, (6, 6))) == {0: 0, **{k + 1: i + 1 for k, i in enumerate(order)}, 6: 6}
