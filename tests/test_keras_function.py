import numpy as np
import pytest
from conftest import tiny_model

from toolchain.errors import ModelError
from toolchain.keras_function import of_keras, open_function

pytestmark = pytest.mark.tensorflow


def test_outputs_are_those_of_the_model_in_any_batch(keras):
    model = tiny_model(keras)
    x = np.random.default_rng(0).normal(size=(7, 8, 8, 1)).astype(np.float32)
    expected = np.asarray(model(x, training=False))
    for batch in (1, 3, 16):
        found = of_keras(model, "tiny", batch).predict([x])
        assert len(found) == 1
        assert np.allclose(found[0], expected, atol=1e-6)


def test_the_frozen_function_holds_the_weights_as_constants(keras):
    model = tiny_model(keras)
    x = np.ones((1, 8, 8, 1), np.float32)
    frozen = of_keras(model, "tiny").frozen()
    assert not frozen.variables
    assert np.allclose(np.asarray(frozen(__import__("tensorflow").constant(x))[0]), np.asarray(model(x)), atol=1e-6)


def test_nan_weights_and_open_shapes_are_refused(keras, tmp_path):
    model = tiny_model(keras)
    kernel, bias = model.get_layer("answer").get_weights()
    model.get_layer("answer").set_weights([kernel * np.nan, bias])
    model.save(tmp_path / "nan.keras")
    with pytest.raises(ModelError, match=r"nan.keras: weights with NaN or infinite values: .*kernel"):
        open_function(tmp_path / "nan.keras")
    open_shape = keras.Sequential([keras.Input((None, 4)), keras.layers.Dense(2)])
    with pytest.raises(ModelError, match="open dimension"):
        of_keras(open_shape, "m")


def test_a_saved_model_computes_the_same(keras, tmp_path):
    model = tiny_model(keras)
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 1)).astype(np.float32)
    model.export(tmp_path / "saved")
    assert np.allclose(open_function(tmp_path / "saved").predict([x])[0], np.asarray(model(x)), atol=1e-6)


def test_a_saved_model_that_touches_files_is_refused(tmp_path):
    import tensorflow as tf

    class Writes(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((1, 2))])
        def serve(self, x):
            tf.io.write_file(str(tmp_path / "written"), "x")
            return {"y": x}

    module = Writes()
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=module.serve)
    with pytest.raises(ModelError, match="uses WriteFile, which reach outside the model"):
        open_function(tmp_path / "saved")
    assert not (tmp_path / "written").exists()


def test_a_broken_saved_model_is_refused(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"\xff\xff\xff")
    with pytest.raises(ModelError, match="not readable"):
        open_function(tmp_path)
