import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.augmentation import Changes, draw
from toolchain.errors import StageError

IMAGE = np.arange(12).reshape(1, 3, 4, 1)


def changed(mirrored: bool, down: int, right: int) -> list[list[int]]:
    changes = Changes(np.array([mirrored]), np.array([down]), np.array([right]))
    return changes.apply(IMAGE, np.array([0]))[0, :, :, 0].tolist()


def test_moved_and_mirrored_by_hand():
    assert changed(False, 0, 0) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert changed(True, 0, 0) == [[3, 2, 1, 0], [7, 6, 5, 4], [11, 10, 9, 8]]
    assert changed(False, 1, 0) == [[4, 5, 6, 7], [0, 1, 2, 3], [4, 5, 6, 7]]  # the border reflects
    assert changed(False, 0, -1) == [[1, 2, 3, 2], [5, 6, 7, 6], [9, 10, 11, 10]]


@given(st.integers(0, 3), st.integers(0, 5), st.integers(0, 5))
def test_a_copy_can_be_made_again_in_any_batch(shift, seed, copy):
    x = np.random.default_rng(0).random((20, 5, 6, 2))
    changes = draw(x.shape, flip=True, shift=shift, seed=seed, copy=copy)
    whole = changes.apply(x, np.arange(20))
    some = np.array([3, 7, 19])
    assert np.array_equal(changes.apply(x[some], some), whole[some])
    again = draw(x.shape, flip=True, shift=shift, seed=seed, copy=copy)
    assert np.array_equal(again.apply(x, np.arange(20)), whole)
    assert np.isin(whole, x).all()


def test_copies_differ_and_about_half_are_mirrored():
    first, second = (draw((1000, 8, 8, 1), flip=True, shift=2, seed=0, copy=copy) for copy in (0, 1))
    assert not np.array_equal(first.down, second.down)
    assert 400 < first.mirrored.sum() < 600
    assert set(first.right.tolist()) == {-2, -1, 0, 1, 2}
    assert not draw((1000, 8, 8, 1), flip=False, shift=1, seed=0, copy=0).mirrored.any()


def test_what_is_no_image_is_refused():
    assert draw((10, 4), flip=False, shift=0, seed=0, copy=0) is None
    with pytest.raises(StageError, match=r"flip and shift are for images; the examples have the shape \[4\]"):
        draw((10, 4), flip=True, shift=0, seed=0, copy=0)
    with pytest.raises(StageError, match="shift = 8: the images are only 8x8 pixels"):
        draw((10, 8, 8, 1), flip=False, shift=8, seed=0, copy=0)
