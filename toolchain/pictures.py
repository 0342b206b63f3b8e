"""Examples of a data set as small pictures for the report page."""

from __future__ import annotations

import base64
import io
from typing import Final

import numpy as np

from toolchain.data import Array

LARGEST: Final = 64
"""Pixels of a picture's longer side; larger ones are scaled down."""


def is_image(x: Array) -> bool:
    """Whether examples `[N, ...]` are pictures: `[N, H, W]`, or `[N, H, W, C]` with one or three channels."""
    return x.ndim == 3 or (x.ndim == 4 and x.shape[3] in (1, 3))


def as_uri(example: Array, low: float, high: float) -> str:
    """A picture `[H, W]` or `[H, W, C]` as a data: URI of PNG; values from `low` to `high` become black to white."""
    from PIL import Image

    spread = max(high - low, 1e-12)
    pixels = np.clip((np.asarray(example, np.float64) - low) / spread * 255, 0, 255).astype(np.uint8)
    picture = Image.fromarray(pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels)
    picture.thumbnail((LARGEST, LARGEST))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
