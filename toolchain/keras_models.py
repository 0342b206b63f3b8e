"""Load and save Keras models. A model stays in the Keras it came in: Keras 3 or tf_keras.

A model file is untrusted. Its configuration is read as data first; whatever would make a loader run code from the file
(Lambda layers, custom classes, foreign modules, file operations) is refused before a framework sees it.
"""

from __future__ import annotations

import json
import zipfile
from enum import StrEnum
from pathlib import Path
from typing import Any

from toolchain.artifact import Format, sniff
from toolchain.errors import ModelError
from toolchain.files import written
from toolchain.keras_safety import QUANTIZED, WRAPPERS, check_safe, check_weights, entries
from toolchain.optional import require
from toolchain.untrusted import check_archive
from toolchain.worker import Progress


class Flavor(StrEnum):
    """Which Keras a model belongs to; the value is the package's import name."""

    KERAS3 = "keras"
    TF_KERAS = "tf_keras"


def load(path: Path, *, trust: bool = False) -> Any:
    """Load a `.keras` or `.h5` of either Keras, without its compilation, stripped of tfmot's wrappers.

    Raises ModelError when the file is broken, holds code or leads to other files (unless `trust`), or belongs to neither
    Keras.
    """
    config, flavor = read_config(path)
    if not trust:
        check_safe(path, config)
        check_weights(path)
    found = {entry["class_name"] for entry in entries(config)}
    if found & QUANTIZED:
        raise ModelError(f"{path}: quantization-aware layers cannot be stripped; give the model from before quantize_model")
    keras = require(flavor.value, "tf")
    try:
        if found & WRAPPERS:
            return _load_wrapped(keras, path)
        return keras.models.load_model(path, compile=False, **({"safe_mode": False} if trust else {}))
    except Exception as err:  # Keras raises whatever building the layers of a damaged configuration meets
        reason = str(err).strip().splitlines()[0][:300] if str(err).strip() else type(err).__name__
        raise ModelError(f"{path}: {flavor.value} cannot load it: {reason}") from err


def save(model: Any, path: Path) -> None:
    """Write a `.keras` file atomically, in the model's own Keras."""
    with written(path) as scratch:
        model.save(scratch)


def flavor_of(model: Any) -> Flavor:
    """Which Keras a loaded model belongs to."""
    return Flavor.TF_KERAS if any(cls.__module__.startswith("tf_keras.") for cls in type(model).__mro__) else Flavor.KERAS3


def keras_of(model: Any) -> Any:
    """The package, `keras` or `tf_keras`, that a loaded model belongs to."""
    return require(flavor_of(model).value, "tf")


def read_config(path: Path) -> tuple[dict[str, Any], Flavor]:
    """The architecture in a model file as plain data, and the Keras that wrote it. Loads no framework.

    Keras 3 writes `batch_shape` and a version from 3 on; tf_keras writes `batch_input_shape` and 2.x.
    """
    if sniff(path) != Format.KERAS:
        raise ModelError(f"{path}: a {sniff(path)} file is no Keras model; stages need a .keras or .h5 file")
    try:
        if zipfile.is_zipfile(path):
            check_archive(path, ModelError)
            with zipfile.ZipFile(path) as archive:
                config = json.loads(archive.read("config.json"))
                version = json.loads(archive.read("metadata.json"))["keras_version"]
        else:
            import h5py

            with h5py.File(path) as file:
                if "model_config" not in file.attrs:
                    raise ModelError(f"{path}: holds weights without an architecture; save the whole model")
                config = json.loads(file.attrs["model_config"])
                version = file.attrs.get("keras_version", "2")
        if not isinstance(config, dict):
            raise ModelError(f"{path}: its architecture is no object of JSON")
        return config, Flavor.KERAS3 if int(str(version).partition(".")[0]) >= 3 else Flavor.TF_KERAS
    except ModelError:
        raise
    except Exception as err:  # a missing key, a nesting too deep, and whatever h5py and zipfile meet in damaged files
        raise ModelError(f"{path}: not a readable Keras model ({type(err).__name__}: {str(err)[:200]})") from None


def refuse_unsafe(path: Path, progress: Progress) -> None:
    """What `load` refuses, without a framework; runs in a child process, because libhdf5 reads .h5 files."""
    check_safe(path, read_config(path)[0])
    check_weights(path)


def _load_wrapped(keras: Any, path: Path) -> Any:
    """A model saved with tfmot's wrappers, stripped of them: only the plain layers go on."""
    tfmot = require("tensorflow_model_optimization", "tf")
    with tfmot.sparsity.keras.prune_scope(), tfmot.clustering.keras.cluster_scope():
        model = keras.models.load_model(path, compile=False)
    return tfmot.clustering.keras.strip_clustering(tfmot.sparsity.keras.strip_pruning(model))
