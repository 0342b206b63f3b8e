"""Files made to do harm: each would run code, read or write elsewhere, or never end, if it were read without care."""

from __future__ import annotations

import io
import json
import os
import signal
import struct
import subprocess
import sys
import time
import tracemalloc
import zipfile
from pathlib import Path

import h5py
import msgspec
import numpy as np
import psutil
import pytest
import seeds
from conftest import HERE, secateur
from damage import archive
from PIL import Image

from toolchain import checksums, delivery, keras_models, recipe, report, target, untrusted
from toolchain.artifact import sniff
from toolchain.data_sources import Request, prepare
from toolchain.errors import DataError, ModelError, RecipeError, StorageError, TargetError, ToolchainError
from toolchain.inspection import InspectJob, inspect
from toolchain.keras_safety import check_safe, check_weights
from toolchain.onnx_file import OnnxFile, check_whole
from toolchain.runners.litert import LiteRT
from toolchain.runners.onnxruntime import OnnxRuntime
from toolchain.tflite_bounds import check_bounds
from toolchain.tflite_file import TfliteFile
from toolchain.worker import Worker, silent

LOADED = HERE / "hostile" / "must_not_be_imported.py"


def read(source, folder):
    return prepare(Request(str(source), "run", 0, folder / "splits"), silent)


# What is no file


@pytest.fixture(params=["fifo", "device"])
def endless(request, tmp_path):
    """A name that blocks its reader or never ends."""

    def make(name):
        path = tmp_path / name
        os.mkfifo(path) if request.param == "fifo" else path.symlink_to("/dev/zero")
        return path

    return make


@pytest.mark.parametrize(
    ("name", "reader", "error"),
    [
        ("m.tflite", sniff, ModelError),
        ("m.keras", sniff, ModelError),
        ("m.tflite", TfliteFile.read, ModelError),
        ("m.onnx", OnnxFile.read, ModelError),
        ("r.toml", lambda path: recipe.load(str(path)), RecipeError),
        ("t.toml", lambda path: target.load(str(path)), TargetError),
        ("report.json", report.load, ToolchainError),
        ("d.npz", lambda path: read(path, path.parent), DataError),
    ],
)
def test_a_fifo_or_a_device_is_refused_at_once(endless, name, reader, error):
    path = endless(name)
    with pytest.raises(error, match="neither a file nor a folder"):
        reader(path)


def test_a_fifo_among_images_is_refused(tmp_path):
    (tmp_path / "data" / "cat").mkdir(parents=True)
    os.mkfifo(tmp_path / "data" / "cat" / "1.png")
    with pytest.raises(DataError, match="neither a file nor a folder"):
        read(tmp_path / "data", tmp_path)


def test_a_folder_is_no_recipe(tmp_path):
    (tmp_path / "r.toml").mkdir()
    with pytest.raises(RecipeError, match="is a folder, not a file"):
        recipe.load(str(tmp_path / "r.toml"))


# Text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = " + "[" * 100_000, "nested too deeply"),
        ("x = " + "9" * 5000, "4300 digits"),
        ("# " + "x" * untrusted.TABLE_BYTES, "larger than"),
        ("seed = 0x" + "f" * 5000, "at most 64 bits"),
        ("data = { x = [[{ y = 9223372036854775808 }]] }", "at most 64 bits"),
    ],
)
def test_tables_that_are_too_much(tmp_path, text, message):
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(RecipeError, match=message) as caught:
        recipe.load(str(tmp_path / "r.toml"))
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("name", ["/etc/passwd", "../up.tflite", "a/b.tflite", "..", "", "nul\0"])
@pytest.mark.parametrize("field", ["name", "path"])
def test_a_report_names_only_files_beside_it(tmp_path, name, field):
    good = seeds.a_report()
    bad = msgspec.structs.replace(good, artifacts=(msgspec.structs.replace(good.artifacts[0], **{field: name}),))
    (tmp_path / "report.json").write_bytes(report.dumps(bad))
    with pytest.raises(ToolchainError, match="is no name of a file beside the report"):
        report.load(tmp_path / "report.json")


def test_a_report_that_names_a_file_elsewhere_does_not_have_it_removed(tmp_path):
    victim, out = tmp_path / "mine.txt", tmp_path / "out"
    victim.write_text("precious")
    out.mkdir()
    row = msgspec.structs.replace(seeds.a_report().artifacts[0], name="../mine.txt", digest=delivery.digest(victim))
    (out / "report.json").write_bytes(report.dumps(msgspec.structs.replace(seeds.a_report(), artifacts=(row,))))
    delivery.remove_stale(out, ())
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("uri", ["javascript:alert(1)", "https://example.com/x.png", 'data:image/png;base64,A" onload="x'])
def test_pictures_of_a_report_are_in_the_report(tmp_path, uri):
    (tmp_path / "report.json").write_bytes(report.dumps(msgspec.structs.replace(seeds.a_report(), pictures={"0": uri})))
    with pytest.raises(ToolchainError, match="no PNG in the report"):
        report.load(tmp_path / "report.json")


def test_a_list_of_checksums_leads_nowhere_else(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    (tmp_path / "out").mkdir()
    listed = delivery.digest(tmp_path / "mine.txt")
    (tmp_path / "out" / checksums.LIST).write_text(f"{listed}  ../mine.txt\n{listed}  \n{listed}  ..\n{listed}  {tmp_path}/mine.txt\n")
    checksums.withdraw(tmp_path / "out")
    assert (tmp_path / "mine.txt").read_text() == "precious"


# Arrays and images


def test_an_archive_of_arrays_that_unpacks_to_more_than_memory(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "bomb.npz", x=np.zeros((1 << 25,), np.uint8), y=np.zeros(3))
    assert (tmp_path / "bomb.npz").stat().st_size < 1 << 16
    monkeypatch.setattr(untrusted, "memory_bytes", lambda: 1 << 24)
    tracemalloc.start()
    with pytest.raises(DataError, match=r"takes 33,5\d\d,\d\d\d B when it is read"):
        read(tmp_path / "bomb.npz", tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 22, "refused before anything is unpacked"
    tracemalloc.stop()


@pytest.mark.parametrize("header", ["{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776,), }", "(" * 300, "-" * 3000 + "1"])
def test_an_array_that_claims_to_be_huge_or_has_a_deep_header(tmp_path, header):
    text = header.encode().ljust(4000) + b"\n"
    content = b"\x93NUMPY\x02\x00" + struct.pack("<I", len(text)) + text + bytes(64)
    (tmp_path / "d.npz").write_bytes(archive({"x.npy": content}))
    with pytest.raises(DataError, match="not a readable .npz"):
        read(tmp_path / "d.npz", tmp_path)


def test_pickles_in_arrays_are_not_read(tmp_path):
    class Payload:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "executed"),))

    np.savez(tmp_path / "d.npz", x=np.array([Payload()], object))
    with pytest.raises(DataError, match="not a readable .npz"):
        read(tmp_path / "d.npz", tmp_path)
    np.array([Payload()], object).dump(tmp_path / "bare.npz")
    with pytest.raises(DataError, match="not a readable .npz"):
        read(tmp_path / "bare.npz", tmp_path)
    assert not (tmp_path / "executed").exists()


def test_a_bare_array_and_a_member_that_is_no_array(tmp_path):
    with (tmp_path / "bare.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(DataError, match="a bare array"):
        read(tmp_path / "bare.npz", tmp_path)
    (tmp_path / "text.npz").write_bytes(archive({"x": b"no array", "y": b""}))
    with pytest.raises(DataError, match="x, y is no array"):
        read(tmp_path / "text.npz", tmp_path)


def picture(tmp_path, name="1.png"):
    (tmp_path / "data" / "cat").mkdir(parents=True, exist_ok=True)
    return tmp_path / "data" / "cat" / name


def test_a_picture_of_more_pixels_than_pillow_allows(tmp_path):
    Image.new("1", (30_000, 30_000)).save(picture(tmp_path))
    assert picture(tmp_path).stat().st_size < 1 << 18
    with pytest.raises(DataError, match=r"30000 x 30000 pixels are too many|decompression bomb"):
        read(tmp_path / "data", tmp_path)
    Image.new("1", (12_000, 12_000)).save(picture(tmp_path))  # between Pillow's warning and its error
    with pytest.raises(DataError, match="12000 x 12000 pixels are too many"):
        read(tmp_path / "data", tmp_path)


def test_a_picture_of_another_kind_than_its_name_says(tmp_path):
    """Pillow would read 40 formats more, and start Ghostscript for PostScript."""
    for content in (seeds.image("gif"), b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(x) run\n"):
        picture(tmp_path).write_bytes(content)
        with pytest.raises(DataError, match="not a readable image"):
            read(tmp_path / "data", tmp_path)


@pytest.mark.parametrize("whole_class", [False, True])
def test_links_out_of_a_folder_of_images(tmp_path, whole_class):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "1.png").write_bytes(seeds.image("png"))
    if whole_class:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "cat").symlink_to(secret)
    else:
        picture(tmp_path).symlink_to(secret / "1.png")
    with pytest.raises(DataError, match="a link that leads out of"):
        read(tmp_path / "data", tmp_path)


def test_links_within_a_folder_of_images_are_followed(tmp_path):
    for index in range(12):
        picture(tmp_path, f"{index}.png").write_bytes(seeds.image("png"))
    picture(tmp_path, "12.png").symlink_to("0.png")
    assert read(tmp_path / "data", tmp_path).size("train") == 11


# Keras


def layered(*entries):
    return {**seeds.CONFIG, "config": {"name": "s", "layers": list(entries)}}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({**seeds.layer("layers.Lambda"), "module": "keras"}, "the Lambda layer"),
        ({**seeds.layer("layers.TFSMLayer"), "module": "keras"}, "the TFSMLayer layer"),
        (seeds.layer("SlicingOpLambda", function="io.write_file"), "calls tf.io.write_file"),
        (seeds.layer("TensorFlowOpLayer", node_def={"op": "WriteFile"}), "the TensorFlowOpLayer layer"),
        (seeds.layer("ClassMethod", cls_symbol="io.gfile"), "the ClassMethod layer"),
        ({"class_name": "__lambda__", "config": {"value": "x"}}, "the __lambda__ layer"),
        ({"class_name": "function", "config": "utils.get_file", "module": "keras"}, "is a custom class"),
        ({"class_name": "function", "config": "load_model", "module": "keras.models"}, "is a custom class"),
        ({**seeds.layer("PruneLowMagnitude"), "module": "must_not_be_imported"}, "is a custom class"),
        ({**seeds.layer("Sequential"), "module": "keras", "compile_config": {"loss": seeds.layer("Lambda")}}, "the Lambda layer"),
        (seeds.layer("StringLookup", vocabulary="/etc/passwd"), "reads its vocabulary from '/etc/passwd'"),
        (seeds.layer("TextVectorization", idf_weights="/etc/passwd"), "reads its idf_weights from"),
    ],
)
def test_what_a_configuration_may_not_name(tmp_path, entry, message):
    with pytest.raises(ModelError, match=message):
        check_safe(tmp_path / "m.keras", layered(seeds.layer("Dense", units=3), entry))


@pytest.mark.parametrize("config", [[], "text", 3, None])
def test_a_configuration_that_is_no_object(tmp_path, config):
    (tmp_path / "m.keras").write_bytes(archive(seeds.keras_members(config)))
    with pytest.raises(ModelError, match="no object of JSON"):
        keras_models.read_config(tmp_path / "m.keras")


def test_a_keras_archive_that_unpacks_to_more_than_memory(tmp_path, monkeypatch):
    (tmp_path / "m.keras").write_bytes(archive(seeds.keras_members() | {"assets/zeros": bytes(1 << 25)}))
    monkeypatch.setattr(untrusted, "memory_bytes", lambda: 1 << 24)
    with pytest.raises(ModelError, match="B when it is read"):
        keras_models.read_config(tmp_path / "m.keras")


def test_an_archive_on_several_disks(tmp_path):
    """zipfile.is_zipfile raises for it."""
    ends = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 0, 0, 0, 0) + struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 3)
    (tmp_path / "m.keras").write_bytes(b"PK\x03\x04" + ends + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0, 0, 0, 0, 0))
    with pytest.raises(ModelError, match="the .keras archive is truncated"):
        sniff(tmp_path / "m.keras")


def test_an_encrypted_archive(tmp_path):
    content = bytearray(archive(seeds.keras_members()))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := content.find(signature, at + 1)) >= 0:
            content[at + flags] |= 1
    (tmp_path / "m.keras").write_bytes(content)
    with pytest.raises(ModelError, match="an encrypted archive"):
        keras_models.read_config(tmp_path / "m.keras")


def hdf5(tmp_path, kind):
    """Weights that lie in another file, or are claimed to be a terabyte."""
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["private"] = np.ones(4, np.float32)
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        group = file.create_group("layers/dense/vars")
        if kind == "external link":
            group["0"] = h5py.ExternalLink(str(secret), "/private")
        elif kind == "soft link":
            group["0"] = h5py.SoftLink("/elsewhere")
        elif kind == "external storage":
            group.create_dataset("0", (4,), "f4", external=[("/etc/passwd", 0, 16)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout((4,), "f4")
            layout[:] = h5py.VirtualSource(secret, "private", (4,))
            group.create_virtual_dataset("0", layout)
        elif kind == "huge":
            group.create_dataset("0", (1 << 20, 1 << 20), "f4", chunks=(1024, 1024))
        elif kind == "cycle":
            group["again"] = file["layers"]
            group["0"] = np.ones(4, np.float32)
    return content.getvalue()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("external link", "are a link to another place"),
        ("soft link", "are a link to another place"),
        ("external storage", "lie in another file"),
        ("virtual", "lie in another file"),
        ("huge", "when it is read, more than half"),
    ],
)
@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_weights_that_lead_elsewhere(tmp_path, kind, message, suffix):
    content, path = hdf5(tmp_path, kind), tmp_path / f"m.{suffix}"
    path.write_bytes(content if suffix == "h5" else archive(seeds.keras_members() | {"model.weights.h5": content}))
    with pytest.raises(ModelError, match=message):
        check_weights(path)


def test_a_file_that_libhdf5_never_finishes_ends_at_the_limit(monkeypatch):
    """Found by benchmarks/fuzz.py: one changed byte, and HDF5 1.14.6 does not come back from reading it."""
    begun = time.monotonic()
    with Worker() as worker, pytest.raises(ModelError):
        worker.call("toolchain.keras_models:refuse_unsafe", HERE / "hostile" / "never_ends.h5", type(None), "m.h5", 3.0)
    assert time.monotonic() - begun < 30


def test_groups_that_hold_themselves_end(tmp_path):
    (tmp_path / "m.h5").write_bytes(hdf5(tmp_path, "cycle"))
    check_weights(tmp_path / "m.h5")


@pytest.mark.tensorflow
def test_the_class_of_a_wrapper_is_not_imported_from_anywhere(tmp_path, monkeypatch):
    """tf_keras imports the module that a configuration names."""
    (tmp_path / "must_not_be_imported.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    members = seeds.keras_members(layered({**seeds.layer("PruneLowMagnitude"), "module": "must_not_be_imported"}))
    members["metadata.json"] = b'{"keras_version": "2.21.0"}'
    (tmp_path / "m.keras").write_bytes(archive(members))
    done = secateur("inspect", str(tmp_path / "m.keras"))
    assert (done.returncode, done.stderr.count("\n") <= 2) == (2, True)
    assert "is a custom class" in done.stderr
    assert not (tmp_path / "ran").exists()


@pytest.mark.tensorflow
@pytest.mark.parametrize("operator", ["ReadFile", "WriteFile", "SaveV2", "PyFunc", "FixedUnigramCandidateSampler"])
def test_saved_models_that_reach_outside(tmp_path, operator, monkeypatch):
    """The functions that save and restore stand in every SavedModel; called by the model itself, they are refused."""
    import tensorflow as tf

    secret = tmp_path / "secret"
    secret.write_text("a\nb\n")

    def reach(x):
        if operator == "ReadFile":
            return x + tf.cast(tf.strings.length(tf.io.read_file(str(secret))), tf.float32)
        if operator == "WriteFile":
            tf.io.write_file(str(tmp_path / "written"), "x")
        elif operator == "SaveV2":
            tf.raw_ops.SaveV2(prefix=str(tmp_path / "written"), tensor_names=["x"], shape_and_slices=[""], tensors=[x])
        elif operator == "PyFunc":
            return tf.numpy_function(lambda v: v, [x], tf.float32)
        else:
            tf.random.fixed_unigram_candidate_sampler(tf.zeros((1, 1), tf.int64), 1, 1, True, 2, vocab_file=str(secret))
        return x * 2.0

    module = tf.Module()
    module.variable = tf.Variable(2.0)
    signature = [tf.TensorSpec((1, 4), tf.float32)]
    module.outer = tf.function(lambda x: {"y": tf.function(reach)(x) * module.variable}, input_signature=signature)
    module.plain = tf.function(lambda x: {"y": x * module.variable}, input_signature=signature)
    from toolchain.keras_function import open_function

    tf.saved_model.save(module, str(tmp_path / "good"), signatures=module.plain) if operator == "ReadFile" else None
    tf.saved_model.save(module, str(tmp_path / "bad"), signatures=module.outer)
    with pytest.raises(ModelError, match=f"uses .*{operator}"):
        open_function(tmp_path / "bad")
    assert not list(tmp_path.glob("written*"))
    del module.outer
    tf.saved_model.save(module, str(tmp_path / "fine"), signatures=module.plain)
    assert open_function(tmp_path / "fine").input_shapes == [(4,)]


# .tflite and .onnx


def repacked(change, name="tiny_int8"):
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(seeds.tflite(name), 0)
    change(model, model.subgraphs[0])
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def set_to(owner, **fields):
    for name, value in fields.items():
        setattr(owner, name, value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model, graph: set_to(graph.operators[0], inputs=[0, 999, 2]), "refers to tensor 999"),
        (lambda model, graph: set_to(graph.operators[0], inputs=[-5, 1, 2]), "refers to tensor -5"),
        (lambda model, graph: set_to(graph.operators[0], outputs=[-1]), "refers to tensor -1"),
        (lambda model, graph: set_to(graph, inputs=[77]), "refers to tensor 77"),
        (lambda model, graph: set_to(graph.tensors[0], shape=[1, 2**31 - 1, 2]), "has the shape"),
        (lambda model, graph: set_to(graph.tensors[0], shape=[1, -8, 8, 1]), "has the shape"),
        (lambda model, graph: set_to(graph.tensors[1], shape=[9, 9, 9, 9]), "the constant 1 has"),
        (lambda model, graph: set_to(graph.operators[0], opcodeIndex=99), "IndexError"),
        (lambda model, graph: set_to(graph.tensors[1].quantization, zeroPoint=[0, 0]), "and 2 zero points"),
    ],
)
def test_tflite_files_whose_parts_do_not_fit(tmp_path, change, message):
    (tmp_path / "m.tflite").write_bytes(repacked(change))
    with pytest.raises(ModelError, match=message):
        TfliteFile.read(tmp_path / "m.tflite")


@pytest.mark.parametrize(
    "change",
    [
        lambda model, graph: set_to(graph.tensors[0].quantization, zeroPoint=None),
        lambda model, graph: set_to(graph.operators[-1], outputs=[]),
        lambda model, graph: set_to(graph.operators[-1], outputs=None),
    ],
)
def test_a_tflite_with_parts_left_out_is_looked_into(tmp_path, change):
    (tmp_path / "m.tflite").write_bytes(repacked(change))
    assert inspect(InspectJob(tmp_path / "m.tflite", trust=False), silent).rows[-1].kind == "SOFTMAX"


def test_a_tflite_whose_weights_are_not_there(tmp_path):
    """The interpreter loads it, and finds out when it runs."""
    (tmp_path / "m.tflite").write_bytes(repacked(lambda model, graph: set_to(graph.tensors[graph.operators[0].inputs[2]], buffer=0)))
    with pytest.raises(ModelError, match="LiteRT cannot run it"):
        LiteRT(tmp_path / "m.tflite", kernels="reference").predict([np.zeros((1, 8, 8, 1), np.float32)])


def shared_tables(count):
    """A vector of `count` subgraphs that are all one, with `count` operators that are all one."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    builder = flatbuffers.Builder(1024)
    schema.OperatorStart(builder)
    operator = schema.OperatorEnd(builder)
    schema.SubGraphStartOperatorsVector(builder, count)
    for _ in range(count):
        builder.PrependUOffsetTRelative(operator)
    operators = builder.EndVector()
    schema.SubGraphStart(builder)
    schema.SubGraphAddOperators(builder, operators)
    graph = schema.SubGraphEnd(builder)
    schema.ModelStartSubgraphsVector(builder, count)
    for _ in range(count):
        builder.PrependUOffsetTRelative(graph)
    graphs = builder.EndVector()
    schema.ModelStart(builder)
    schema.ModelAddSubgraphs(builder, graphs)
    builder.Finish(schema.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())


def test_a_tflite_whose_parts_are_shared_is_refused_before_it_is_unpacked(tmp_path):
    (tmp_path / "bomb.tflite").write_bytes(shared_tables(20_000))  # 160 kB, 400 million operators
    begun = time.monotonic()
    with pytest.raises(ModelError, match="its parts share their bytes"):
        TfliteFile.read(tmp_path / "bomb.tflite")
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize("name", ["tiny_int8", "tiny_float32"])
def test_whole_files_are_within_their_bounds(name):
    check_bounds(seeds.tflite(name))


@pytest.mark.parametrize("place", ["main", "branch", "constant"])
def test_onnx_files_with_weights_in_other_files(tmp_path, place):
    import onnx

    seeds.onnx(tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    (tmp_path / "secret").write_bytes(bytes(5 * 7 * 4))
    branch = model.graph.node[1].attribute[0].g
    if place == "constant":
        branch.node.append(onnx.helper.make_node("Constant", [], ["k"], value=onnx.TensorProto(data_type=1, dims=[35])))
    found = {"main": model.graph.initializer[0], "branch": branch.initializer[0]}.get(place) or branch.node[-1].attribute[0].t
    found.raw_data = bytes(4)
    onnx.external_data_helper.set_external_data(found, location="secret")
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    for reader in (OnnxFile.read, check_whole, OnnxRuntime):
        with pytest.raises(ModelError, match="weights in other files are not read"):
            reader(tmp_path / "m.onnx")


def test_an_onnx_that_takes_no_examples(tmp_path):
    """onnxruntime loads it and refuses every input."""
    import onnx

    seeds.onnx(tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 3
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="onnxruntime cannot run it"):
        OnnxRuntime(tmp_path / "m.onnx").predict([np.zeros((1, 1, 6, 6), np.float32)])


def test_the_word_location_is_found_across_chunks(tmp_path, monkeypatch):
    from toolchain import onnx_file

    monkeypatch.setattr(onnx_file, "CHUNK", 5)
    parsed = []
    monkeypatch.setattr(onnx_file, "_parsed", parsed.append)
    for at in range(12):
        (tmp_path / "m.onnx").write_bytes(b"." * at + b"location" + b"." * 9)
        check_whole(tmp_path / "m.onnx")
    (tmp_path / "m.onnx").write_bytes(b"locatio_locatio" * 9)
    check_whole(tmp_path / "m.onnx")
    assert len(parsed) == 12


# Children


def test_a_child_imports_nothing_from_the_folder_it_is_started_in(tmp_path):
    """Models are looked at where they were downloaded, beside whatever came with them."""
    (tmp_path / "h5py.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    (tmp_path / "m.h5").write_bytes(seeds.h5())
    script = "from pathlib import Path; from toolchain.worker import Worker\nwith Worker() as w: w.call('toolchain.keras_models:refuse_unsafe', Path('m.h5'), type(None), 'm')"
    done = subprocess.run([sys.executable, "-P", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "ran").exists()


@pytest.fixture
def busy(tmp_path):
    """A parent whose child is in native code that keeps Python's lock, and has started a process of its own."""
    script = (
        "import reader_jobs; from pathlib import Path; from toolchain.worker import Worker\n"
        "Worker(lambda what, *_: print(what, flush=True)).call('reader_jobs:hang_in_native_code', Path(), str, 'x')"
    )
    environment = os.environ | {"PYTHONPATH": f"{HERE}:{HERE / 'hostile'}"}
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment)
    processes = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
    yield parent, processes
    parent.kill()
    for process in processes:
        process.kill() if process.is_running() else None


def test_a_child_in_native_code_and_what_it_started_die_with_a_killed_parent(busy):
    parent, processes = busy
    time.sleep(0.5)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert not psutil.wait_procs(processes, timeout=10)[1]


def test_a_child_takes_no_more_memory_than_there_is_and_is_the_first_to_go(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{HERE}:{HERE / 'hostile'}")
    with Worker() as worker:
        memory, score = worker.call("reader_jobs:memory_limits", Path(), tuple[int, int], "x")
        assert (memory, score >= 500) == (2 * untrusted.memory_bytes(), True)
        with pytest.raises(ModelError, match="not enough memory"):
            worker.call("reader_jobs:take_more_than_all_memory", Path(), str, "x")


# Deliveries


def test_what_a_killed_run_brought_is_found_again_and_nothing_else(tmp_path):
    source, out = tmp_path / "source", tmp_path / "out"
    source.write_bytes(b"model")
    with pytest.raises(KeyboardInterrupt), delivery.announced(out, {"a.tflite": source, "b.tflite": source}):
        delivery.put(source, out / "a.tflite")
        (out / "report.html").touch()
        raise KeyboardInterrupt
    delivery.check_free(out, ["a.tflite", "b.tflite", "report.html"])
    (out / "b.tflite").write_bytes(b"mine")
    with pytest.raises(StorageError, match="already holds b.tflite, which no earlier run wrote"):
        delivery.check_free(out, ["a.tflite", "b.tflite"])
    with delivery.announced(out, {}):
        pass
    assert not (out / delivery.PENDING).exists()
    with pytest.raises(StorageError, match=r"a\.tflite, b\.tflite"):
        delivery.check_free(out, ["a.tflite", "b.tflite"])


def test_zip_members_do_not_unpack_beyond_what_they_declare(tmp_path):
    """untrusted.check_archive relies on this."""
    content = bytearray(archive({"x": bytes(1 << 20)}))
    declared = struct.pack("<I", 1 << 20)
    assert content.count(declared) == 2
    with zipfile.ZipFile(io.BytesIO(content.replace(declared, struct.pack("<I", 9)))) as file:
        try:
            assert len(file.read("x")) <= 9
        except zipfile.BadZipFile as err:
            assert "CRC" in str(err)


def test_the_json_of_a_report_that_is_nested_without_end(tmp_path):
    text = json.loads(report.dumps(seeds.a_report()))
    (tmp_path / "report.json").write_text(json.dumps(text)[:-1] + ', "settings": ' + '{"a":' * 50_000)
    with pytest.raises(ToolchainError, match="not a report of schema 1"):
        report.load(tmp_path / "report.json")
