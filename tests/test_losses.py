import math

import numpy as np
import pytest

from toolchain.losses import distillation_loss, label_loss
from toolchain.task import Task

pytestmark = pytest.mark.tensorflow

LOGITS = np.array([[0.0, math.log(3.0)]], np.float32)  # probabilities 1/4 and 3/4


@pytest.mark.parametrize("probabilities", [False, True])
def test_cross_entropy_of_logits_and_of_probabilities(probabilities):
    outputs = np.array([[0.25, 0.75]], np.float32) if probabilities else LOGITS
    assert np.asarray(label_loss(Task.CLASSIFICATION, probabilities)(np.array([1.0]), outputs)) == pytest.approx(-math.log(0.75), rel=1e-5)


def test_distillation_by_hand():
    # T = 2: the pupil's sqrt-odds are 1 : sqrt(3), the teacher's, at log 9, are 1 : 3
    teacher = [0.0, math.log(9.0)]
    rows = np.array([[1.0, *teacher]], np.float32)
    pupil = 1 / (1 + math.sqrt(3))
    soft = 4 * -(0.25 * math.log(pupil) + 0.75 * math.log(1 - pupil))
    found = np.asarray(distillation_loss(Task.CLASSIFICATION, False, temperature=2.0, alpha=0.3)(rows, LOGITS))
    assert found == pytest.approx(0.3 * soft + 0.7 * -math.log(0.75), rel=1e-5)


def test_values_are_taught_by_their_distance():
    # the pupil says (3, 3): mean squares (4 + 4) / 2 from the teacher's (5, 5), (4 + 1) / 2 from the labels (1, 2)
    rows, outputs = np.array([[1.0, 2.0, 5.0, 5.0]], np.float32), np.array([[3.0, 3.0]], np.float32)
    assert np.asarray(distillation_loss(Task.REGRESSION, False, 4.0, 0.25)(rows, outputs)) == pytest.approx(0.25 * 4 + 0.75 * 2.5)


def test_two_classes_in_one_output_are_taught_by_their_probability():
    rows, outputs = np.array([[1.0, 0.5]], np.float32), np.array([[0.0]], np.float32)  # a logit of 0 is a probability of 1/2
    assert np.asarray(distillation_loss(Task.BINARY, False, 4.0, 0.5)(rows, outputs)) == pytest.approx(math.log(2))
