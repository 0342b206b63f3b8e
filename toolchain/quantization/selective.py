"""Types operator by operator, and weights alone: litert-quantizer on a float .tflite, with ranges that we measured.

TensorFlow's converter quantizes a whole model to one scheme. litert-quantizer takes a rule for every operator and puts
QUANTIZE and DEQUANTIZE between those that differ. Its own calibration (a moving average) is not used.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from toolchain.errors import StageError
from toolchain.optional import require
from toolchain.quantization.calibration import Ranges
from toolchain.tflite_file import TfliteFile

Precision = Literal["int8", "int16", "float32"]
"""Type of an operator's activations; its weights are int8, or float32 like them."""
BITS: dict[Precision, int] = {"int8": 8, "int16": 16}
NAMES = {"TRANSPOSE_CONV": "CONV_2D_TRANSPOSE"}
"""Operators that litert-quantizer calls otherwise than schema.fbs."""


def quantize(source: Path, out: Path, assignment: Mapping[str, Precision], ranges: Ranges) -> dict[str, str]:
    """Write `source`, a float .tflite, with the operators that give the tensors in `assignment` in the given types.

    The rest stays in float32, as do inputs and outputs. Returns those that could not be quantized, with the reason.
    Raises StageError where the file cannot be written, or an integer operator has no range.
    """
    quantizer = _quantizer(source)
    refused = {}
    for name, kind in _operators(source).items():
        precision = assignment.get(name, "float32")
        if precision != "float32":
            try:
                quantizer.add_static_config(_only(name), _operation(kind), BITS[precision], 8)
            except ValueError:
                refused[name] = f"litert-quantizer has no {precision} {kind}"
    if not quantizer.get_quantization_recipe():
        out.write_bytes(source.read_bytes())
        return refused
    shaped = {
        name: {"min": np.full((1, 1, 1, 1), low, np.float32), "max": np.full((1, 1, 1, 1), high, np.float32)}
        for name, (low, high) in ranges.items()
    }
    _write(quantizer, out, shaped)
    return refused


def quantize_weights(source: Path, out: Path, bits: Literal[4, 8], *, per_tensor: bool) -> None:
    """Write `source`, a float .tflite, with integer weights that are dequantized before they are used. Raises StageError.

    At 4 bits a channel's range is clipped where the squared error is least (OCTAV, Sakr et al. 2022).
    """
    quantizer = _quantizer(source)
    types = require("litert_quantizer.qtyping", "litert-quantizer")
    granularity = types.QuantGranularity.TENSORWISE if per_tensor else types.QuantGranularity.CHANNELWISE
    algorithms = require("litert_quantizer.algorithm_manager", "litert-quantizer").AlgorithmName
    algorithm = algorithms.OCTAV if bits == 4 else algorithms.MIN_MAX_UNIFORM_QUANT
    quantizer.add_weight_only_config(".*", types.TFLOperationName.ALL_SUPPORTED, bits, granularity, algorithm)
    _write(quantizer, out, None)


def _operators(source: Path) -> dict[str, str]:
    """Kind of every operator, by its first output."""
    file = TfliteFile.read(source)
    return {file.tensors[op.outputs[0]].name: op.name for op in file.operators}


def _only(name: str) -> str:
    """A pattern for litert-quantizer's scope, which is the names of an operator's outputs, each with a semicolon after it."""
    return f"^{re.escape(name)};"


def _operation(kind: str) -> Any:
    """Raises ValueError for an operator that litert-quantizer does not know."""
    return require("litert_quantizer.qtyping", "litert-quantizer").TFLOperationName(NAMES.get(kind, kind))


def _quantizer(source: Path) -> Any:
    return require("litert_quantizer.quantizer", "litert-quantizer").Quantizer(str(source))


def _write(quantizer: Any, out: Path, ranges: Any) -> None:
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # it draws a bar whatever its arguments say
            found = quantizer.quantize(ranges, enable_progress_report=False, enable_progress_bar=False)
    except Exception as err:  # it raises many kinds, all of them about this model
        raise StageError(f"litert-quantizer failed: {str(err).strip().splitlines()[0][:300]}") from err
    out.write_bytes(bytes(found.quantized_model))
