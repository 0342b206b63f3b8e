import msgspec
import pytest
from conftest import SHARED, needs_shared
from quantizable import application, build

from toolchain import keras_models, recipe
from toolchain.errors import RecipeError, StageError
from toolchain.exports.mixed_precision import MixedPrecision
from toolchain.tflite_file import TfliteFile

RESNET8 = "mlperf_tiny/ic/pretrainedResnet.h5"


def test_names_and_refusals(tmp_path):
    assert MixedPrecision().name == "static_mixed.tflite"
    assert MixedPrecision(allow=("int16",), of="original").name == "original_static_mixed_int16.tflite"
    (tmp_path / "mine.toml").write_text('[[export]]\nuse = "mixed_precision"\nallow = []\n')
    with pytest.raises(RecipeError, match="allow is empty"):
        recipe.load(str(tmp_path / "mine.toml"))


def run(export, model, context):
    folder = context.original.parent
    model.save(folder / "model.keras")
    export.source.run(folder / "model.keras", folder / export.source.name, context)
    outcome = export.run(folder / "model.keras", folder / export.name, msgspec.structs.replace(context, source=folder / export.source.name))
    return TfliteFile.read(folder / export.name), outcome


def spoiled(keras):
    """A channel between two convolutions is a thousand times the others: in int8 they vanish beside it."""
    model = build("residual", keras)
    layer = model.get_layer("first")
    kernel, bias = layer.get_weights()
    kernel[..., 0] *= 1000
    layer.set_weights([kernel, bias])
    after = model.get_layer("second")
    kernel, bias = after.get_weights()
    kernel[:, :, 0] /= 1000
    after.set_weights([kernel, bias])
    return model


@pytest.mark.tensorflow
def test_the_bad_layer_is_named_and_alone_is_wide(keras, context):
    bare = msgspec.structs.replace(context, data=None, synthetic=(-1.0, 1.0))
    model = spoiled(keras)
    file, outcome = run(MixedPrecision(max_accuracy_drop=0.03), model, bare)
    worst = max(outcome.details["sensitivity"], key=lambda row: -row["sqnr_db"])
    assert "/first" in worst["layer"] or "/second" in worst["layer"]
    chosen = outcome.details["chosen"]
    assert chosen["drop"] <= 0.03
    wide = " ".join(chosen["int16"] + chosen["float32"])
    assert "/first" in wide  # its output has the range,
    assert "/second" in wide  # which its reader must take at that width
    assert "stem" not in wide
    assert chosen["cost"] < 1
    assert {"INT8", "INT16"} <= set(file.activation_dtypes)
    assert any("no labels" in note.reason for note in outcome.notes)


@pytest.mark.tensorflow
def test_a_budget_that_leaves_nothing_in_integers_is_said(context):
    import keras

    bare = msgspec.structs.replace(context, data=None, synthetic=(-1.0, 1.0))
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    file, outcome = run(MixedPrecision(max_accuracy_drop=0.0), model, bare)
    assert file.activation_dtypes == ("FLOAT32",)
    assert "the budget leaves no layer in integers" in [note.reason for note in outcome.notes]


@pytest.mark.tensorflow
def test_a_network_that_int8_does_not_harm_stays_int8(context):
    import keras

    file, outcome = run(MixedPrecision(max_accuracy_drop=0.2), build("cnn", keras), context)
    assert outcome.details["chosen"]["int16"] == outcome.details["chosen"]["float32"] == []
    assert "INT16" not in file.activation_dtypes
    assert outcome.examples["choice of types"] == "30 of 30 in shapes.npz/validation"
    assert all(row["loss"] > 0 for row in outcome.details["sensitivity"])
    costs = [row["cost"] for row in outcome.details["pareto"]]
    assert costs == sorted(costs)


@pytest.mark.tensorflow
@pytest.mark.prove
@pytest.mark.parametrize(
    "network",
    ["mobile", "MobileNet", "MobileNetV2", pytest.param("resnet8", marks=needs_shared(RESNET8))],
)
def test_networks_of_every_kind_stay_within_the_budget(network, context):
    import keras

    if network == "resnet8":
        model = keras_models.load(SHARED / RESNET8)
    elif network in ("MobileNet", "MobileNetV2"):
        model = application(keras, network, 96, alpha=0.35 if network == "MobileNetV2" else 0.25)
    else:
        model = build(network, keras)
    limits = (0.0, 255.0) if network == "resnet8" else (-1.0, 1.0)
    _, outcome = run(MixedPrecision(max_accuracy_drop=0.05), model, msgspec.structs.replace(context, data=None, synthetic=limits))
    assert outcome.details["chosen"]["drop"] <= 0.05
    assert len(outcome.details["sensitivity"]) > 3


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("network", "why"),
    [("gru", r"WHILE .*loop.*unroll=True"), ("unrolled_gru", "types cannot be mixed in this model: LiteRT cannot run it .*SPLIT")],
)
def test_recurrent_models_are_refused_by_name(network, why, context):
    import keras

    with pytest.raises(StageError, match=why):
        run(MixedPrecision(), build(network, keras), msgspec.structs.replace(context, data=None))
