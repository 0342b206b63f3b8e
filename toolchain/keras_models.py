"""Load and save Keras models. A model stays in the Keras it came in: Keras 3 or tf_keras.

A model file is untrusted. Its configuration is read as data first; whatever would make a loader run code from the file
(Lambda layers, custom classes, foreign modules, file operations) is refused before a framework sees it.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

from toolchain.artifact import Format, sniff
from toolchain.errors import ModelError
from toolchain.files import written
from toolchain.optional import require


class Flavor(StrEnum):
    """Which Keras a model belongs to; the value is the package's import name."""

    KERAS3 = "keras"
    TF_KERAS = "tf_keras"


_RUNS_CODE = frozenset({"Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"})
_WRAPPERS = frozenset({"PruneLowMagnitude", "ClusterWeights"})
_QUANTIZED = frozenset({"QuantizeWrapper", "QuantizeWrapperV2", "QuantizeLayer"})
_KERAS_PARTS = frozenset(
    [
        "activations",
        "backend",
        "constraints",
        "dtype_policies",
        "engine",
        "initializers",
        "layers",
        "models",
        "ops",
        "random",
        "regularizers",
    ]
)
_TF_OPERATIONS = ("math.", "nn.", "image.", "linalg.", "signal.", "__operators__.")
_TF_FUNCTIONS = frozenset(
    [
        "cast",
        "clip_by_value",
        "concat",
        "convert_to_tensor",
        "expand_dims",
        "fill",
        "gather",
        "identity",
        "ones",
        "ones_like",
        "pad",
        "range",
        "rank",
        "repeat",
        "reshape",
        "reverse",
        "shape",
        "slice",
        "split",
        "squeeze",
        "stack",
        "strided_slice",
        "tile",
        "transpose",
        "unstack",
        "where",
        "zeros",
        "zeros_like",
    ]
)


def load(path: Path, *, trust: bool = False) -> Any:
    """Load a `.keras` or `.h5` of either Keras, without its compilation, stripped of tfmot's wrappers.

    Raises ModelError when the file is broken, holds code (unless `trust`), or belongs to neither Keras.
    """
    config, flavor = read_config(path)
    if not trust:
        check_safe(path, config)
    found = {entry["class_name"] for entry in _entries(config)}
    if found & _QUANTIZED:
        raise ModelError(f"{path}: quantization-aware layers cannot be stripped; give the model from before quantize_model")
    keras = require(flavor.value, "tf")
    try:
        if found & _WRAPPERS:
            return _load_wrapped(keras, path)
        return keras.models.load_model(path, compile=False, **({"safe_mode": False} if trust else {}))
    except (ValueError, TypeError, KeyError, OSError, ImportError, AttributeError) as err:
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
        return config, Flavor.KERAS3 if int(str(version).partition(".")[0]) >= 3 else Flavor.TF_KERAS
    except (KeyError, ValueError, TypeError, OSError, zipfile.BadZipFile, RecursionError) as err:
        raise ModelError(f"{path}: not a readable Keras model ({type(err).__name__}: {str(err)[:200]})") from None


def check_safe(path: Path, config: dict[str, Any]) -> None:
    """Raise ModelError where loading or running the configuration could execute code that the file names."""
    for entry in _entries(config):
        name, module = str(entry["class_name"]), str(entry.get("module") or "keras.layers")
        registered = str(entry.get("registered_name") or "")
        if name in _WRAPPERS | _QUANTIZED:
            continue
        if name in _RUNS_CODE:
            raise ModelError(f"{path}: the {name} layer {_layer_name(entry)} holds code; run with --trust if you trust the file")
        package, *parts = [part for part in module.split(".") if part != "src"]
        known = package in ("keras", "tf_keras") and (not parts or parts[0] in _KERAS_PARTS)
        if not known or (">" in registered and not registered.startswith("keras")):
            raise ModelError(
                f"{path}: {registered or f'{module}.{name}'} {_layer_name(entry)} is a custom class; its code is run only "
                "with --trust, from a package on PYTHONPATH"
            )
        if name == "TFOpLambda" and not _known_operation(str(entry["config"].get("function"))):
            raise ModelError(
                f"{path}: the layer {_layer_name(entry)} calls tf.{entry['config'].get('function')}, which is no plain tensor function; "
                "run with --trust if you trust the file"
            )


def _entries(node: Any) -> Iterator[dict[str, Any]]:
    """Every serialized object in a configuration, however deep; compilation settings are never loaded and left out."""
    stack = [node]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            if isinstance(node.get("class_name"), str) and "config" in node:
                yield node
            stack.extend(value for key, value in node.items() if key != "compile_config")
        elif isinstance(node, list):
            stack.extend(node)


def _layer_name(entry: dict[str, Any]) -> str:
    config = entry["config"]
    return repr(config.get("name", "")) if isinstance(config, dict) else ""


def _known_operation(function: str) -> bool:
    return function.startswith(_TF_OPERATIONS) or function in _TF_FUNCTIONS


def _load_wrapped(keras: Any, path: Path) -> Any:
    """A model saved with tfmot's wrappers, stripped of them: only the plain layers go on."""
    tfmot = require("tensorflow_model_optimization", "tf")
    with tfmot.sparsity.keras.prune_scope(), tfmot.clustering.keras.cluster_scope():
        model = keras.models.load_model(path, compile=False)
    return tfmot.clustering.keras.strip_clustering(tfmot.sparsity.keras.strip_pruning(model))
