"""From an int8 .tflite to ONNX, operator by operator.

The answers are those of the kernels that applications run, XNNPACK and LiteRT's built-in ones behind it; the reference kernels, which
TensorFlow Lite Micro and generated C follow, round a few sums another way (convolutions near a tie, additions, means).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from toolchain.errors import ModelError
from toolchain.quantization.onnx_integer import elementwise, moves, spatial, weighted
from toolchain.quantization.onnx_integer.writer import Translate, Writer

TRANSLATIONS: dict[str, Translate] = {
    **weighted.TRANSLATIONS,
    **elementwise.TRANSLATIONS,
    **spatial.TRANSLATIONS,
    **moves.TRANSLATIONS,
}


def translate(path: Path, opset: int) -> Any:
    """The onnx.ModelProto of a .tflite. Raises ModelError that names the operators without an exact translation."""
    writer = Writer(path, opset)
    if unknown := sorted({op.name for op in writer.file.operators} - TRANSLATIONS.keys()):
        raise ModelError(f"{path.name}: no exact translation to ONNX of {', '.join(unknown)}")
    for place, op in enumerate(writer.file.operators):
        try:
            TRANSLATIONS[op.name](writer, op)
        except ModelError as err:
            raise ModelError(f"{path.name}: operator {place}, {op.name}: no exact translation to ONNX: {err}") from None
    return writer.model()
