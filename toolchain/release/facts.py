"""What a finished file asks of a runtime: its inputs and outputs, its operators with versions, the oldest release that knows them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from toolchain.artifact import Format, sniff
from toolchain.optional import require
from toolchain.release.manifest import OperatorFacts, TensorFacts
from toolchain.tflite_file import DTYPES, Tensor, TfliteFile

REWRITTEN: Final = ("weight_only_w8", "weight_only_w4", "static_mixed")
"""Schemes whose .tflite another tool changed after the converter wrote its `min_runtime_version` into it."""

OPSETS: Final = {
    11: "1.0", 12: "1.3", 13: "1.6", 14: "1.8", 15: "1.9", 16: "1.11", 17: "1.12", 18: "1.14", 19: "1.15", 20: "1.17", 21: "1.18",
}  # fmt: skip
"""The first ONNX Runtime with an opset (onnxruntime.ai/docs/reference/compatibility.html, "ONNX opset support")."""
IR_VERSIONS: Final = {6: "1.0", 7: "1.3", 8: "1.9", 9: "1.15", 10: "1.18"}
"""The first ONNX Runtime built with the ONNX release that has an IR version (same page; onnx.helper.VERSION_TABLE)."""


class Facts(msgspec.Struct, frozen=True):
    """As in a manifest's ModelFile."""

    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    operators: tuple[OperatorFacts, ...]
    minimum_runtime: str | None


def facts(path: Path, scheme: str) -> Facts:
    """Read a .tflite or .onnx without running it. Raises ModelError, DependencyError."""
    return _tflite(path, scheme) if sniff(path) is Format.TFLITE else _onnx(path)


def _tflite(path: Path, scheme: str) -> Facts:
    from ai_edge_litert import schema_py_generated as schema

    file = TfliteFile.read(path)
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    names = {value: key for key, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    codes = [(_name(code, names), int(code.version)) for code in model.operatorCodes]
    counts = Counter(codes[operator.opcodeIndex] for graph in model.subgraphs for operator in graph.operators or [])
    stated = [model.buffers[entry.buffer].data for entry in model.metadata or [] if entry.name == b"min_runtime_version"]
    oldest = bytes(stated[0]).rstrip(b"\0").decode("ascii", "replace") if stated and stated[0] is not None else ""
    return Facts(
        tuple(_tensor(file.tensors[index]) for index in file.inputs),
        tuple(_tensor(file.tensors[index]) for index in file.outputs),
        tuple(OperatorFacts(name, version, count) for (name, version), count in sorted(counts.items())),
        f"TensorFlow Lite {oldest}" if oldest and scheme not in REWRITTEN else None,
    )


def _name(code: Any, names: dict[int, str]) -> str:
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    return str(code.customCode.decode()) if names[number] == "CUSTOM" and code.customCode else names[number]


def _tensor(tensor: Tensor) -> TensorFacts:
    scaled = len(tensor.scale) == 1
    return TensorFacts(
        tensor.name,
        tensor.shape,
        np.dtype(DTYPES[tensor.dtype]).name,
        tensor.scale[0] if scaled else None,
        tensor.zero_point[0] if scaled and tensor.zero_point else 0 if scaled else None,
    )


def _onnx(path: Path) -> Facts:
    from toolchain.runners.onnxruntime import edge_quantization

    onnx = require("onnx", "onnx")
    model = onnx.load(path, load_external_data=False)
    opsets = {entry.domain: int(entry.version) for entry in model.opset_import}
    counts = Counter((node.domain if node.domain != "ai.onnx" else "", node.op_type) for node in model.graph.node)
    constants = {tensor.name for tensor in model.graph.initializer}
    edges = edge_quantization(path)

    def port(value: Any) -> TensorFacts:
        kind = value.type.tensor_type
        shape = tuple(d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim)
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
        edge = edges.get(value.name) if dtype.kind in "iu" else None
        return TensorFacts(value.name, shape, dtype.name, edge.scale if edge else None, edge.zero_point if edge else None)

    return Facts(
        tuple(port(value) for value in model.graph.input if value.name not in constants),
        tuple(port(value) for value in model.graph.output),
        tuple(
            OperatorFacts(f"{domain}.{name}" if domain else name, opsets.get(domain, 0), count)
            for (domain, name), count in sorted(counts.items())
        ),
        oldest_onnxruntime(opsets.get("", opsets.get("ai.onnx", 0)), int(model.ir_version), {domain for domain, _ in counts} - {""}),
    )


def oldest_onnxruntime(opset: int, ir_version: int, domains: set[str]) -> str | None:
    """The first release that runs the file; None for operators of other domains, and for versions younger than the tables."""
    needs = [OPSETS.get(max(opset, 11)), IR_VERSIONS.get(max(ir_version, 6))]
    if domains or None in needs:
        return None
    newest = max((need for need in needs if need), key=lambda need: tuple(map(int, need.split("."))))
    return f"ONNX Runtime {newest}"
