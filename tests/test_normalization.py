import numpy as np
import pytest

from toolchain.normalization import recalibrate, settling

pytestmark = pytest.mark.tensorflow


def test_the_averages_become_those_of_the_inputs_and_nothing_else_changes(keras):
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dropout(0.5, seed=1),
            layers.BatchNormalization(name="norm"),
            layers.Dense(2),
            layers.BatchNormalization(),
        ]
    )
    first = next(layer for layer in model.layers if "Dropout" in type(layer).__name__)
    first.rate = 0.0
    before = model.get_weights()
    x = np.random.default_rng(0).normal(3, 2, (96, 4)).astype(np.float32)
    recalibrate(model, x, batch_size=32)
    norm = model.get_layer("norm")
    batches = x.reshape(3, 32, 4)
    assert np.allclose(np.asarray(norm.moving_mean), x.mean(0), atol=1e-5)
    assert np.allclose(np.asarray(norm.moving_variance), batches.var(1).mean(0), rtol=0.05)  # the fused kernel divides by n - 1
    assert norm.momentum == pytest.approx(0.99)
    changed = [index for index, (a, b) in enumerate(zip(before, model.get_weights(), strict=True)) if not np.array_equal(a, b)]
    averages = [index for index, weight in enumerate(model.weights) if "moving" in getattr(weight, "path", weight.name)]
    assert changed == averages


def test_the_momentum_is_lowered_for_a_short_run_and_put_back_after_an_error(keras):
    model = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization()])
    norm = model.layers[-1]
    with pytest.raises(RuntimeError), settling(model, 100):
        assert norm.momentum == pytest.approx(0.9)
        raise RuntimeError
    assert norm.momentum == pytest.approx(0.99)
