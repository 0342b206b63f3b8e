import msgspec
import numpy as np
import pytest
from c_source.graphs import Net

import toolchain
from toolchain import layer_reports as reports
from toolchain.cache import Cache
from toolchain.data import DataSettings
from toolchain.ladder import climb
from toolchain.prepared_data import open_data
from toolchain.tflite_file import TfliteFile
from toolchain.worker import silent


def described(original, *files, **changes):
    job = reports.LayerReportsJob(original, tuple(reports.Exported(f.name, f, original) for f in files), None, (0.0, 1.0), 0, False)
    return reports.layer_reports(msgspec.structs.replace(job, **changes), silent)


def read(net, tmp_path):
    return TfliteFile.read(net.write(tmp_path / "net.tflite"))


class TestFacts:
    def test_of_a_small_network(self, tiny_int8):
        """Kernels and biases: 4x3x3 + 4, depthwise the same, 3x4 + 3; MACs: 8x8x4x9, 6x6x4x9, 6x6x3x4."""
        rows = reports.facts(TfliteFile.read(tiny_int8))
        assert [(r.operator, r.reads, r.parameters, r.macs, r.channels) for r in rows] == [
            ("CONV_2D", (-1,), 40, 2304, 4),
            ("DEPTHWISE_CONV_2D", (0,), 40, 1296, 4),
            ("CONV_2D", (1,), 15, 432, 3),
            ("AVERAGE_POOL_2D", (2,), 0, 0, None),
            ("RESHAPE", (3,), 0, 0, None),
            ("SOFTMAX", (4,), 0, 0, None),
        ]
        assert [r.index for r in rows] == [0, 1, 2, 3, 4, 5]
        assert rows[0].shape == (1, 8, 8, 4)

    def test_a_shortcut_reads_two_operators_and_the_input_is_minus_one(self, tmp_path):
        net = Net()
        x = net.input((1, 4), scale=0.1)
        y = net.tensor((1, 4), scale=0.1)
        net.operator("RELU", [x], y)
        net.operator("ADD", [x, y], net.output((1, 4), scale=0.1), "Add")
        assert [row.reads for row in reports.facts(read(net, tmp_path))] == [(-1,), (-1, 0)]

    def test_unpacked_weights_count_where_they_are_used(self, tmp_path):
        net = Net()
        x, weights = net.input((1, 2), dtype=np.float32), net.constant([[1, 0], [0, 2], [3, 4]], np.int8, scale=0.5)
        unpacked = net.tensor((3, 2), dtype=np.float32)
        net.operator("DEQUANTIZE", [weights], unpacked)
        bias = net.constant([0.0, 0.0, 1.0], np.float32)
        net.operator("FULLY_CONNECTED", [x, unpacked, bias], net.output((1, 3), dtype=np.float32), "FullyConnected")
        unpack, dense = reports.facts(read(net, tmp_path))
        assert (unpack.parameters, unpack.reads, unpack.channels) == (0, (), None)
        assert (dense.parameters, dense.nonzero_parameters, dense.reads, dense.channels) == (9, 5, (-1, 0), 3)


class TestCompared:
    """A float .tflite stands for the Keras model, so that nothing here needs TensorFlow."""

    def test_errors_are_those_of_secateur_compare(self, tiny_float, tiny_int8):
        found = described(tiny_float, tiny_int8)
        compared = climb(tiny_float, [tiny_int8], examples=reports.EXAMPLES).files[0].layers[1:]
        rows = found.files["tiny_int8.tflite"]
        assert [(r.name, r.operator, r.own_db, r.level_db) for r in rows] == [(c.name, c.operator, c.own_db, c.level_db) for c in compared]
        assert 10 < rows[1].own_db < 60
        assert found.used == {"errors of layers": "16 random inputs"}
        assert found.notes == ()

    def test_a_float_file_has_names_and_no_errors(self, tiny_float):
        found = described(tiny_float, tiny_float)
        assert {row.own_db for row in found.files["tiny_float32.tflite"]} == {None}
        assert found.used == {}

    def test_a_file_that_is_too_large_says_so_and_keeps_its_names(self, tiny_float, tiny_int8, monkeypatch):
        monkeypatch.setattr(reports, "LARGEST_MACS", 4000)
        found = described(tiny_float, tiny_int8)
        assert {row.level_db for row in found.files["tiny_int8.tflite"]} == {None}
        assert found.files["tiny_int8.tflite"][0].name == "sequential_1/conv2d_1/Relu"
        (note,) = found.notes
        assert note.what == "errors of layers of tiny_int8.tflite"
        assert note.reason.startswith("4,032 MACs")

    def test_a_model_that_cannot_be_opened_leaves_the_facts(self, tiny_int8, tmp_path):
        broken = tmp_path / "broken.tflite"
        broken.write_bytes(tiny_int8.read_bytes()[:900])
        found = described(broken, tiny_int8)
        assert [row.macs for row in found.files["tiny_int8.tflite"]] == [2304, 1296, 432, 0, 0, 0]
        assert [note.what for note in found.notes] == ["names and errors of layers, channels before"]
        assert "broken.tflite" in found.notes[0].reason

    def test_a_file_that_cannot_be_taken_apart_leaves_the_facts_and_says_so(self, tiny_float, tiny_int8, tmp_path):
        net = Net()
        net.operator("TANH", [net.input((1, 8, 8, 1), dtype=np.int32)], net.output((1, 8, 8, 1), dtype=np.int32))
        refused = net.write(tmp_path / "refused.tflite")
        found = described(tiny_float, refused, tiny_int8)
        assert [row.operator for row in found.files["refused.tflite"]] == ["TANH"]
        assert [note.what for note in found.notes] == ["names and errors of layers of refused.tflite"]
        assert found.files["tiny_int8.tflite"][0].own_db is not None, "the others are compared"


RECIPE = """
[data]
scale = "1/255"
[[stage]]
use = "prune_channels"
ratio = 0.5
scope = "layer"
round_to = 2
epochs = 0
[[export]]
use = "tflite"
scheme = "static_w8a8"
of = "original"
[[export]]
use = "tflite"
scheme = "static_w8a8"
[[export]]
use = "tflite"
"""


def residual(keras):
    keras.utils.set_random_seed(0)
    layers = keras.layers
    image = keras.Input((8, 8, 1))
    x = layers.ReLU(name="stem_relu")(layers.BatchNormalization(name="stem_norm")(layers.Conv2D(8, 3, padding="same", name="stem")(image)))
    y = layers.Conv2D(12, 3, padding="same", activation="relu", name="inner")(x)
    y = layers.Conv2D(8, 3, padding="same", name="outer")(y)
    x = layers.ReLU(name="joined")(layers.Add(name="add")([x, y]))
    return keras.Model(image, layers.Dense(3, activation="softmax", name="answer")(layers.GlobalAveragePooling2D(name="mean")(x)))


@pytest.mark.tensorflow
def test_a_run_describes_the_layers_of_a_pruned_residual_network(tmp_path, npz):
    import keras

    residual(keras).save(tmp_path / "residual.keras")
    (tmp_path / "small.toml").write_text(RECIPE)
    found = toolchain.run(str(tmp_path / "small.toml"), model=tmp_path / "residual.keras", data=str(npz), out=tmp_path / "out")
    original, pruned, plain = found.artifacts
    widths = {row.name.partition(" ")[0]: (row.channels_before, row.channels) for row in pruned.layers if row.channels}
    assert widths == {"stem": (8, 4), "inner": (12, 6), "outer": (8, 4), "answer": (3, 3)}
    assert {row.channels_before == row.channels for row in original.layers} == {True}
    assert [row.name for row in plain.layers][:3] == ["stem + stem_norm + stem_relu", "inner", "outer"]
    add = next(row for row in plain.layers if row.operator == "ADD")
    assert (add.name, add.reads) == ("add + joined", (0, 2))
    assert {row.own_db for row in plain.layers} == {None}
    assert not [row for row in found.skipped if row.step == "layers"]
    assert next(step for step in found.steps if step.name == "layers").examples == {"errors of layers": "16 of 30 in shapes.npz/test"}

    split = open_data(str(npz), "run", DataSettings.of("1/255", 0.0), 0, Cache(), silent)
    x, y = split.raw("test")
    np.savez(tmp_path / "test.npz", x=x, y=y)
    compared = climb(
        tmp_path / "out" / "final.keras",
        [tmp_path / "out" / "static_w8a8.tflite"],
        data=str(tmp_path / "test.npz"),
        scale="1/255",
        examples=reports.EXAMPLES,
    )
    expected = {(row.name, row.operator): (row.own_db, row.level_db) for row in compared.files[0].layers[1:]}
    assert {(row.name, row.operator): (row.own_db, row.level_db) for row in pruned.layers} == expected
    assert 15 < expected["inner", "CONV_2D"][0] < 60
