import numpy as np
import pytest

from toolchain.errors import ModelError
from toolchain.measure.fidelity import agreement, compare, require_close


def test_errors_and_agreement_by_hand():
    found, expected = np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([[0.2, 0.8], [0.4, 0.6]])
    result = compare("f", found, expected)
    assert result.max_error == pytest.approx(0.4)
    assert result.mean_error == pytest.approx(0.25)
    assert (result.agreement, result.examples) == (0.5, 2)


def test_single_outputs_agree_by_side_and_other_shapes_not_at_all():
    assert agreement(np.array([[0.4], [0.6]]), np.array([[0.3], [0.4]])) == 0.5
    assert agreement(np.array([[4.0]]), np.array([[3.0]])) is None
    assert agreement(np.zeros((2, 3, 4)), np.zeros((2, 3, 4))) is None


def test_the_largest_of_values_that_are_no_probabilities_is_no_answer():
    values = np.array([[0.5, 3.0], [2.0, 1.0]])
    assert compare("f", values, values).agreement is None
    assert compare("f", np.array([[0.5, 0.6]]), np.array([[0.4, 0.6]])).agreement == 1.0


def test_nonsense_is_an_error_not_a_result():
    with pytest.raises(ModelError, match="m.tflite: outputs are NaN or infinite"):
        compare("m.tflite", np.array([[np.nan]]), np.array([[1.0]]))
    with pytest.raises(ModelError, match=r"shape \[1, 2\] instead of \[1, 3\]"):
        compare("m.tflite", np.zeros((1, 2)), np.zeros((1, 3)))
    expected = np.array([[100.0, 0.0]])
    require_close(compare("m", expected + 0.09, expected), expected, "m")
    with pytest.raises(ModelError, match="the converter broke it"):
        require_close(compare("m", expected + 0.11, expected), expected, "m")
