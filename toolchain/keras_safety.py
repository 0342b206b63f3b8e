"""What a Keras file may hold: nothing that runs code, and nothing that reads another file.

Its configuration is read as data and its weights are looked through before a framework sees either. Keras 3 refuses most
of this by itself; its reader of .h5 files and tf_keras do not.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from toolchain.errors import ModelError
from toolchain.untrusted import check_size

_RUNS_CODE = frozenset(
    {
        "Lambda",
        "TFSMLayer",
        "TorchModuleWrapper",
        "JaxLayer",
        "FlaxLayer",
        "TensorFlowOpLayer",  # any operator, WriteFile among them, from a NodeDef in the file
        "ClassMethod",
        "InstanceMethod",
        "InstanceProperty",
        "__lambda__",
    }
)
_CALLS_TENSORFLOW = frozenset({"TFOpLambda", "SlicingOpLambda"})
WRAPPERS = frozenset({"PruneLowMagnitude", "ClusterWeights"})
QUANTIZED = frozenset({"QuantizeWrapper", "QuantizeWrapperV2", "QuantizeLayer"})
_KERAS_PARTS = frozenset(
    [
        "activations",
        "backend",
        "constraints",
        "dtype_policies",
        "engine",
        "initializers",
        "layers",
        "losses",
        "metrics",
        "models",
        "ops",
        "optimizers",
        "random",
        "regularizers",
    ]
)
_KERAS_FUNCTIONS = frozenset(["activations", "constraints", "initializers", "losses", "metrics", "ops", "regularizers"])
_NAMES_A_FILE = ("vocabulary", "idf_weights")
"""Settings of the text layers that take a list, or the path of a file that is read when the layer is built."""
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


def check_safe(path: Path, config: dict[str, Any]) -> None:
    """Raise ModelError where loading or running the configuration could execute code that the file names, or read other files.

    A name with dots finds the object below the module, and a function is named by its `config`: what counts is the whole
    dotted path that Keras looks up.
    """
    for entry in entries({key: value for key, value in config.items() if key != "compile_config"}):
        settings = entry["config"] if isinstance(entry["config"], dict) else {}
        module, registered = str(entry.get("module") or "keras.layers"), str(entry.get("registered_name") or "")
        name = str(entry["config"] if entry["class_name"] == "function" else entry["class_name"])
        package, *parts = [part for part in f"{module}.{name}".split(".") if part != "src"]
        last = parts[-1] if parts else package
        if last in WRAPPERS | QUANTIZED and package in ("keras", "tf_keras", "tensorflow_model_optimization"):
            continue
        if last in _RUNS_CODE:
            raise ModelError(f"{path}: the {last} layer {_layer_name(entry)} holds code; run with --trust if you trust the file")
        known = package in ("keras", "tf_keras") and (len(parts) == 1 or parts[0] in _KERAS_PARTS)
        if entry["class_name"] == "function":
            known = known and parts[0] in _KERAS_FUNCTIONS
        if not known or (">" in registered and not registered.startswith("keras")):
            raise ModelError(
                f"{path}: {registered or f'{module}.{name}'} {_layer_name(entry)} is a custom class; its code is run only "
                "with --trust, from a package on PYTHONPATH"
            )
        if last in _CALLS_TENSORFLOW and not _known_operation(str(settings.get("function"))):
            raise ModelError(
                f"{path}: the layer {_layer_name(entry)} calls tf.{settings.get('function')}, which is no plain tensor function; "
                "run with --trust if you trust the file"
            )
        for key in _NAMES_A_FILE:
            if isinstance(settings.get(key), str):
                raise ModelError(
                    f"{path}: the layer {_layer_name(entry)} reads its {key} from {settings[key]!r}; build it with the list itself, "
                    "or run with --trust if you trust the file"
                )


def check_weights(path: Path) -> None:
    """Raise ModelError where HDF5 in the file links to other files, or claims more than memory holds.

    External links and external or virtual datasets make whoever opens the file read any file of the user's into a weight.
    """
    import h5py

    try:
        if not zipfile.is_zipfile(path):
            with h5py.File(path) as file:
                _check_hdf5(path, file)
            return
        with zipfile.ZipFile(path) as archive:
            for name in (name for name in archive.namelist() if name.endswith(".h5")):
                with h5py.File(io.BytesIO(archive.read(name))) as file:
                    _check_hdf5(path, file)
    except ModelError:
        raise
    except Exception as err:  # h5py and zipfile raise whatever a damaged file makes them meet
        raise ModelError(f"{path}: its weights are not readable ({type(err).__name__}: {str(err)[:200]})") from None


def _check_hdf5(path: Path, file: Any) -> None:
    import h5py

    groups, seen, total = [file["/"]], {h5py.h5o.get_info(file["/"].id).addr}, 0
    while groups:
        group = groups.pop()
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ModelError(f"{path}: the weights {group.name}/{name} are a link to another place; save the model again")
            found = group[name]
            if (address := h5py.h5o.get_info(found.id).addr) in seen:
                continue
            seen.add(address)
            if isinstance(found, h5py.Group):
                groups.append(found)
            elif isinstance(found, h5py.Dataset):
                if found.external or found.is_virtual:
                    raise ModelError(f"{path}: the weights {found.name} lie in another file; save the model in one file")
                total += max(found.size, math.prod(found.chunks or ())) * found.dtype.itemsize
                check_size(total, f"{path}: the weights", ModelError)


def entries(node: Any) -> Iterator[dict[str, Any]]:
    """Every serialized object in a configuration, however deep."""
    stack = [node]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            if isinstance(node.get("class_name"), str) and "config" in node:
                yield node
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)


def _layer_name(entry: dict[str, Any]) -> str:
    config = entry["config"]
    return repr(config.get("name", "")) if isinstance(config, dict) else ""


def _known_operation(function: str) -> bool:
    return function.startswith(_TF_OPERATIONS) or function in _TF_FUNCTIONS
