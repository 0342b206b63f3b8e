import numpy as np

from toolchain.fidelity.anomalies import anomalies
from toolchain.fidelity.sites import INPUT, Site
from toolchain.quantization.grid import Affine

VALUES = np.random.default_rng(0).uniform(0.1, 1, (4, 3, 3, 6)).astype(np.float32)


def site(values, operator="CONV_2D", grid=None, ceiling=None):
    return Site("s", operator, (0,), values, grid, None, ceiling)


def found(*sites, first=frozenset()):
    return [(a.where, a.kind, a.channels, a.of) for a in anomalies(list(sites), {0: "layer"}, first)]


def test_dead_constant_and_broken_channels():
    values = VALUES.copy()
    values[..., 1], values[..., 3], values[0, 0, 0, 5] = 0, 0.5, np.nan
    expected = [("layer", "not finite", (5,), 6), ("layer", "dead", (1,), 6), ("layer", "constant", (3,), 6)]
    assert found(site(values)) == expected
    assert found(site(np.moveaxis(values, -1, 1)), first=frozenset([0])) == expected


def test_channels_at_the_end_of_the_grid_or_of_the_activation():
    grid = Affine.of_range(-1, 1)
    values = VALUES.copy()
    values[..., 0], values[..., 2] = grid.limits[1], grid.limits[0]
    assert found(site(values, grid=grid)) == [("layer", "saturated", (0, 2), 6)]
    values = VALUES.copy()
    values[..., 4] = 6
    assert found(site(values, ceiling=6.0)) == [("layer", "saturated", (4,), 6)]
    values[..., 4] = 1
    assert found(site(values, "LOGISTIC")) == [("layer", "saturated", (4,), 6)]


def test_a_rectified_channel_at_zero_is_dead_not_saturated():
    values = VALUES.copy()
    values[..., 2] = 0
    assert found(site(values, grid=Affine.of_range(0, 1))) == [("layer", "dead", (2,), 6)]


def test_healthy_channels_and_inputs_are_not_listed():
    assert found(site(VALUES, grid=Affine.of_range(0, 1))) == []
    assert found(site(np.zeros((4, 3)), INPUT)) == []
