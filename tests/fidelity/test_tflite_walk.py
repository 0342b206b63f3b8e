"""Files taken apart, without TensorFlow: two small ones of a converter, and some written operator by operator."""

import numpy as np
import pytest
from c_source.graphs import Net
from hypothesis import given, settings
from hypothesis import strategies as st

from toolchain.errors import ModelError
from toolchain.fidelity.layers import layer_errors
from toolchain.fidelity.matching import match
from toolchain.fidelity.sites import INPUT, on_grid
from toolchain.fidelity.tflite_walk import TfliteWalk
from toolchain.runners.litert import LiteRT

IMAGES = np.random.default_rng(0).uniform(0, 1, (6, 8, 8, 1)).astype(np.float32)


def pair(tiny_float, tiny_int8):
    reference, walk = TfliteWalk(tiny_float, [IMAGES]), TfliteWalk(tiny_int8, [IMAGES])
    return reference, walk, match(reference.sites, walk.sites, (reference.output, walk.output))


def test_sites_are_the_operators_in_order_and_end_at_the_output(tiny_int8):
    walk = TfliteWalk(tiny_int8, [IMAGES])
    assert [s.operator for s in walk.sites[:3]] == [INPUT, "CONV_2D", "DEPTHWISE_CONV_2D"]
    assert all(s.inputs == (i,) for i, s in enumerate(walk.sites[1:]))
    np.testing.assert_array_equal(walk.sites[walk.output].values, LiteRT(tiny_int8, kernels="builtin").predict([IMAGES]))
    assert [None if s.stored is None else s.stored.rows.shape for s in walk.sites[1:4]] == [(4, 9), (4, 9), (3, 4)]


def test_an_operator_alone_answers_as_within_the_file(tiny_int8, tiny_float):
    for path in (tiny_int8, tiny_float):
        walk = TfliteWalk(path, [IMAGES])
        for place, site in enumerate(walk.sites):
            if site.operator != INPUT:
                sources = walk.sources(place, range(len(walk.sites)))
                alone = walk.operate(place, sources, [walk.sites[i].values for i in sources])
                np.testing.assert_array_equal(alone.reshape(site.values.shape), site.values)


def test_the_parts_of_an_error_add_up_to_it(tiny_int8, tiny_float):
    reference, walk, matches = pair(tiny_float, tiny_int8)
    rows, notes = layer_errors(reference, walk, matches, {})
    assert notes == []
    assert len(rows) == len(walk.sites)
    place = 2
    exact = [reference.sites[matches[i].reference].values for i in walk.sites[place].inputs]
    rounded = [on_grid(walk.sites[i], x) for i, x in zip(walk.sites[place].inputs, exact, strict=True)]
    signal = reference.sites[matches[place].reference].values
    parts = (
        walk.real(place, (1,), exact) - signal,
        walk.operate(place, (1,), rounded) - walk.real(place, (1,), rounded),
        walk.real(place, (1,), rounded) - walk.real(place, (1,), exact),
    )
    np.testing.assert_allclose(sum(parts), walk.operate(place, (1,), rounded) - signal, atol=1e-6)
    for noise, found in zip(parts, (rows[place].own.weights_db, rows[place].own.output_db, rows[place].own.inputs_db), strict=True):
        assert found == pytest.approx(10 * np.log10((signal**2).sum() / (noise**2).sum()), abs=0.1)


def test_the_first_layer_has_no_error_but_its_own(tiny_int8, tiny_float):
    reference, walk, matches = pair(tiny_float, tiny_int8)
    rows = layer_errors(reference, walk, matches, {})[0]
    grid = walk.sites[0].grid
    noise = grid.nearest(IMAGES) - IMAGES
    assert rows[0].sqnr_db == pytest.approx(10 * np.log10((IMAGES**2).sum() / (noise**2).sum()), abs=1e-2)
    assert rows[1].before_db == pytest.approx(rows[0].level_db)


def test_a_file_is_exact_against_itself(tiny_float):
    walk = TfliteWalk(tiny_float, [IMAGES])
    rows, _ = layer_errors(walk, walk, match(walk.sites, walk.sites, (walk.output, walk.output)), {})
    assert {(row.sqnr_db, row.own.sqnr_db, row.reason) for row in rows} == {(None, None, None)}


@settings(derandomize=True, max_examples=25, deadline=None)
@given(st.lists(st.floats(0.01, 0.3), min_size=3, max_size=3), st.integers(0, 2**31))
def test_real_weights_are_the_stored_ones_times_their_scales(tmp_path_factory, scales, seed):
    rng = np.random.default_rng(seed)
    stored, bias = rng.integers(-127, 128, (3, 5)), rng.integers(-1000, 1000, 3)
    net = Net()
    x = net.input((1, 5), scale=0.05, zero=3)
    weights = net.constant(stored, np.int8, scale=scales)
    biases = net.constant(bias, scale=[0.05 * s for s in scales])
    net.operator("FULLY_CONNECTED", [x, weights, biases], net.output((1, 3), scale=0.5), "FullyConnected", version=4)
    walk = TfliteWalk(net.write(tmp_path_factory.mktemp("net") / "net.tflite"), [np.zeros((1, 5), np.float32)])
    inputs = rng.normal(size=(4, 5)).astype(np.float32)
    real = (stored * np.float64(np.float32(scales))[:, None]) @ inputs.T + (bias * np.float64(np.float32([0.05 * s for s in scales])))[
        :, None
    ]
    np.testing.assert_allclose(walk.real(1, (0,), [inputs]), real.T, rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(walk.sites[1].stored.rows, stored)


def test_an_input_that_is_not_shown_is_an_error(tiny_int8):
    walk = TfliteWalk(tiny_int8, [IMAGES])
    with pytest.raises(ModelError, match="none of the model's tensors"):
        walk.sources(2, {0})


def test_a_file_that_does_not_run_is_refused(tmp_path):
    net = Net()
    net.operator("HASHTABLE_LOOKUP", [net.input((1, 5), scale=1)], net.output((1, 5), scale=1))
    with pytest.raises(ModelError, match="LiteRT cannot run it"):
        TfliteWalk(net.write(tmp_path / "odd.tflite"), [np.zeros((1, 5), np.float32)])
