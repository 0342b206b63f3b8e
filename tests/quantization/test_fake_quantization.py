import msgspec
import numpy as np
import pytest
from conftest import shapes, tiny_model
from quantizable import kernels

from toolchain import keras_models
from toolchain.errors import StageError
from toolchain.exports.tflite import Tflite
from toolchain.quantization.fake_quantization import Rounded, calibrate, fake_quantized, placed, return_weights
from toolchain.quantization.grid import nearest_weights
from toolchain.runners import open_runner

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def tf_keras():
    import tf_keras

    tf_keras.utils.set_random_seed(0)
    return tf_keras


def test_values_are_rounded_where_an_operator_ends(tf_keras):
    where, notes = placed(tiny_model(tf_keras))
    assert where == {
        "conv": Rounded((3,)),
        "norm": Rounded(),
        "relu": Rounded(output=True),
        "depthwise": Rounded((2, 3), output=True),
        "point": Rounded((3,), output=True),
        "answer": Rounded((1,), before=True),
    }
    assert notes == []


def test_a_value_that_two_layers_read_is_rounded_before_the_relu(tf_keras):
    given = tf_keras.Input((4, 4, 2))
    x = tf_keras.layers.Conv2D(2, 1, name="conv")(given)
    y = tf_keras.layers.Activation("relu", name="relu")(x)
    total = tf_keras.layers.Add(name="add")([x, y])
    last = tf_keras.layers.ReLU(name="last")(total)
    where, _ = placed(tf_keras.Model(given, tf_keras.layers.LSTM(2, name="lstm")(tf_keras.layers.Reshape((16, 2))(last))))
    assert where["conv"].output
    assert not where["add"].output
    assert where["last"].output


def test_what_stays_in_float_is_named(tf_keras):
    given = tf_keras.Input((6, 2))
    x = tf_keras.layers.Dense(3, name="dense")(tf_keras.layers.LSTM(4, name="lstm")(given))
    model = tf_keras.Model(given, tf_keras.Sequential([tf_keras.Input((3,)), tf_keras.layers.Dense(2)], name="inner")(x))
    wrapped, notes = fake_quantized(model)
    assert [(note.what, note.reason.partition(":")[0]) for note in notes] == [("lstm", "LSTM"), ("inner", "Sequential")]
    before = model.get_weights()
    return_weights(wrapped, model)
    assert all(np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))
    with pytest.raises(StageError, match="no layer whose weights can be rounded: InputLayer, LSTM"):
        fake_quantized(tf_keras.Model(given, tf_keras.layers.LSTM(4)(given)))


def test_a_frozen_layer_stays_in_float_and_is_named(tf_keras):
    model = tiny_model(tf_keras)
    model.get_layer("point").trainable = False
    wrapped, notes = fake_quantized(model)
    assert [(note.what, note.reason.partition(":")[0]) for note in notes] == [("point", "frozen")]
    assert not any("point" in weight.name for weight in wrapped.trainable_weights)


def test_weights_have_the_converters_grid_and_gradients_pass(tf_keras):
    """Depthwise, dense and plain kernels: one scale for each output channel, as in the rows of `kernels`."""
    import tensorflow as tf

    model = tiny_model(tf_keras)
    wrapped, _ = fake_quantized(model)
    x = (shapes(8)[0] / 255).astype(np.float32)
    calibrate(wrapped, x)
    seen = {}
    for kernel in kernels(model):
        layer = wrapped.get_layer(kernel.layer.name)
        variable, quantizer, state = layer._weight_vars[0]
        with tf.GradientTape() as tape:
            rounded = quantizer(variable, True, state)
        assert np.all(tape.gradient(rounded, variable).numpy() == 1)
        copy = tf_keras.models.clone_model(model).get_layer(kernel.layer.name)
        copy.set_weights([rounded.numpy(), *kernel.layer.get_weights()[1:]])
        seen[kernel.layer.name] = np.abs(msgspec.structs.replace(kernel, layer=copy).rows - nearest_weights(kernel.rows)).max()
    assert set(seen) == {"conv", "depthwise", "point", "answer"}
    assert max(seen.values()) < 1e-6


def test_calibration_takes_the_range_of_the_first_batch_and_leaves_averages_alone(tf_keras):
    given = tf_keras.Input((2,))
    model = tf_keras.Model(given, tf_keras.layers.BatchNormalization()(tf_keras.layers.Dense(1, name="dense", use_bias=False)(given)))
    model.get_layer("dense").set_weights([np.array([[1.0], [0.0]], np.float32)])
    wrapped, _ = fake_quantized(model)
    before = [weight.numpy() for weight in wrapped.weights if "moving_" in weight.name]
    calibrate(wrapped, np.array([[3.0, -1.0], [5.0, -2.0]], np.float32))
    ranges = [float(weight.numpy()) for weight in wrapped.weights if weight.name.endswith(("_min:0", "_max:0"))]
    assert sorted(ranges) == [-2.0, 5.0]
    assert all(
        np.array_equal(old, weight.numpy()) for old, weight in zip(before, [w for w in wrapped.weights if "moving_" in w.name], strict=True)
    )


def test_the_training_sees_what_the_file_computes(tf_keras, context, tmp_path):
    """The int8 file's outputs are much nearer to the fake-quantized model's than to the float model's."""
    layers = tf_keras.layers
    net = [
        layers.Conv2D(8, 3, name="conv"),
        layers.ReLU(),
        layers.DepthwiseConv2D(3, activation="relu6"),
        layers.Flatten(),
        layers.Dense(4),
    ]
    model = tf_keras.Sequential([tf_keras.Input((8, 8, 1)), *net])
    for kernel in kernels(model):
        kernel.assign(kernel.rows * 3)
    kernels_of = [kernel.rows for kernel in kernels(model)]
    kernels_of[0][:, 0] *= 40  # coarse grids, so that rounding shows
    next(kernels(model)).assign(kernels_of[0])
    keras_models.save(model, tmp_path / "model.keras")
    Tflite(scheme="static_w8a8").run(tmp_path / "model.keras", tmp_path / "model.tflite", context)
    wrapped, _ = fake_quantized(model)
    calibrate(wrapped, context.data.inputs("train", context.data.calibration(context.seed)), batch=1000)
    x = context.data.inputs("validation")
    file = open_runner(tmp_path / "model.tflite").predict([x])
    fake, exact = wrapped(x, training=False).numpy(), model(x).numpy()
    assert np.abs(fake - file).mean() < 0.3 * np.abs(exact - file).mean()
