import zipfile

import pytest

from toolchain.artifact import Artifact, Format, sniff
from toolchain.errors import ModelError


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.tflite", b"", "the file is empty"),
        ("text.tflite", b"hello there", r"not a .tflite model \(its first bytes are 68 65 6c 6c 6f"),
        ("half.keras", b"PK\x03\x04 and no more", "archive is truncated"),
        ("text.keras", b"not a zip!", "not a .keras model"),
        ("text.h5", b"not hdf5!", "not a .h5 model"),
        ("model.pt", b"whatever", "unknown kind of model; use .keras, .h5"),
    ],
)
def test_a_wrong_file_is_refused_before_anything_loads_it(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=message):
        sniff(tmp_path / name)


def test_missing_files_and_folders_that_are_no_model(tmp_path):
    with pytest.raises(ModelError, match="no such file"):
        sniff(tmp_path / "none.keras")
    with pytest.raises(ModelError, match="without saved_model.pb"):
        sniff(tmp_path)


def test_formats_are_told_apart(tmp_path, tiny_int8):
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    (tmp_path / "saved_model.pb").touch()
    assert sniff(tmp_path / "m.keras") is Format.KERAS
    assert sniff(tmp_path) is Format.SAVED_MODEL
    assert Artifact.of(tiny_int8).format is Format.TFLITE
