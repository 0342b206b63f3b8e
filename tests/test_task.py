import numpy as np
import pytest

from toolchain.errors import DataError
from toolchain.task import Task, are_probabilities, infer


def test_the_task_follows_from_outputs_and_labels():
    assert infer(np.zeros((4, 10)), np.arange(4)) is Task.CLASSIFICATION
    assert infer(np.zeros((4, 10)), np.arange(4.0)) is Task.CLASSIFICATION
    assert infer(np.zeros((4, 1)), np.array([0, 1, 1, 0])) is Task.BINARY
    assert infer(np.zeros((4, 1)), np.array([0, 5, 1, 0])) is Task.REGRESSION
    assert infer(np.zeros((4, 2, 3)), np.zeros((4, 6))) is Task.REGRESSION
    with pytest.raises(DataError, match=r"labels \[3\] of float64 do not fit outputs \[10\]"):
        infer(np.zeros((4, 10)), np.zeros((4, 3)))


def test_probabilities_are_told_from_logits():
    assert are_probabilities(np.array([[0.25, 0.75], [1.0, 0.0]]))
    assert not are_probabilities(np.array([[0.25, 0.25], [1.0, 0.0]]))
    assert not are_probabilities(np.array([[-0.5, 1.5]]))
    assert are_probabilities(np.array([[0.25], [0.9]]))
