"""The one value that flows through a pipeline: a model file, known by the digest of its bytes."""

from __future__ import annotations

import zipfile
from enum import StrEnum
from pathlib import Path

import msgspec

from toolchain.errors import ModelError
from toolchain.files import digest
from toolchain.untrusted import check_plain


class Format(StrEnum):
    """What a model file holds."""

    KERAS = "keras"
    SAVED_MODEL = "saved_model"
    TFLITE = "tflite"
    ONNX = "onnx"
    C_SOURCE = "c_source"
    """A folder of C files."""


class Artifact(msgspec.Struct, frozen=True):
    """A model file, its format, and the SHA-256 of its bytes."""

    path: Path
    format: Format
    digest: str

    @classmethod
    def of(cls, path: Path) -> Artifact:
        """Raises ModelError when there is no file or it is no model."""
        return cls(path, sniff(path), digest(path))


def sniff(path: Path) -> Format:
    """The format, by name and by first bytes, so that a wrong or truncated file is refused before anything loads it.

    Raises ModelError. Signatures: zip (.keras), HDF5 superblock, `TFL3` at byte 4 (TFLite schema.fbs).
    """
    if not path.exists():
        raise ModelError(f"{path}: no such file")
    if path.is_dir():
        if (path / "saved_model.pb").is_file():
            return Format.SAVED_MODEL
        raise ModelError(f"{path}: a folder without saved_model.pb is no SavedModel")
    check_plain(path, ModelError)
    with path.open("rb") as file:
        head = file.read(8)
    if not head:
        raise ModelError(f"{path}: the file is empty")
    suffix = path.suffix.lower()
    if suffix == ".keras":
        if head[:4] == b"PK\x03\x04" and not _is_archive(path):
            raise ModelError(f"{path}: the .keras archive is truncated; copy or save it again")
        if head[:4] == b"PK\x03\x04" or head == b"\x89HDF\r\n\x1a\n":
            return Format.KERAS
    elif suffix in (".h5", ".hdf5"):
        if head == b"\x89HDF\r\n\x1a\n":
            return Format.KERAS
    elif suffix == ".tflite":
        if head[4:8] == b"TFL3":
            return Format.TFLITE
    elif suffix == ".onnx":
        return Format.ONNX
    else:
        raise ModelError(f"{path}: unknown kind of model; use .keras, .h5, a SavedModel folder, .tflite or .onnx")
    raise ModelError(f"{path}: not a {suffix} model (its first bytes are {head.hex(' ')})")


def _is_archive(path: Path) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # it finds the end of an archive and dislikes what stands there
        return False
