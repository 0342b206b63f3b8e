import pytest
from conftest import shapes, tiny_model

import toolchain
from toolchain import recipe
from toolchain.errors import RecipeError

pytestmark = pytest.mark.tensorflow

HEAD = """
max_accuracy_drop = 0.05
[data]
scale = "1/255"
"""
BROKEN = """
[[attempt]]
name = "broken"
stage = [{use = "adaround"}]
export = {use = "tflite", scheme = "static_w8a8"}
"""
EMPTY = """
[[attempt]]
name = "empty"
stage = [{use = "prune", sparsity = 0.99, max_layer_sparsity = 0.99, epochs = 0}]
export = {use = "tflite", scheme = "static_w8a8"}
"""
WIDE = """
[[attempt]]
name = "wide"
needs = ["int8", "float32"]
export = {use = "tflite", scheme = "float32"}
"""
PLAIN = """
[[attempt]]
name = "plain"
export = {use = "tflite", scheme = "static_w8a8"}
"""
LATER = """
[[attempt]]
name = "later"
export = {use = "tflite", scheme = "float16"}
"""
ONNX = """
[[export]]
use = "onnx"
scheme = "int8_from_tflite"
"""
C_SOURCE = """
[[export]]
use = "c_source"
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model that knows the answers."""
    import keras
    import numpy as np

    net, (x, y) = tiny_model(keras), shapes(300)
    net.compile("adam", "sparse_categorical_crossentropy")
    net.fit(x / np.float32(255), y, epochs=12, batch_size=16, verbose=0)
    path = tmp_path_factory.mktemp("trained") / "tiny.keras"
    net.save(path)
    return path


@pytest.fixture
def inputs(tmp_path, npz, trained):
    return {"model": trained, "data": str(npz), "out": tmp_path / "out"}


def run(tmp_path, inputs, *parts, targets=()):
    (tmp_path / "mine.toml").write_text("".join(parts))
    return toolchain.run(str(tmp_path / "mine.toml"), **inputs, targets=targets)


def test_the_first_attempt_within_the_budget_is_shipped_and_all_are_measured(inputs, tmp_path):
    found = run(tmp_path, inputs, HEAD, BROKEN, EMPTY, PLAIN, LATER, ONNX)
    broken, empty, plain = found.attempts
    assert "put fold_batchnorm before adaround" in broken.reason
    assert (broken.artifact, broken.met) == (None, False)
    assert empty.drop > 0.05
    assert not empty.chosen
    assert plain.met
    assert plain.chosen
    names = [row.name for row in found.artifacts]
    assert names == ["empty_static_w8a8.tflite", "static_w8a8.tflite", "int8_from_tflite.onnx"]
    accuracy = {row.name: row.accuracy for row in found.artifacts}
    assert accuracy["empty_static_w8a8.tflite"] < accuracy["static_w8a8.tflite"] - 0.05
    assert accuracy["int8_from_tflite.onnx"] == accuracy["static_w8a8.tflite"]  # made from the chosen file
    skipped = {row.step: row.reason for row in found.skipped}
    assert skipped["attempt later"] == "not needed: plain meets the budget"
    assert skipped["attempt broken"] == broken.reason
    assert not (tmp_path / "out" / "final.keras").exists()  # plain changed nothing


def test_an_export_that_starts_from_another_kind_of_file_than_the_chosen_is_left_out(tmp_path):
    import keras

    tiny_model(keras).save(tmp_path / "tiny.keras")
    given = {"model": tmp_path / "tiny.keras", "out": tmp_path / "out"}
    found = run(tmp_path, given, HEAD.replace("0.05", "0.0"), LATER.replace("float16", "float32"), PLAIN, ONNX, C_SOURCE)
    assert [row.name for row in found.artifacts] == ["float32.tflite"]
    reasons = {row.step: row.reason for row in found.skipped if row.what != "plain_static_w8a8.tflite"}
    assert reasons["int8_from_tflite.onnx"] == "it is made from static_w8a8.tflite, and float32.tflite was chosen"
    assert reasons["static_w8a8.tflite"] == "float32.tflite was chosen"  # what a C package would bring
    assert reasons["attempts"] == "no data was given: judged on random inputs, which say little"


def test_where_none_meets_the_budget_the_best_is_taken_and_said(inputs, tmp_path):
    found = run(tmp_path, inputs, HEAD.replace("0.05", "0.0"), EMPTY)
    assert [row.name for row in found.artifacts] == ["static_w8a8.tflite"]
    assert found.attempts[0].chosen
    assert not found.attempts[0].met
    assert any(row.step == "attempts" and "none loses at most 0" in row.reason for row in found.skipped)
    assert "None does: the one that loses least is shipped" in (tmp_path / "out" / "report.html").read_text()
    assert (tmp_path / "out" / "final.keras").exists()


def test_an_export_that_fails_after_the_attempts_leaves_the_chosen_file(tmp_path, npz):
    import keras

    layers = keras.layers
    up = [layers.Conv2DTranspose(2, 2, strides=2), layers.Flatten(), layers.Dense(3, activation="softmax")]
    keras.Sequential([keras.Input((8, 8, 1)), *up]).save(tmp_path / "up.keras")
    found = run(
        tmp_path, {"model": tmp_path / "up.keras", "data": str(npz), "out": tmp_path / "out"}, HEAD.replace("0.05", "1"), PLAIN, ONNX
    )
    assert [row.name for row in found.artifacts] == ["static_w8a8.tflite"]
    assert any(row.step == "int8_from_tflite.onnx" and "TRANSPOSE_CONV" in row.reason for row in found.skipped)


def test_a_budget_below_one_example_of_the_validation_split_is_said(inputs, tmp_path):
    found = run(tmp_path, inputs, HEAD.replace("0.05", "0.03"), PLAIN)
    assert any("has 30 examples, of which one is 3.33%: more than the budget of 3.00%" in row.reason for row in found.skipped)


def test_an_attempt_that_a_target_rules_out_is_left_out(inputs, tmp_path):
    found = run(tmp_path, inputs, HEAD, WIDE, PLAIN, targets=["esp32_c3"])
    assert [(one.name, one.chosen, one.reason) for one in found.attempts] == [
        ("wide", False, "esp32_c3 takes no float32 activations"),
        ("plain", True, None),
    ]
    assert [row.name for row in found.artifacts] == ["static_w8a8.tflite"]


def test_where_none_gives_a_file_the_first_reason_is_the_error(inputs, tmp_path):
    with pytest.raises(RecipeError, match=r"mine: no attempt gave a file; the first: adaround: .*put fold_batchnorm before adaround"):
        run(tmp_path, inputs, HEAD, BROKEN)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PLAIN, "max_accuracy_drop and .*attempt.* belong together"),
        (HEAD + ONNX, "max_accuracy_drop and .*attempt.* belong together"),
        (HEAD + PLAIN + PLAIN, "two attempts have one name"),
        (HEAD + PLAIN.replace("plain", "../plain"), r"attempt\[0\].name"),
        (HEAD + PLAIN + '[[export]]\nuse = "tflite"\nscheme = "static_w8a8"', "writes static_w8a8.tflite, as the attempts do"),
    ],
)
def test_mistakes_in_attempts_are_named(tmp_path, text, message):
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(RecipeError, match=message):
        recipe.load(str(tmp_path / "mine.toml"))


def test_set_reaches_the_stages_of_attempts(tmp_path):
    (tmp_path / "mine.toml").write_text(HEAD + EMPTY)
    found = recipe.load(str(tmp_path / "mine.toml"), ["prune.sparsity=0.25", "max_accuracy_drop=0.5"])
    assert found.attempts[0].stages[0].sparsity == 0.25
    assert found.max_accuracy_drop == 0.5
