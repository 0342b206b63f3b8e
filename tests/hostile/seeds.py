"""Small real files of every kind that is read from outside."""

from __future__ import annotations

import io
import json
from pathlib import Path

import h5py
import numpy as np
from conftest import HERE, shapes
from PIL import Image

from toolchain import report

RECIPE = """
description = "a recipe"
seed = 3
max_accuracy_drop = 0.01
[data]
scale = "1/255"
synthetic = [0.0, 1.0]
[[stage]]
use = "prune"
sparsity = 0.5
epochs = 1
[[attempt]]
name = "plain"
export = { use = "tflite", scheme = "static_w8a8" }
needs = ["int8"]
[[export]]
use = "tflite"
[gate]
max_bytes = 300_000
"""


def target() -> bytes:
    return (HERE.parent / "targets" / "stm32f746.toml").read_bytes()


def tflite(name: str) -> bytes:
    return (HERE / "data" / f"{name}.tflite").read_bytes()


def a_report() -> report.Report:
    host = report.HostFacts("cpu", 2, 1 << 30, "Linux", "3.11", "unknown", {"keras": "3"})
    row = report.ArtifactReport("a.tflite", "a.tflite", "tflite", "float32", "0" * 64, "measured", 9, 8, 7, 6, 5, 4, {"CONV_2D": 1})
    model = report.ModelReport("m.keras", "keras", "1" * 64, 10, 9, 8, 7, None, None, None)
    step = report.StepReport("1 prune", 2.0, False, {"trained on": "9 of 9"}, {"sparsity": {"conv": 0.5}})
    return report.Report(
        secateur="0", recipe="r", settings={"seed": 0}, model=model, data=None, host=host, artifacts=(row,),
        skipped=(report.Skipped("a", "b", "c"),), steps=(step,), pictures={"3": "data:image/png;base64,AAAA"},
    )  # fmt: skip


def npz_members() -> dict[str, bytes]:
    found = {}
    for name, value in zip("xy", shapes(12), strict=True):
        content = io.BytesIO()
        np.save(content, value)
        found[f"{name}.npy"] = content.getvalue()
    return found


def image(kind: str) -> bytes:
    content = io.BytesIO()
    Image.fromarray(shapes(1)[0][0, :, :, 0]).save(content, kind)
    return content.getvalue()


def layer(name: str, **more: object) -> dict[str, object]:
    return {"class_name": name, "module": "keras.layers", "config": {"name": name.lower(), **more}, "registered_name": None}


CONFIG = {
    "class_name": "Sequential",
    "module": "keras",
    "config": {"name": "s", "layers": [layer("InputLayer", batch_shape=[None, 4]), layer("Dense", units=3, activation="relu")]},
    "registered_name": None,
}


def weights(groups: str = "layers/dense/vars") -> bytes:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        group = file.create_group(groups)
        group["0"], group["1"] = np.ones((4, 3), np.float32), np.zeros(3, np.float32)
    return content.getvalue()


def keras_members(config: object = CONFIG) -> dict[str, bytes]:
    return {
        "config.json": json.dumps(config).encode(),
        "metadata.json": json.dumps({"keras_version": "3.15.0", "date_saved": ""}).encode(),
        "model.weights.h5": weights(),
    }


def h5(config: object = CONFIG) -> bytes:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.attrs["model_config"], file.attrs["keras_version"] = json.dumps(config), "3.15.0"
        kernel = file.create_group("model_weights/dense")
        kernel["kernel"] = np.ones((4, 3), np.float32)
    return content.getvalue()


def onnx(path: Path, **external: object) -> bytes:
    """Convolution and matrix product, with a branch that has a weight of its own."""
    import onnx as library
    from onnx import TensorProto, helper, numpy_helper

    def value(name: str, dims: list[int], kind: int = TensorProto.FLOAT) -> object:
        return helper.make_tensor_value_info(name, kind, dims)

    kernel = numpy_helper.from_array(np.ones((3, 1, 2, 2), np.float32), "w")
    branches = {
        f"{which}_branch": helper.make_graph(
            [helper.make_node("MatMul", ["c", which], [f"{which}_y"])], which, [], [value(f"{which}_y", [1, 3, 5, 7])],
            [numpy_helper.from_array(np.ones((5, 7), np.float32), which)],
        )
        for which in ("then", "else")
    }  # fmt: skip
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("If", ["yes"], ["y"], **branches)]
    yes = numpy_helper.from_array(np.array(True), "yes")
    graph = helper.make_graph(nodes, "g", [value("x", [1, 1, 6, 6])], [value("y", [1, 3, 5, 7])], [kernel, yes])
    library.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path, **external)
    return path.read_bytes()
