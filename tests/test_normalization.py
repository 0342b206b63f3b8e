import numpy as np
import pytest

from toolchain.normalization import recalibrate, settling

pytestmark = pytest.mark.tensorflow


def test_the_averages_become_those_of_the_inputs_and_nothing_else_changes(keras):
    layers = keras.layers
    norm, frozen = layers.BatchNormalization(), layers.BatchNormalization()
    model = keras.Sequential([keras.Input((4,)), norm, layers.Dropout(0.5, seed=1), frozen, layers.Dense(2), layers.BatchNormalization()])
    frozen.trainable = False
    before = [np.array(v) for v in model.variables]
    x = np.random.default_rng(0).normal(3, 2, (80, 4)).astype(np.float32)
    recalibrate(model, x, batch_size=32)  # batches of 32, 32 and 16
    parts = x[:32], x[32:64], x[64:]
    assert np.allclose(np.asarray(norm.moving_mean), x.mean(0), atol=1e-5)
    assert np.allclose(np.asarray(norm.moving_variance), sum(part.var(0) * len(part) for part in parts) / 80, rtol=1e-4)
    assert np.allclose(np.asarray(frozen.moving_mean), 0, atol=1e-2), "what arrives at the second one is normalized, without dropout"
    assert np.allclose(np.asarray(frozen.moving_variance), 1, atol=1e-2)
    assert not frozen.trainable
    assert norm.momentum == pytest.approx(0.99)
    changed = [index for index, (a, b) in enumerate(zip(before, model.variables, strict=True)) if not np.array_equal(a, np.array(b))]
    averages = [index for index, v in enumerate(model.variables) if "moving" in getattr(v, "path", v.name)]
    assert changed == averages


def test_the_momentum_is_lowered_for_a_short_run_and_put_back_after_an_error(keras):
    model = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization()])
    norm = model.layers[-1]
    with pytest.raises(RuntimeError), settling(model, 100):
        assert norm.momentum == pytest.approx(0.9)
        raise RuntimeError
    assert norm.momentum == pytest.approx(0.99)
