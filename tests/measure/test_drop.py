import numpy as np
import pytest

from toolchain.measure.drop import drop


def test_points_of_top1_that_were_lost():
    expected = np.float32([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]])
    found = np.float32([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.4, 0.6]])
    verdict = drop(found, expected, np.array([0, 0, 1, 0]))
    assert (verdict.metric, verdict.original, verdict.value, verdict.lost) == ("top1", 0.75, 0.5, 0.25)
    assert drop(expected, found, np.array([0, 0, 1, 0])).lost == -0.25  # what was gained is a negative loss


def test_a_mean_absolute_error_that_doubles_is_a_loss_of_one():
    labels = np.float32([[1.0], [2.0]])
    verdict = drop(labels + 0.2, labels + 0.1, labels)
    assert verdict.metric == "mean_absolute_error"
    assert verdict.lost == pytest.approx(1.0, rel=1e-5)


def test_without_labels_the_answers_of_the_original_are_the_truth():
    expected = np.float32([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]])
    found = np.float32([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.4, 0.6]])
    assert drop(found, expected, None).metric == "disagreement"
    assert drop(found, expected, None).lost == 0.25


def test_without_labels_and_classes_the_relative_error_counts():
    expected = np.float32([[3.0, 4.0], [0.0, 5.0]])
    verdict = drop(expected + 0.5, expected, None)
    assert verdict.metric == "relative_error"
    assert verdict.lost == pytest.approx(0.5 / np.sqrt(50 / 4), rel=1e-5)
