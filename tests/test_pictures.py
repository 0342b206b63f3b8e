import base64
import io

import numpy as np
import pytest
from PIL import Image

from toolchain.pictures import LARGEST, as_uri, is_image


def opened(uri):
    head, _, body = uri.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body))))


def test_small_pictures_keep_their_pixels():
    grey = np.array([[[0], [128]], [[255], [7]]], np.uint8)
    assert opened(as_uri(grey, 0, 255)).tolist() == [[0, 128], [255, 7]]
    colour = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert opened(as_uri(colour, 0, 255)).tolist() == colour.tolist()


def test_any_range_becomes_black_to_white():
    assert opened(as_uri(np.array([[-2.0, 0.0], [2.0, 9.0]]), -2, 2)).tolist() == [[0, 127], [255, 255]]


def test_large_pictures_shrink():
    assert opened(as_uri(np.zeros((200, 100, 3)), 0, 1)).shape == (LARGEST, LARGEST // 2, 3)


@pytest.mark.parametrize(
    ("shape", "picture"), [((5, 8, 8), True), ((5, 8, 8, 1), True), ((5, 8, 8, 3), True), ((5, 8, 8, 7), False), ((5, 8), False)]
)
def test_what_is_a_picture(shape, picture):
    assert is_image(np.zeros(shape)) is picture
