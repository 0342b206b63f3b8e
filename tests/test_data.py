import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.data import DataSettings, balanced_sample, scaled
from toolchain.errors import DataError


def test_scaling_is_that_of_keras_rescaling():
    x = np.array([[0, 51, 255]], np.uint8)
    assert scaled(x, DataSettings(scale="1/255"))[0].tolist() == pytest.approx([0.0, 0.2, 1.0])
    assert scaled(x, DataSettings(scale=0.5, offset=-1.0)).tolist() == [[-1.0, 24.5, 126.5]]


def test_token_ids_stay_integers():
    ids = np.array([[1, 2]], np.int32)
    assert scaled(ids, DataSettings()).dtype == np.int32


@pytest.mark.parametrize("scale", ["1/0", "one", "1/2/3"])
def test_a_scale_that_is_no_number_is_refused(scale):
    with pytest.raises(ValueError, match='write 0.0078 or "1/255"'):
        DataSettings(scale=scale)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(1, 60), st.integers(0, 5))
def test_a_balanced_sample_is_seeded_distinct_and_even(labels, count, seed):
    y = np.array(labels)
    chosen = balanced_sample(len(y), y, count, seed)
    assert len(set(chosen.tolist())) == len(chosen) == min(count, len(y))
    assert (np.diff(chosen) > 0).all()
    assert np.array_equal(chosen, balanced_sample(len(y), y, count, seed))
    drawn = {label: int((y[chosen] == label).sum()) for label in set(labels)}
    left = {label: labels.count(label) - drawn[label] for label in drawn}
    assert max(drawn.values()) - min(v for k, v in drawn.items() if left[k] or v == max(drawn.values())) <= 1


def test_examples_and_labels_must_fit_the_model(dataset):
    dataset.check_inputs([(8, 8, 1)])
    dataset.check_labels(3)
    with pytest.raises(DataError, match=r"examples have the shape \[8, 8, 1\], the model takes \[28, 28, 1\]"):
        dataset.check_inputs([(28, 28, 1)])
    with pytest.raises(DataError, match="labels run from 0 to 2, the model has 2 outputs"):
        dataset.check_labels(2)
    with pytest.raises(DataError, match="2 inputs"):
        dataset.check_inputs([(8, 8, 1), (3,)])
