import msgspec
import numpy as np
import pytest
from conftest import tiny_model

from toolchain import keras_models, recipe, target
from toolchain.channels import ChannelGraph
from toolchain.channels.budget import staircase, whole
from toolchain.errors import RecipeError, StageError, TargetError
from toolchain.stages.prune_channels import PruneChannels


@pytest.fixture
def model_path(keras, tmp_path):
    tiny_model(keras).save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def run(stage, path, context, tmp_path):
    outcome = stage.run(path, tmp_path / "out.keras", msgspec.structs.replace(context, original=path))
    return outcome, keras_models.load(tmp_path / "out.keras")


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "settings", [{"ratio": 0.5, "scope": "layer"}, {"target": {"macs": 0.6}}, {"ratio": 0.5, "scope": "layer", "steps": 2}]
)
def test_channels_go_and_the_report_lists_them(model_path, context, tmp_path, settings):
    stage = PruneChannels(round_to=1, epochs=2, batch_size=16, **settings)
    outcome, after = run(stage, model_path, context, tmp_path)
    assert after.get_layer("conv").filters < 4 or after.get_layer("point").filters < 8
    assert keras_models.flavor_of(after) is keras_models.flavor_of(keras_models.load(model_path))
    groups = outcome.details["groups"]
    assert set(groups) == {"conv", "point"}
    assert groups["point"]["before"] == 8
    assert groups["point"]["after"] == after.get_layer("point").filters
    if "ratio" in settings:
        assert (groups["conv"]["after"], groups["point"]["after"]) == (2, 4), "steps aim at the original widths"
    macs = outcome.details["macs"]
    assert macs["after"] <= 0.6 * macs["before"]
    assert outcome.examples["importance"] == "240 of 240 in shapes.npz/train"
    assert any(note.what == "answer" and "3 channels frozen" in note.reason for note in outcome.notes)


@pytest.mark.tensorflow
@pytest.mark.parametrize("criterion", ["taylor", "quantile", "random"])
def test_criteria_by_name(model_path, context, tmp_path, criterion):
    _, after = run(PruneChannels(ratio=0.5, scope="layer", round_to=1, epochs=0, criterion=criterion), model_path, context, tmp_path)
    assert after.get_layer("point").filters == 4


@pytest.mark.tensorflow
def test_without_data_it_prunes_by_weights_and_says_so(model_path, context, tmp_path):
    bare = msgspec.structs.replace(context, data=None)
    outcome, after = run(PruneChannels(ratio=0.5, scope="layer", round_to=1), model_path, bare, tmp_path)
    assert after.get_layer("point").filters == 4
    assert any("pruned without fine-tuning" in note.reason for note in outcome.notes)


@pytest.mark.tensorflow
def test_a_target_out_of_reach_is_met_as_far_as_it_goes_and_that_is_said(model_path, context, tmp_path):
    outcome, after = run(PruneChannels(target={"macs": 0.2}, round_to=4, epochs=0), model_path, context, tmp_path)
    assert after.get_layer("point").filters == 4
    assert after.get_layer("conv").filters == 4
    (note,) = (note for note in outcome.notes if note.what == "target")
    assert "is out of reach: floors, rounding and frozen channels leave" in note.reason
    assert note.reason.endswith("pruned as far as that")


@pytest.mark.tensorflow
def test_floors_hold_over_all_steps(model_path, context, tmp_path):
    stage = PruneChannels(ratio=0.8, scope="layer", floor=0.5, steps=3, round_to=1, epochs=0)
    _, after = run(stage, model_path, context, tmp_path)
    assert (after.get_layer("conv").filters, after.get_layer("point").filters) == (2, 4)


@pytest.mark.tensorflow
def test_steps_with_kept_layers_take_the_ratio_of_the_others(model_path, context, tmp_path):
    stage = PruneChannels(ratio=0.5, steps=2, keep=("conv",), criterion="l2", round_to=1, epochs=0)
    _, after = run(stage, model_path, context, tmp_path)
    assert (after.get_layer("conv").filters, after.get_layer("point").filters) == (4, 4)


@pytest.mark.tensorflow
def test_rewinding_takes_an_early_checkpoints_weights_for_the_channels_that_stay(keras, model_path, context, tmp_path):
    early = tiny_model(keras, seed=7)
    early.save(tmp_path / "early.keras")
    stage = PruneChannels(
        ratio=0.5, scope="layer", round_to=1, epochs=1, learning_rate=1e-9, criterion="l2", rewind=str(tmp_path / "early.keras")
    )
    _, after = run(stage, model_path, context, tmp_path)
    norms = np.sqrt((keras_models.load(model_path).get_layer("conv").get_weights()[0] ** 2).sum((0, 1, 2)))
    stays = np.sort(np.argsort(norms)[2:])
    assert np.allclose(after.get_layer("conv").get_weights()[0], early.get_layer("conv").get_weights()[0][..., stays], atol=1e-5)

    keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 5)]).save(tmp_path / "other.keras")
    with pytest.raises(StageError, match="its weights have other shapes than the model's"):
        run(msgspec.structs.replace(stage, rewind=str(tmp_path / "other.keras")), model_path, context, tmp_path)


@pytest.mark.tensorflow
def test_a_budget_of_milliseconds_counts_as_the_device_says(model_path, context, tmp_path):
    text = target.path_of("stm32f746").read_text().replace("[sources]", '[sources]\nspeed = "memory"')
    (tmp_path / "mine.toml").write_text(text + "[speed]\nchannel_step = 2\nmacs_per_s = 1e6\n")
    stage = PruneChannels(target={"ms": 5.0}, device=str(tmp_path / "mine.toml"), epochs=1)
    _, after = run(stage, model_path, context, tmp_path)
    assert after.get_layer("point").filters % 2 == 0
    cost = staircase(2, 1e6, 0.0)
    before, left = (ChannelGraph(net) for net in (keras_models.load(model_path), after))
    assert cost(left, whole(left)) <= 5.0 < cost(before, whole(before))
    with pytest.raises(TargetError, match=r"esp32 has neither a latency profile nor a \[speed\] table"):
        run(msgspec.structs.replace(stage, device="esp32"), model_path, context, tmp_path)


def test_a_device_with_a_latency_profile_needs_no_speed_table():
    speed = PruneChannels(target={"ms": 5.0}, device="nucleo_l4r5zi")._speed()
    assert speed.channel_step == 4
    assert 1e7 < speed.macs_per_s < 1.2e8, "between a tenth of a MAC and one a cycle at 120 MHz"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("", "give exactly one of ratio and target"),
        ('ratio = 0.5\ncriterion = "l3"', "criterion = 'l3': choose from l1, l2, random"),
        ("target = {flops = 0.5}", "give one of macs, params, bytes, ms"),
        ("target = {ms = 5.0}", r"target = {ms = ...} needs device"),
        ("target = {macs = 0.0}", r"target = {'macs': 0.0}: must be above 0"),
        ('ratio = 0.5\nepochs = 0\nrewind = "early.keras"', "rewind with epochs = 0 would leave an untrained network"),
        ('ratio = 0.5\nalpha = 0.0\nteachers = ["big.keras"]', "teachers without alpha"),
        ("ratio = 1.0", r"ratio = 1.0: Expected `float` < 1.0"),
    ],
)
def test_mistakes_in_the_recipe_are_named(tmp_path, settings, message):
    (tmp_path / "r.toml").write_text(f'[[export]]\nuse = "tflite"\n[[stage]]\nuse = "prune_channels"\n{settings}')
    with pytest.raises(RecipeError, match=message):
        recipe.load(str(tmp_path / "r.toml"))
