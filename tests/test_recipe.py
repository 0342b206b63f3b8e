from pathlib import Path

import pytest

from toolchain import recipe
from toolchain.artifact import Format
from toolchain.errors import RecipeError


@pytest.mark.parametrize("name", recipe.names())
def test_the_recipes_that_ship_load(name):
    found = recipe.load(name)
    assert found.exports
    assert found.description


def write(tmp_path: Path, text: str) -> str:
    (tmp_path / "mine.toml").write_text(text)
    return str(tmp_path / "mine.toml")


EXPORT = '[[export]]\nuse = "tflite"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r'no \[\[export\]\]; a run must write a file, for example use = "tflite"'),
        (
            "stages = []",
            r"no key 'stages'; did you mean 'stage'\? choose from description, seed, max_accuracy_drop, data, stage, attempt, export",
        ),
        ('[[export]]\nuse = "tflight"', r"export\[0\].use = 'tflight': no such name in exports; did you mean 'tflite'\?"),
        ('[[export]]\nscheme = "int8"', r"export\[0\]: the key 'use' is missing; choose from c_source, mixed_precision, onnx, tflite"),
        (
            EXPORT + 'scheme = "int9"',
            r"export\[0\].scheme = 'int9': choose from float32, float16, dynamic_w8, weight_only_w8, weight_only_w4, static_w8a8, static_w8a16",
        ),
        (EXPORT + EXPORT, r"export\[1\] writes float32.tflite a second time"),
        (EXPORT + '[[stage]]\nuse = "prune"\nsparsity = 1.5', r"stage\[0\].sparsity = 1.5: Expected `float` < 1.0"),
        (EXPORT + '[[stage]]\nuse = "prune"', r"stage\[0\]: give exactly one of sparsity, threshold and pattern, not none"),
        (EXPORT + '[[stage]]\nuse = "prune"\nsparsity = 0.5\nthreshold = 0.1', "not sparsity and threshold"),
        (EXPORT + '[[stage]]\nuse = "prune"\nsparsity = 0.5\nbegin = 0.9', r"begin = 0.9 must lie before end = 0.7"),
        (EXPORT + '[data]\nscale = "many"', r'data: scale = \'many\' is no number; write 0.0078 or "1/255"'),
        (EXPORT + "seed = ", r"mine.toml: Invalid value"),
    ],
)
def test_mistakes_are_named_with_path_value_and_choices(tmp_path, text, message):
    with pytest.raises(RecipeError, match=message):
        recipe.load(write(tmp_path, text))


def test_names_that_do_not_exist():
    with pytest.raises(RecipeError, match=r"no recipe 'edge_int9'; did you mean 'edge_int8'\?"):
        recipe.load("edge_int9")
    with pytest.raises(RecipeError, match="No such file"):
        recipe.load("none.toml")


def test_set_changes_stages_data_and_seed():
    found = recipe.load("pruned", ["prune.sparsity=0.25", "data.scale=1/255", "seed=7", 'prune.keep=["conv*"]', "prune.schedule=constant"])
    assert found.stages[0].sparsity == 0.25
    assert found.stages[0].keep == ("conv*",)
    assert found.stages[0].schedule == "constant"
    assert found.data.factor == pytest.approx(1 / 255)
    assert found.seed == 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("prun.sparsity=0.5", r"the recipe has no 'prun'; did you mean 'prune'\? choose from data, gate, prune, finetune, tflite, onnx"),
        ("prune.sparsity", "write stage.key=value"),
        ("prune.sparsty=0.5", r"no key 'sparsty'; did you mean 'sparsity'\?"),
    ],
)
def test_a_wrong_change_is_refused(change, message):
    with pytest.raises(RecipeError, match=message):
        recipe.load("pruned", [change])


def test_a_search_within_a_budget_has_that_of_the_recipe():
    found = recipe.load("static_w8a8_auto", ["max_accuracy_drop=0.03"])
    assert found.attempts[-1].export.max_accuracy_drop == found.max_accuracy_drop == 0.03
    found = recipe.load("static_w8a8_auto", ["mixed_precision.max_accuracy_drop=0.01"])
    assert found.attempts[-1].export.max_accuracy_drop == 0.01


def test_what_a_recipe_can_start_from():
    pruned, plain = recipe.load("pruned"), recipe.load("float32")
    plain.check_accepts(Path("m"), Format.SAVED_MODEL)
    with pytest.raises(RecipeError, match="a SavedModel can only be exported, and pruned has the stages prune"):
        pruned.check_accepts(Path("m"), Format.SAVED_MODEL)
    with pytest.raises(RecipeError, match="m.tflite: a tflite file is finished"):
        plain.check_accepts(Path("m.tflite"), Format.TFLITE)


def test_a_file_that_a_stage_reads_must_be_there(tmp_path):
    (tmp_path / "r.toml").write_text('[[export]]\nuse = "tflite"\n[[stage]]\nuse = "finetune"\nalpha = 0.5\nteachers = ["big.keras"]')
    with pytest.raises(RecipeError, match="r: finetune reads big.keras, which is not there"):
        recipe.load(str(tmp_path / "r.toml")).check_accepts(tmp_path / "m.keras", Format.KERAS)
