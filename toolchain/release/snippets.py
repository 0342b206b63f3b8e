"""Minimal programs that run a model of the bundle: with its normalization, its quantization, its labels, and nothing else.

Each holds the manifest's values as literals, so that it can be copied into a firmware or an app alone. They take an example
as the data set stores it, and give real answers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, Final

import msgspec

from toolchain.artifact import Format
from toolchain.c_source.package import identifier
from toolchain.release.manifest import Manifest, ModelFile, TensorFacts
from toolchain.release.templates import Written, environment, real

C_TYPES: Final = {
    "float32": "float", "int8": "int8_t", "uint8": "uint8_t", "int16": "int16_t", "int32": "int32_t", "int64": "int64_t", "bool": "bool",
}  # fmt: skip
KOTLIN_TYPES: Final = {"float32": "Float", "int8": "Int8", "int32": "Int"}
KOTLIN_ELEMENTS: Final = {"float32": "Float", "int8": "Byte", "int32": "Int"}
"""What TensorBuffer of LiteRT for Android reads and writes (TensorBuffer.kt)."""

MICRO_NAMES: Final = {
    "BATCH_MATMUL": "BatchMatMul", "CUMSUM": "CumSum", "PADV2": "PadV2", "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}  # fmt: skip
"""Operators whose `Add...` is not their name in camel case (micro_mutable_op_resolver.h)."""

ARENA_BYTES: Final = 1 << 16
"""A first guess where no emulator allocated the file's tensors."""


class Port(msgspec.Struct, frozen=True):
    """An input or output as a template writes it."""

    place: int
    shape: Written
    elements: int
    dtype: Written
    c_type: Written | None
    kotlin_type: Written | None
    """As in TensorBuffer's writeInt8."""
    kotlin_element: Written | None
    """As in ByteArray."""
    scale: float | None
    zero_point: int
    low: int
    high: int
    """What the stored type can hold."""
    macro: Written
    """What the macros of generated headers begin with."""
    variable: Written


def script(model: ModelFile) -> str:
    """The name of its programs without suffix: `static_w8a8_tflite`, because a .tflite and an .onnx share their stem."""
    return PurePosixPath(model.path).name.replace(".", "_")


def has_array(model: ModelFile) -> bool:
    """Whether the release holds it as a C array, too: where inputs and outputs are integers, as firmware wants them."""
    return model.format == Format.TFLITE and all("int" in tensor.dtype for tensor in (*model.inputs, *model.outputs))


def python(model: ModelFile, manifest: Manifest) -> bytes:
    """A script for NumPy and LiteRT or ONNX Runtime; without an argument it runs the golden examples beside it."""
    return _rendered("python", "run.py.j2", _facts(model, manifest))


def c(model: ModelFile, manifest: Manifest, package: str | None = None) -> tuple[str, bytes] | None:
    """The suffix and text of a program that reads examples from standard input, and prints the answers.

    `package` is what the functions of the C package begin with that was generated from this very file. Without one it is
    C++ for TensorFlow Lite Micro and the array of `c_array`. None where neither runs the file: ONNX, floats at its ends,
    operators of somebody's own, types that C has no name for.
    """
    if package is not None:
        facts = _facts(model, manifest, identifier(package), "{kind}")
        return (".c", _rendered("c", "package.c.j2", facts)) if _all(facts, "c_type") else None
    facts = _facts(model, manifest, identifier(PurePosixPath(model.path).stem), "{kind}_data")
    added = [_micro_name(operator.name) for operator in model.operators]
    if not has_array(model) or not _all(facts, "c_type") or None in added:
        return None
    arenas = [result.arena_bytes for on in model.measurements.targets for result in on.results
              if result.emulator in ("tflm", "corstone") and result.arena_bytes]  # fmt: skip
    facts |= {"added": sorted(set(added), key=str), "arena_bytes": max(arenas, default=ARENA_BYTES), "arena_known": bool(arenas)}
    return ".cc", _rendered("c", "micro.cc.j2", facts)


def kotlin(model: ModelFile, manifest: Manifest) -> bytes | None:
    """A class for Android with LiteRT's CompiledModel; None for ONNX and for types that its buffers do not hold."""
    facts = _facts(model, manifest)
    if model.format != Format.TFLITE or not _all(facts, "kotlin_type"):
        return None
    return _rendered("kotlin", "model.kt.j2", facts)


def _facts(model: ModelFile, manifest: Manifest, name: str = "", variable: str = "{kind}") -> dict[str, Any]:
    """What all templates know."""
    return {
        "model": model,
        "file": PurePosixPath(model.path).name,
        "script": script(model),
        "manifest": manifest,
        "name": Written(name),
        "class_name": Written("".join(word.capitalize() for word in identifier(PurePosixPath(model.path).stem).split("_"))),
        "inputs": _ports(model.inputs, name, "input", variable),
        "outputs": _ports(model.outputs, name, "output", variable),
        "scale": manifest.data.scale if manifest.data else 1.0,
        "offset": manifest.data.offset if manifest.data else 0.0,
        "real": real,
        "number": lambda value: Written(repr(value)),
        "onnx": model.format == Format.ONNX,
    }


def _ports(tensors: Sequence[TensorFacts], name: str, kind: str, variable: str) -> list[Port]:
    return [_port(tensor, place, name, kind if len(tensors) == 1 else f"{kind}_{place}", variable) for place, tensor in enumerate(tensors)]


def _port(tensor: TensorFacts, place: int, name: str, kind: str, variable: str) -> Port:
    shape = [size or 1 for size in tensor.shape]
    bits = int("".join(filter(str.isdigit, tensor.dtype)) or 0)
    low, high = (0, 2**bits - 1) if tensor.dtype.startswith("uint") else (-(2 ** max(bits - 1, 0)), 2 ** max(bits - 1, 0) - 1)
    return Port(
        place=place,
        shape=Written(" x ".join(map(str, shape))),
        elements=math.prod(shape),
        dtype=Written(identifier(tensor.dtype)),
        c_type=_named(C_TYPES, tensor),
        kotlin_type=_named(KOTLIN_TYPES, tensor),
        kotlin_element=_named(KOTLIN_ELEMENTS, tensor),
        scale=tensor.scale,
        zero_point=tensor.zero_point or 0,
        low=low,
        high=high,
        macro=Written(f"{name}_{kind}".upper()),
        variable=Written(variable.format(kind=kind)),
    )


def _named(types: dict[str, str], tensor: TensorFacts) -> Written | None:
    found = types.get(tensor.dtype)
    return None if found is None else Written(found)


def _all(facts: dict[str, Any], kind: str) -> bool:
    """Whether every input and output has a type of this kind."""
    return all(getattr(port, kind) is not None for port in (*facts["inputs"], *facts["outputs"]))


def _micro_name(operator: str) -> Written | None:
    """`CONV_2D` as in `AddConv2D`; None for a custom operator."""
    from ai_edge_litert import schema_py_generated as schema

    if not isinstance(getattr(schema.BuiltinOperator, operator, None), int):
        return None
    return Written(MICRO_NAMES.get(operator) or "".join(part.title() for part in operator.split("_")))


def _rendered(language: Any, template: str, facts: dict[str, Any]) -> bytes:
    text: str = environment(language).get_template(template).render(facts)
    return text.encode()
