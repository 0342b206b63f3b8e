import json
import zipfile

import numpy as np
import pytest
from conftest import tiny_model

from toolchain import keras_models
from toolchain.errors import ModelError
from toolchain.keras_models import Flavor, check_safe


def layer(name, module="keras.layers", **more):
    return {"class_name": name, "module": module, "config": {"name": "odd", **more}, "registered_name": None}


def nested(entry):
    return {"class_name": "Sequential", "module": "keras", "config": {"layers": [layer("Dense"), {"deep": [entry]}]}}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (layer("Lambda"), "the Lambda layer 'odd' holds code; run with --trust"),
        (layer("TFSMLayer"), "the TFSMLayer layer 'odd' holds code"),
        (layer("system", module="os"), "os.system 'odd' is a custom class"),
        (layer("get_file", module="keras.utils"), "keras.utils.get_file 'odd' is a custom class"),
        (layer("enable_unsafe_deserialization", module="keras.src.saving"), "is a custom class"),
        (layer("Dense", module="my_package.layers"), "my_package.layers.Dense 'odd' is a custom class"),
        ({**layer("Swish"), "registered_name": "mine>Swish"}, "mine>Swish 'odd' is a custom class"),
        (layer("TFOpLambda", function="io.write_file"), "calls tf.io.write_file, which is no plain tensor function"),
        (layer("TFOpLambda", function="numpy_function"), "calls tf.numpy_function"),
    ],
)
def test_what_could_run_code_is_refused_however_deep(tmp_path, entry, message):
    with pytest.raises(ModelError, match=message):
        check_safe(tmp_path / "m.keras", nested(entry))


@pytest.mark.parametrize(
    "entry",
    [
        layer("Dense"),
        layer("Add", module="keras.src.ops.numpy"),
        layer("TFOpLambda", function="math.multiply"),
        layer("PruneLowMagnitude", module="tensorflow_model_optimization.x"),
    ],
)
def test_plain_layers_pass(tmp_path, entry):
    check_safe(tmp_path / "m.keras", nested(entry))


def test_compilation_settings_are_never_loaded_and_not_judged(tmp_path):
    check_safe(tmp_path / "m", {**nested(layer("Dense")), "compile_config": layer("loss", module="mine")})


def test_a_zip_without_a_model_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("config.json", json.dumps({}))
    with pytest.raises(ModelError, match="not a readable Keras model"):
        keras_models.read_config(tmp_path / "m.keras")


@pytest.mark.tensorflow
@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_model_stays_in_the_keras_it_came_in(keras, tmp_path, suffix):
    model = tiny_model(keras)
    model.save(tmp_path / f"m.{suffix}")
    loaded = keras_models.load(tmp_path / f"m.{suffix}")
    assert keras_models.flavor_of(loaded) is Flavor(keras.__name__)
    keras_models.save(loaded, tmp_path / "again.keras")
    assert keras_models.read_config(tmp_path / "again.keras")[1] is Flavor(keras.__name__)
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 1)).astype(np.float32)
    again = keras_models.load(tmp_path / "again.keras")
    assert np.array_equal(np.asarray(model(x)), np.asarray(again(x)))


@pytest.mark.tensorflow
@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_lambda_layer_runs_only_with_trust(keras, tmp_path, suffix):
    marker = tmp_path / "ran"
    model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x, m=str(marker): (open(m, "a").close(), x * 2)[1])])
    marker.unlink(missing_ok=True)
    model.save(tmp_path / f"m.{suffix}")
    with pytest.raises(ModelError, match="Lambda"):
        keras_models.load(tmp_path / f"m.{suffix}")
    assert not marker.exists()
    if keras.__name__ == "tf_keras":
        keras_models.load(tmp_path / f"m.{suffix}", trust=True)
        assert marker.exists()


@pytest.mark.tensorflow
def test_tfmot_wrappers_are_stripped_on_load(tmp_path):
    import tensorflow_model_optimization as tfmot
    import tf_keras

    plain = tf_keras.Sequential([tf_keras.layers.Input((4,)), tf_keras.layers.Dense(3, name="dense")])
    wrapped = tfmot.sparsity.keras.prune_low_magnitude(plain)
    for suffix in ("keras", "h5"):
        wrapped.save(tmp_path / f"m.{suffix}")
        loaded = keras_models.load(tmp_path / f"m.{suffix}")
        assert [type(found).__name__ for found in loaded.layers] == ["Dense"]
        assert np.array_equal(loaded.layers[0].get_weights()[0], plain.layers[0].get_weights()[0])


@pytest.mark.tensorflow
def test_damaged_weights_are_one_clear_error(keras, tmp_path):
    tiny_model(keras).save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as good, zipfile.ZipFile(tmp_path / "bad.keras", "w") as bad:
        for name in good.namelist():
            content = good.read(name)
            bad.writestr(name, content[: len(content) // 3] if name.endswith(".h5") else content)
    with pytest.raises(ModelError, match="its weights are not readable"):
        keras_models.load(tmp_path / "bad.keras")
