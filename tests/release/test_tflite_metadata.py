import io
import os
import shutil
import subprocess
import time
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolchain.errors import BundleError, ModelError
from toolchain.quantization.flatbuffer import packed, unpacked
from toolchain.release.grafting import ALIGNMENT
from toolchain.release.tflite_metadata import ENTRY, describe, lines
from toolchain.runners.litert import LiteRT
from toolchain.tflite_file import TfliteFile

FACTS = {
    "name": "tiny",
    "description": "which third",
    "version": "1.2.0",
    "author": "us",
    "license": "MIT",
    "labels": ("cat", "dög", "owl"),
}


def described(content, **changes):
    return describe(content, **(FACTS | {"scale": 1 / 255, "offset": -0.5, "image": True} | changes))


def metadata_of(content):
    """The flatbuffer that the entry names."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content, 0)
    (buffer,) = [model.Metadata(i).Buffer() for i in range(model.MetadataLength()) if model.Metadata(i).Name() == ENTRY]
    return model.Buffers(buffer).DataAsNumpy().tobytes()


@pytest.fixture(params=["tiny_int8", "tiny_float"])
def path(request):
    return request.getfixturevalue(request.param)


def test_the_described_file_answers_bit_for_bit(path, tmp_path):
    other = tmp_path / "described.tflite"
    other.write_bytes(described(path.read_bytes()))
    before, after = LiteRT(path), LiteRT(other)
    inputs = [np.random.default_rng(0).uniform(0, 1, (20, *shape)).astype(np.float32) for shape in before.input_shapes]
    stored = before.quantize(inputs)
    assert np.array_equal(before.predict_raw(stored), after.predict_raw(stored))
    assert len(np.unique(before.predict_raw(stored))) > 4


def test_tensors_operators_and_quantization_stay(path, tmp_path):
    other = tmp_path / "described.tflite"
    other.write_bytes(described(path.read_bytes()))
    before, after = TfliteFile.read(path), TfliteFile.read(other)
    assert (after.tensors, after.operators, after.inputs, after.outputs) == (
        before.tensors,
        before.operators,
        before.inputs,
        before.outputs,
    )
    assert all(np.array_equal(before.constant(t), after.constant(t)) for t in before.weights)


def test_the_model_moves_as_a_whole_by_the_alignment_of_constants(path):
    content = path.read_bytes()
    place = described(content).find(content)
    assert place > 0
    assert place % ALIGNMENT == 0


def test_everything_else_in_the_file_is_kept(path):
    before, after = unpacked(path.read_bytes()), unpacked(described(path.read_bytes()))
    assert [m.name for m in after.metadata] == [*(m.name for m in before.metadata), ENTRY]
    assert (after.version, after.description) == (before.version, before.description)
    assert len(after.buffers) == len(before.buffers) + 1
    for old, new in zip(before.buffers, after.buffers, strict=False):
        assert np.array_equal(old.data, new.data)
    assert len(after.signatureDefs or ()) == len(before.signatureDefs or ())


def test_signatures_are_kept(tiny_int8):
    from ai_edge_litert import schema_py_generated as schema

    model, signature = unpacked(tiny_int8.read_bytes()), schema.SignatureDefT()
    signature.signatureKey = b"serve"
    model.signatureDefs = [signature]
    (found,) = unpacked(described(packed(model))).signatureDefs
    assert found.signatureKey == b"serve"


def test_labels_lie_uncompressed_behind_the_model(tiny_int8, tmp_path):
    content = described(tiny_int8.read_bytes())
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (entry,) = archive.infolist()
        assert (entry.filename, entry.compress_type, entry.date_time) == ("labels.txt", zipfile.ZIP_STORED, (1980, 1, 1, 0, 0, 0))
        assert archive.read(entry).decode() == "cat\ndög\nowl\n"
    assert not zipfile.is_zipfile(io.BytesIO(described(tiny_int8.read_bytes(), labels=())))


@pytest.mark.skipif(not shutil.which("unzip"), reason="unzip is not installed")
def test_unzip_finds_the_labels(tiny_int8, tmp_path):
    (tmp_path / "model.tflite").write_bytes(described(tiny_int8.read_bytes()))
    done = subprocess.run(["unzip", "-p", "model.tflite", "labels.txt"], cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout.decode() == "cat\ndög\nowl\n"
    assert not done.stderr


def test_the_same_input_gives_the_same_bytes(tiny_int8, monkeypatch):
    first = described(tiny_int8.read_bytes())
    monkeypatch.setattr(time, "time", lambda: 2e9)
    previous = os.umask(0o077)
    try:
        assert described(tiny_int8.read_bytes()) == first
    finally:
        os.umask(previous)


def test_metadata_that_a_file_brings_are_not_replaced(tiny_int8):
    once = described(tiny_int8.read_bytes())
    assert described(once, name="another") == once


def test_the_schema_of_mediapipe_reads_it(tiny_int8):
    schema = pytest.importorskip("mediapipe.tasks.metadata.metadata_schema_py_generated")
    stored = metadata_of(described(tiny_int8.read_bytes(), scale=1 / 127.5, offset=-1.0))
    assert schema.ModelMetadata.ModelMetadataBufferHasIdentifier(stored, 0)
    found = schema.ModelMetadataT.InitFromObj(schema.ModelMetadata.GetRootAs(stored, 0))
    assert (found.name, found.description, found.version) == (b"tiny", b"which third", b"1.2.0")
    assert (found.author, found.license, found.minParserVersion) == (b"us", b"MIT", b"1.0.0")
    (graph,) = found.subgraphMetadata
    (source,), (answer,) = graph.inputTensorMetadata, graph.outputTensorMetadata
    assert source.content.contentPropertiesType == schema.ContentProperties.ImageProperties
    assert source.content.contentProperties.colorSpace == schema.ColorSpaceType.GRAYSCALE
    (unit,) = source.processUnits
    assert unit.optionsType == schema.ProcessUnitOptions.NormalizationOptions
    assert (unit.options.mean.tolist(), unit.options.std.tolist()) == ([127.5], [127.5])
    (file,) = answer.associatedFiles
    assert (file.name, file.type) == (b"labels.txt", schema.AssociatedFileType.TENSOR_AXIS_LABELS)


@pytest.mark.parametrize(
    ("scale", "offset", "mean", "std"),
    [(1 / 255, 0.0, 0.0, 255.0), (1 / 127.5, -1.0, 127.5, 127.5), (1.0, 0.0, 0.0, 1.0), (2.0, 3.0, -1.5, 0.5)],
)
def test_normalization_is_mean_and_deviation(tiny_int8, scale, offset, mean, std):
    """x * scale + offset = (x - mean) / std; the two lists of one float32 stand in the flatbuffer."""
    stored = metadata_of(described(tiny_int8.read_bytes(), scale=scale, offset=offset))
    for value in (mean, std):
        assert np.uint32(1).tobytes() + np.float32(value).tobytes() in stored


def test_token_ids_have_no_normalization(tiny_float):
    from ai_edge_litert import schema_py_generated as schema

    model = unpacked(tiny_float.read_bytes())
    real = metadata_of(described(packed(model), scale=3.0))
    model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].type = schema.TensorType.INT32
    tokens = metadata_of(described(packed(model), scale=3.0))
    deviation = np.uint32(1).tobytes() + np.float32(1 / 3).tobytes()
    assert (deviation in real, deviation in tokens) == (True, False)


def test_what_nobody_stated_is_absent(tiny_int8):
    assert len(metadata_of(described(tiny_int8.read_bytes(), author=""))) < len(metadata_of(described(tiny_int8.read_bytes(), author="a")))


def test_flatbuffer_has_its_identifier(tiny_int8):
    assert metadata_of(described(tiny_int8.read_bytes()))[4:8] == b"M001"


def test_what_is_no_image_says_features(tiny_int8):
    assert metadata_of(described(tiny_int8.read_bytes(), image=False)) != metadata_of(described(tiny_int8.read_bytes(), image=True))


def test_a_scale_of_zero_is_no_normalization(tiny_int8):
    with pytest.raises(ModelError, match="no normalization"):
        described(tiny_int8.read_bytes(), scale=0.0)


def test_fields_younger_than_the_toolchain_are_refused(tiny_int8):
    from ai_edge_litert import schema_py_generated as schema

    model = unpacked(tiny_int8.read_bytes())
    model.externalBuffers = [schema.ExternalBufferT()]
    with pytest.raises(ModelError, match="younger than this toolchain"):
        described(packed(model))


def test_constants_behind_the_model_are_refused(tiny_int8):
    model = unpacked(tiny_int8.read_bytes())
    model.buffers[2].offset, model.buffers[2].size = 4096, 16
    with pytest.raises(ModelError, match="over 2 GB"):
        described(packed(model))


@pytest.mark.parametrize("label", ["", " ", "two\nlines", "a\u2028b", "end\r"])
def test_a_label_is_a_line(label):
    with pytest.raises(BundleError, match="label 1"):
        lines(("cat", label))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5))
def test_labels_are_read_back_or_refused(labels):
    try:
        found = lines(labels)
    except BundleError:
        return
    assert found.decode().splitlines() == labels
