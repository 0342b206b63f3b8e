import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.measure.answers import KEPT, answers, rights


def one_hot(classes, count=3):
    return np.eye(count, dtype=np.float32)[classes]


def test_counts_by_hand():
    labels = np.array([0, 0, 1, 1, 2, 2])
    original = one_hot([0, 1, 1, 1, 2, 0])  # right: 0, 2, 3, 4
    file = one_hot([0, 0, 2, 1, 2, 1])  # right: 0, 1, 3, 4
    found = answers(file, labels, original)
    assert found.support == (2, 2, 2)
    assert found.hits == (2, 1, 1)
    assert found.confusion == ((2, 0, 0), (0, 1, 1), (0, 1, 1))
    assert (found.lost, found.gained, found.differing) == (1, 1, 3)
    assert [(c.index, c.label, c.original, c.answer) for c in found.changed] == [(2, 1, 1, 2), (5, 2, 0, 1), (1, 0, 1, 0)]
    assert base64.b64decode(found.right) == bytes([0b11011000])
    assert rights(found).tolist() == [True, True, False, True, True, False]


def test_one_output_answers_by_its_side_of_the_middle():
    found = answers(np.array([[0.2], [0.7], [0.9]]), np.array([0, 0, 1]), np.array([[0.2], [0.3], [0.4]]))
    assert found.confusion == ((1, 1), (0, 1))
    assert (found.lost, found.gained) == (1, 1)


def test_values_are_no_classes():
    assert answers(np.zeros((4, 2)), np.zeros((4, 2)), np.zeros((4, 2))) is None


def test_many_classes_keep_their_counts_without_the_matrix():
    labels = np.arange(101)
    found = answers(one_hot(labels, 101), labels, one_hot(labels, 101))
    assert found.confusion == ()
    assert found.hits == (1,) * 101


def test_lost_examples_are_kept_first():
    labels = np.zeros(80, int)
    original = one_hot(np.r_[np.ones(40, int), np.zeros(40, int)])
    found = answers(one_hot(np.r_[np.zeros(40, int), np.ones(40, int)]), labels, original)
    assert len(found.changed) == KEPT
    assert all(one.index >= 40 for one in found.changed)


@given(st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=1, max_size=50))
def test_counts_agree_with_each_other(rows):
    label, before, after = (np.array(column) for column in zip(*rows, strict=True))
    found = answers(one_hot(after, 4), label, one_hot(before, 4))
    assert sum(found.support) == len(rows)
    assert sum(found.hits) == rights(found).sum() == (after == label).sum()
    assert found.gained - found.lost == sum(found.hits) - (before == label).sum()
    assert np.array(found.confusion).sum() == len(rows)
    assert sum(found.hits) / len(rows) == pytest.approx(rights(found).mean())
