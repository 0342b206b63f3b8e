import numpy as np
import pytest

from toolchain.measure.accuracy import auc, quality, score, wilson


def test_top1_with_wilson_interval_by_hand():
    outputs = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    found = score(outputs, np.array([0, 1, 1, 1]))
    assert (found.metric, found.value, found.examples) == ("top1", 0.75, 4)
    # centre (0.75 + z2/8) / (1 + z2/4), half width z * sqrt(.1875/4 + z2/64) / (1 + z2/4), z2 = 3.8415
    assert found.interval == pytest.approx((0.30064, 0.95441), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.27754), abs=1e-4)


def test_top5_needs_more_than_five_classes():
    outputs = np.tile(np.arange(8.0), (2, 1))
    assert score(outputs, np.array([3, 2])).others == {"top5": 0.5}


def test_auc_counts_ordered_pairs_and_ties_half():
    assert auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1])) == 0.75
    assert auc(np.array([0.5, 0.5]), np.array([0, 1])) == 0.5
    assert auc(np.array([0.5, 0.7]), np.array([1, 1])) == 0.5
    found = score(np.array([[0.1], [0.4], [0.35], [0.8]]), np.array([0, 0, 1, 1]))
    assert (found.metric, found.value, found.others) == ("auc", 0.75, {"accuracy": 0.75})
    assert found.interval[0] < 0.75 < found.interval[1]


def test_regression_reports_mean_absolute_error_and_less_is_better():
    found = score(np.array([[1.0], [2.0], [6.0]]), np.array([1.5, 2.0, 4.0]))
    assert found.metric == "mean_absolute_error"
    assert found.value == pytest.approx(2.5 / 3)
    assert found.others["root_mean_squared_error"] == pytest.approx(np.sqrt((0.25 + 4) / 3))
    assert found.interval[0] < found.value < found.interval[1]
    assert score(np.array([[1.0]]), np.array([1.5])).interval is None, "one example tells nothing about others"
    assert quality(np.array([[1.0], [2.0]]), np.array([1.5, 2.5])) == pytest.approx(-0.5)
