import numpy as np
import pytest
from conftest import tiny_model

from toolchain.errors import ModelError
from toolchain.keras_bridge import Crossing

pytestmark = pytest.mark.tensorflow


def models():
    import keras

    layers = keras.layers
    yield tiny_model(keras)
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", activation="hard_sigmoid")(image)
    y = layers.SeparableConv2D(4, 3, padding="same", activation="silu")(x)
    x = layers.LeakyReLU(negative_slope=0.1)(x + y * 0.5)
    x = layers.Conv2DTranspose(3, 2, 2)(x)
    x = layers.GlobalAveragePooling2D()(layers.Concatenate()([x, layers.UpSampling2D()(y)]))
    yield keras.Model(image, layers.Dense(2)(x), name="branches")
    steps = keras.Input((6, 4))
    x = layers.LSTM(5, return_sequences=True)(steps)
    x = layers.Bidirectional(layers.GRU(3, return_sequences=True))(x)
    x = layers.MultiHeadAttention(2, 3)(x, x)
    yield keras.Model(steps, layers.Dense(2)(layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))), name="sequence")
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, activation="tanh")], name="inner")
    first, second = keras.Input((4,)), keras.Input((4,))
    yield keras.Model([first, second], layers.Dense(2)(layers.Add()([inner(first), inner(second)])), name="shared")


@pytest.mark.parametrize("index", range(4))
def test_the_copy_computes_the_same_and_weights_come_back(index):
    import keras

    keras.utils.set_random_seed(index)
    model = list(models())[index]
    crossing = Crossing(model)  # compares the outputs itself
    assert type(crossing.model).__module__.startswith("tf_keras.")
    before = [w.copy() for w in model.get_weights()]
    crossing.return_weights(crossing.model)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_changed_weights_reach_the_original():
    import keras

    model = tiny_model(keras)
    crossing = Crossing(model)
    layer = crossing.model.get_layer("answer")
    layer.set_weights([w * 0 + 7 for w in layer.get_weights()])
    crossing.return_weights(crossing.model)
    assert (model.get_layer("answer").get_weights()[0] == 7).all()


def test_a_difference_is_refused(monkeypatch):
    import keras

    from toolchain import keras_bridge

    real = keras_bridge.custom_activations
    monkeypatch.setattr(keras_bridge, "custom_activations", lambda: {k: v for k, v in real().items() if k != "hard_sigmoid"})
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, activation="hard_sigmoid")])
    with pytest.raises(ModelError, match="its tf_keras copy differs by .* of the output's scale"):
        Crossing(model)


def test_a_layer_without_counterpart_is_named():
    import keras

    model = keras.Sequential([keras.Input((4, 4)), keras.layers.RMSNormalization(name="rms")])
    with pytest.raises(ModelError, match=r"the layer 'rms' \(RMSNormalization\) has no counterpart in tf_keras"):
        Crossing(model)
