"""Whole networks, as this project's own export writes them, in C: every operator answers as LiteRT's reference kernels."""

import pytest
from c_source.graphs import different
from quantizable import application, lenet

from toolchain.c_source.package import Package
from toolchain.c_source.program import compile_file
from toolchain.errors import ModelError
from toolchain.exports.tflite import Tflite
from toolchain.stage import Context
from toolchain.worker import silent

pytestmark = [pytest.mark.tensorflow, pytest.mark.prove, pytest.mark.usefixtures("compiled_once")]

SIZE = 32


def mixture(keras):
    """Separable and dilated convolutions, strides that do not divide, GELU, hard swish, leaky ReLU, and a gate."""
    layers = keras.layers
    image = keras.Input((31, 29, 3))
    x = layers.SeparableConv2D(16, 3, padding="same", activation="gelu", depth_multiplier=2)(image)
    x = layers.Activation("hard_swish")(layers.Conv2D(24, 3, dilation_rate=2, padding="same")(x))
    x = layers.Concatenate()([x, layers.LeakyReLU()(layers.Conv2D(24, 1)(x))])
    x = layers.ReLU(6.0)(layers.Conv2D(24, 3, strides=2)(x))
    gate = layers.Dense(24, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.ZeroPadding2D()(layers.Multiply()([x, gate]))
    x = layers.AveragePooling2D(3, padding="same")(x)
    x = layers.Subtract()([layers.Conv2D(8, 1)(x), layers.Conv2D(8, 1)(x)])
    return keras.Model(image, layers.Dense(5, activation="softmax")(layers.GlobalMaxPooling2D()(x)))


def u_net(keras, *, transposed=False):
    """Two scales down and up again, with bilinear resizing or transposed convolutions."""
    layers = keras.layers

    def up(x, filters):
        if transposed:
            return layers.Conv2DTranspose(filters, 3, strides=2, padding="same", activation="relu")(x)
        return layers.Conv2D(filters, 3, padding="same", activation="relu")(layers.UpSampling2D(2, interpolation="bilinear")(x))

    image = keras.Input((24, 24, 3))
    fine = layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    middle = layers.Conv2D(12, 3, padding="same", activation="relu")(layers.MaxPooling2D(2)(fine))
    coarse = layers.Conv2D(16, 3, padding="same", activation="relu")(layers.MaxPooling2D(2)(middle))
    x = layers.Concatenate()([up(coarse, 12), middle])
    x = layers.Concatenate()([up(x, 8), fine])
    return keras.Model(image, layers.Conv2D(1, 1, activation="sigmoid")(x))


NETWORKS = {
    "MobileNetV2": lambda keras: application(keras, "MobileNetV2", SIZE, alpha=0.35),
    "MobileNetV3Small": lambda keras: application(keras, "MobileNetV3Small", SIZE, alpha=0.75),
    "EfficientNetB0": lambda keras: application(keras, "EfficientNetB0", SIZE),
    "LeNet": lenet,
    "mixture": mixture,
    "U-Net": u_net,
}


def exported(model, folder):
    model.save(folder / "model.keras")
    context = Context(folder / "model.keras", None, None, (0.0, 255.0), 0, False, silent)
    Tflite(scheme="static_w8a8").run(folder / "model.keras", folder / "net.tflite", context)
    return folder / "net.tflite"


@pytest.mark.parametrize("name", NETWORKS)
def test_a_converted_network_answers_as_the_reference_kernels(name, tmp_path):
    import keras

    package = Package(compile_file(exported(NETWORKS[name](keras), tmp_path)), "net")
    assert different(package) == {}


def test_a_transposed_convolution_is_refused_by_name(tmp_path):
    import keras

    with pytest.raises(ModelError, match="TRANSPOSE_CONV"):
        compile_file(exported(u_net(keras, transposed=True), tmp_path))
