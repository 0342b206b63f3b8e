"""Networks with every way in which channels hang together, for either Keras; none has a final softmax."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np


def small(keras: Any) -> dict[str, Any]:
    """Builders of small networks: seconds for all of them."""
    layers = keras.layers
    found = {}

    def add(build):
        found[build.__name__] = build
        return build

    def block(x, filters, strides=1):
        y = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(filters, 3, strides, padding="same", use_bias=False)(x)))
        y = layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same", use_bias=False)(y))
        if strides > 1:
            x = layers.Conv2D(filters, 1, strides)(x)
        return layers.ReLU()(layers.Add()([x, y]))

    @add
    def sequential():
        return keras.Sequential(
            [
                layers.Input((16, 16, 1)), layers.Conv2D(8, 3, activation="relu"), layers.MaxPooling2D(),
                layers.Conv2D(12, 3, padding="same"), layers.BatchNormalization(), layers.ReLU(), layers.AveragePooling2D(2),
                layers.Flatten(), layers.Dense(20, activation="tanh"), layers.Dropout(0.3), layers.Dense(5),
            ]
        )  # fmt: skip

    @add
    def residual():
        image = layers.Input((16, 16, 3))
        x = block(block(layers.Conv2D(8, 3, padding="same")(image), 8), 12, 2)
        return keras.Model(image, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))

    @add
    def depthwise_and_separable():
        image = layers.Input((12, 12, 3))
        x = layers.Conv2D(8, 3, activation="relu")(image)
        x = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same")(x)
        x = layers.PReLU(shared_axes=[1, 2])(x)
        x = layers.SeparableConv2D(10, 3, depth_multiplier=2)(x)
        return keras.Model(image, layers.Dense(4)(layers.Flatten()(x)))

    @add
    def squeeze_excite():
        image = layers.Input((8, 8, 3))
        x = layers.Conv2D(12, 3, padding="same")(image)
        s = layers.GlobalAveragePooling2D(keepdims=True)(x)
        s = layers.Conv2D(12, 1, activation="sigmoid")(layers.Conv2D(4, 1, activation="relu")(s))
        x = layers.Multiply()([x, s])
        gate = layers.Conv2D(1, 1, activation="sigmoid")(x)  # one value for all channels
        return keras.Model(image, layers.Dense(4)(layers.GlobalMaxPooling2D()(layers.Multiply()([x, gate]))))

    @add
    def grouped_resnext():
        image = layers.Input((8, 8, 3))
        x = layers.Conv2D(16, 1)(image)
        y = layers.ReLU()(layers.Conv2D(16, 3, groups=4, padding="same")(layers.Conv2D(16, 1, activation="relu")(x)))
        x = layers.Add()([x, layers.Conv2D(16, 1)(y)])
        return keras.Model(image, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))

    @add
    def unet():
        image = layers.Input((16, 16, 2))
        a = layers.Conv2D(6, 3, padding="same", activation="relu")(image)
        b = layers.Conv2D(10, 3, padding="same", activation="relu")(layers.MaxPooling2D()(a))
        c = layers.Conv2D(12, 3, padding="same", activation="relu")(layers.MaxPooling2D()(b))
        b = layers.Concatenate()([layers.Conv2DTranspose(8, 2, 2)(c), b])
        b = layers.Conv2D(8, 3, padding="same", activation="relu")(b)
        a = layers.Concatenate()([layers.UpSampling2D()(b), a])
        return keras.Model(image, layers.Conv2D(2, 1)(a))

    @add
    def channel_shuffle():
        image = layers.Input((8, 8, 3))
        x = layers.Conv2D(16, 1, activation="relu")(image)
        x = layers.Conv2D(16, 3, groups=2, padding="same")(x)
        x = layers.Permute((1, 2, 4, 3))(layers.Reshape((8, 8, 2, 8))(x))
        x = layers.Reshape((8, 8, 16))(x)
        x = layers.Conv2D(12, 3, groups=2, padding="same", activation="relu")(x)
        return keras.Model(image, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))

    @add
    def csp_slices():
        image = layers.Input((8, 8, 3))
        x = layers.Conv2D(16, 3, padding="same", activation="relu")(image)
        left, right = x[..., :6], x[..., 6:]
        right = layers.Conv2D(8, 3, padding="same", activation="relu")(right)
        x = layers.Conv2D(10, 1)(layers.Concatenate()([left, right]))
        return keras.Model(image, layers.Dense(4)(layers.Flatten()(x)))

    @add
    def csp_split():
        image = layers.Input((8, 8, 3))
        x = layers.Conv2D(16, 3, padding="same", activation="relu")(image)
        split = keras.ops.split if keras.__name__ == "keras" else __import__("tensorflow").split
        left, right = split(x, 2, axis=-1)
        x = layers.Concatenate()([layers.Conv2D(8, 1, activation="relu")(left), right])
        return keras.Model(image, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))

    @add
    def raw_operators():
        image = layers.Input((16, 16, 3))
        shared = layers.Conv2D(8, 3, padding="same", activation="relu")
        x = layers.Concatenate()([shared(image), shared(layers.Dropout(0.1)(image))])
        x = x * 0.5 + 1.0 - x * x
        x = layers.Permute((2, 1, 3))(layers.ZeroPadding2D(1)(layers.Cropping2D(1)(x)))
        x = layers.Conv2DTranspose(6, 2, 2, activation="swish")(x)
        return keras.Model(image, layers.Dense(5)(layers.Flatten()(layers.MaxPooling2D(8)(x))))

    @add
    def nested_and_shared():
        inner = keras.Sequential([layers.Input((8, 8, 12)), layers.Conv2D(10, 3, padding="same", activation="relu"), layers.Conv2D(12, 1)])
        image = layers.Input((8, 8, 3))
        x = layers.Conv2D(12, 1)(image)
        x = layers.Add()([x, inner(x)])
        x = layers.Add()([x, inner(x)])
        return keras.Model(image, layers.Dense(4)(layers.GlobalMaxPooling2D()(x)))

    @add
    def shared_encoder():
        encoder = keras.Sequential([layers.Input((8, 8, 3)), layers.Conv2D(8, 3, activation="relu"), layers.GlobalAveragePooling2D()])
        one, two = layers.Input((8, 8, 3)), layers.Input((8, 8, 3))
        x = layers.Concatenate()([encoder(one), encoder(two), layers.Subtract()([encoder(one), encoder(two)])])
        return keras.Model([one, two], layers.Dense(3)(layers.Dense(10, activation="relu")(x)))

    @add
    def two_in_two_out():
        image, numbers = layers.Input((8, 8, 3)), layers.Input((6,))
        x = layers.GlobalAveragePooling2D()(layers.Conv2D(10, 3, activation="relu")(image))
        both = layers.Concatenate()([x, layers.Dense(7, activation="relu")(numbers)])
        hidden = layers.Dense(12, activation="relu")(both)
        return keras.Model([image, numbers], [layers.Dense(3)(hidden), layers.Dense(2)(both)])

    @add
    def conv1d_gru():
        steps = layers.Input((20, 4))
        x = layers.Conv1D(10, 5, activation="relu", padding="same")(steps)
        x = layers.MaxPooling1D(2)(layers.DepthwiseConv1D(3, padding="same")(x))
        x = layers.GRU(6)(layers.GRU(8, return_sequences=True)(x))
        return keras.Model(steps, layers.Dense(3)(x))

    @add
    def text_lstm():
        ids = layers.Input((12,), dtype="int32")
        x = layers.Embedding(30, 10)(ids)
        x = layers.Bidirectional(layers.LSTM(6, return_sequences=True))(x)
        x = layers.TimeDistributed(layers.Dense(9, activation="relu"))(x)
        return keras.Model(ids, layers.Dense(3)(layers.SimpleRNN(7)(x)))

    @add
    def encoder_decoder_states():
        source, target = layers.Input((7, 3)), layers.Input((5, 3))
        _, state = layers.GRU(8, return_state=True)(source)
        x = layers.GRU(8, return_sequences=True)(target, initial_state=state)
        _, h, c = layers.LSTM(6, return_state=True)(x)
        y = layers.LSTM(6)(target, initial_state=[h, c])
        return keras.Model([source, target], layers.Dense(2)(y))

    @add
    def transformer():
        steps = layers.Input((10, 8))
        x = layers.Dense(16)(steps)
        x = layers.Add()([x, layers.MultiHeadAttention(4, 6, value_dim=5)(x, x)])
        x = layers.Add()([x, layers.Dense(16)(layers.Dense(24, activation="gelu")(x))])
        return keras.Model(steps, layers.Dense(4)(layers.GlobalAveragePooling1D()(x)))

    @add
    def cross_attention():
        query, memory = layers.Input((5, 6)), layers.Input((9, 4))
        q, m = layers.Dense(12)(query), layers.Dense(10)(memory)
        x = layers.MultiHeadAttention(3, 4, use_bias=False)(q, m)
        return keras.Model([query, memory], layers.Dense(2)(layers.Flatten()(x)))

    @add
    def volumes():
        volume = layers.Input((6, 6, 6, 2))
        x = layers.Conv3DTranspose(5, 2, 2)(layers.Conv3D(8, 3, activation="relu")(volume))
        x = layers.BatchNormalization()(x)
        return keras.Model(volume, layers.Dense(3)(layers.GlobalAveragePooling3D()(x)))

    @add
    def channels_first():
        image = layers.Input((3, 14, 14))  # Keras 3.15 adds a bias along the wrong axis where as many filters as columns come out
        first: dict[str, Any] = {"data_format": "channels_first"}
        x = layers.BatchNormalization(axis=1)(layers.Conv2D(8, 3, padding="same", **first)(image))
        y = layers.DepthwiseConv2D(3, padding="same", **first)(layers.ReLU()(x))
        x = layers.Add()([x, layers.Conv2D(8, 1, **first)(y)])
        x = layers.Concatenate(axis=1)([layers.MaxPooling2D(2, **first)(x), layers.Conv2D(6, 2, 2, **first)(image)])
        return keras.Model(image, layers.Dense(4)(layers.GlobalAveragePooling2D(**first)(x)))

    @add
    def layer_scale():
        scale = importlib.import_module(f"{keras.__name__}.src.applications.convnext").LayerScale
        image = layers.Input((8, 8, 3))
        x = layers.Conv2D(10, 3)(image)
        y = scale(0.5, 10)(layers.Conv2D(10, 1)(layers.Conv2D(16, 1, activation="relu")(x)))
        return keras.Model(image, layers.Dense(4)(layers.GlobalAveragePooling2D()(layers.Add()([x, y]))))

    @add
    def time_distributed_cnn():
        video = layers.Input((4, 8, 8, 2))
        x = layers.TimeDistributed(layers.Conv2D(6, 3, activation="relu"))(video)
        x = layers.TimeDistributed(layers.BatchNormalization())(x)
        x = layers.TimeDistributed(layers.Conv2D(5, 3))(x)
        return keras.Model(video, layers.Dense(3)(layers.Flatten()(x)))

    return found


def large(keras: Any) -> dict[str, Any]:
    """Builders of published architectures at a small resolution."""
    ten: dict[str, Any] = {"weights": None, "classes": 10, "classifier_activation": None}
    apps = keras.applications
    return {
        "MobileNet": lambda: apps.MobileNet((96, 96, 3), alpha=0.25, **ten),
        "MobileNetV2": lambda: apps.MobileNetV2((96, 96, 3), alpha=0.35, **ten),
        "MobileNetV3Small": lambda: apps.MobileNetV3Small((96, 96, 3), **ten),
        "MobileNetV3Large": lambda: apps.MobileNetV3Large((96, 96, 3), **ten),
        "EfficientNetB0": lambda: apps.EfficientNetB0(input_shape=(64, 64, 3), **ten),
        "EfficientNetV2B0": lambda: apps.EfficientNetV2B0(input_shape=(64, 64, 3), **ten),
        "DenseNet121": lambda: apps.DenseNet121(input_shape=(64, 64, 3), **ten),
        "ResNet50": lambda: apps.ResNet50(input_shape=(64, 64, 3), **ten),
        "ResNet50V2": lambda: apps.ResNet50V2(input_shape=(64, 64, 3), **ten),
        "Xception": lambda: apps.Xception(input_shape=(96, 96, 3), **ten),
        "InceptionV3": lambda: apps.InceptionV3(input_shape=(96, 96, 3), **ten),
        "InceptionResNetV2": lambda: apps.InceptionResNetV2(input_shape=(96, 96, 3), **ten),
        "NASNetMobile": lambda: apps.NASNetMobile(input_shape=(64, 64, 3), **ten),
        "ConvNeXtTiny": lambda: apps.ConvNeXtTiny(input_shape=(64, 64, 3), **ten),
    }


def randomize(model: Any, seed: int) -> None:
    """Weights under which every channel matters and no activation saturates."""
    rng = np.random.default_rng(seed)
    for layer in model._flatten_layers():
        if hasattr(layer, "layers") or hasattr(layer, "layer") or not layer.weights:
            continue
        values = []
        for weight, value in zip(layer.weights, layer.get_weights(), strict=True):
            name = getattr(weight, "path", weight.name)
            if value.dtype.kind != "f":
                values.append(value)
            elif "variance" in name or "gamma" in name:
                values.append(rng.uniform(0.5, 1.5, value.shape))
            elif "kernel" in name and value.ndim > 1:
                spread = 0.3 if "depthwise" in name else np.sqrt(1.5 / np.prod(value.shape[:-1]))
                values.append(rng.normal(size=value.shape) * spread)
            else:
                values.append(rng.normal(size=value.shape) * 0.3)
        layer.set_weights([np.asarray(v, old.dtype) for v, old in zip(values, layer.get_weights(), strict=True)])
