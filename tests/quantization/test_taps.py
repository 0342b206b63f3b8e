from __future__ import annotations

import numpy as np
import pytest
from conftest import tiny_model

from toolchain.quantization.taps import tap

pytestmark = pytest.mark.tensorflow


def test_taps_are_the_layers_outputs(keras):
    model = tiny_model(keras)
    x = np.random.default_rng(0).normal(size=(5, 8, 8, 1)).astype(np.float32)
    relu, answer = tap(model, [model.get_layer("relu").output, model.get_layer("answer").output], x, batch=2)
    assert relu.shape == (5, 8, 8, 4)
    assert relu.min() == 0.0
    assert answer == pytest.approx(np.asarray(model(x)), abs=1e-6)
    assert tap(model, [], x) == []
