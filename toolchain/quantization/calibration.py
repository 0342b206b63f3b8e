"""Ranges of activations inside a float .tflite: measured on examples, read, chosen anew and written back.

TensorFlow's calibrator leaves the smallest and largest value of every activation in the file, and its quantizers take
what they find there. So any other estimate of a range reaches the integer file by the same way as theirs.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from toolchain.data import Array
from toolchain.errors import StageError
from toolchain.optional import require
from toolchain.quantization.flatbuffer import packed, unpacked
from toolchain.quantization.grid import Affine
from toolchain.quantization.ranges import BINS, Estimator, Histogram, estimate

Ranges = dict[str, tuple[float, float]]
"""(low, high) of every activation, by the tensor's name."""


def calibrate(model: bytes, batches: Sequence[list[Array]]) -> bytes:
    """The float model with the smallest and largest value of every activation over `batches` of one example each.

    Raises StageError for a model with loops: the calibrator would crash the process.
    """
    if loops := _loops(model):
        raise StageError(
            f"{', '.join(loops)} cannot be calibrated: TensorFlow's calibrator does not enter loops; "
            'build recurrent layers with unroll=True, or choose the scheme "weight_only_w8" or "dynamic_w8"'
        )
    calibrator = require("tensorflow.lite.python.optimize.calibrator", "tf")
    try:
        measured = calibrator.Calibrator(calibrator.add_intermediate_tensors(model)).calibrate(lambda: iter(batches))
    except (ValueError, RuntimeError) as err:
        raise StageError(f"TensorFlow's calibrator failed: {str(err).strip().splitlines()[0][:300]}") from err
    return bytes(measured)


def read_ranges(calibrated: bytes) -> Ranges:
    """What the calibrator measured. Raises StageError for an activation that was not finite."""
    found = {
        tensor.name.decode(): (float(tensor.quantization.min[0]), float(tensor.quantization.max[0]))
        for tensor in unpacked(calibrated).subgraphs[0].tensors
        if _is_measured(tensor)
    }
    if endless := [name for name, limits in found.items() if not np.isfinite(limits).all()]:
        raise StageError(
            f"no integers cover {', '.join(endless[:5])}: infinite or NaN in calibration; replace the infinity by a large number"
        )
    return found


def write_ranges(calibrated: bytes, ranges: Ranges) -> bytes:
    """The model with other ranges. Raises KeyError where a measured activation is not in `ranges`."""
    model = unpacked(calibrated)
    for tensor in model.subgraphs[0].tensors:
        if _is_measured(tensor):
            low, high = ranges[tensor.name.decode()]
            tensor.quantization.min, tensor.quantization.max = [low], [high]
    return packed(model)


def observe(model: bytes, batches: Iterable[list[Array]], ranges: Ranges) -> dict[str, Histogram]:
    """Histograms of the activations named in `ranges`, within those ranges; one example at a time, so memory is bounded."""
    interpreter = interpreter_of(model)
    inputs = interpreter.get_input_details()
    watched = {detail["name"]: detail["index"] for detail in interpreter.get_tensor_details() if detail["name"] in ranges}
    counts = {name: np.zeros(BINS, np.int64) for name in watched}
    for batch in batches:
        for detail, x in zip(inputs, batch, strict=True):
            interpreter.set_tensor(detail["index"], np.asarray(x, detail["dtype"]))
        interpreter.invoke()
        for name, index in watched.items():
            counts[name] += binned(interpreter.get_tensor(index), *ranges[name])
    return {name: Histogram(found, *ranges[name]) for name, found in counts.items()}


def binned(values: Array, low: float, high: float) -> Array:
    """How many values fall into each of the equal bins of [low, high], `[BINS]`; all into the first where they are one number."""
    share = (values.astype(np.float64) - low) / ((high - low) or 1.0)
    places = np.minimum((np.clip(share, 0, 1) * BINS).astype(np.int64), BINS - 1)
    return np.bincount(places.ravel(), minlength=BINS)


def chosen(histograms: dict[str, Histogram], by: Estimator, share: float, bits: int, symmetric: bool) -> Ranges:
    """The estimated range of every activation, moved to the nearest one that holds zero exactly: the limits of its grid."""
    return {
        name: Affine.of_range(*estimate(histogram, by, share, bits, symmetric), bits, symmetric=symmetric).limits
        for name, histogram in histograms.items()
    }


def interpreter_of(model: bytes) -> Any:
    """LiteRT's built-in kernels without a delegate, which would hide the tensors between its operators."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that keeping all tensors takes memory is why there is one example at a time
        interpreter = Interpreter(
            model_content=model,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
        )
    interpreter.allocate_tensors()
    return interpreter


def _is_measured(tensor: Any) -> bool:
    found = tensor.quantization
    return found is not None and found.min is not None and len(found.min) == 1


def _loops(model: bytes) -> list[str]:
    """The outputs of operators that run another subgraph."""
    from ai_edge_litert import schema_py_generated as schema

    found = unpacked(model)
    graph = found.subgraphs[0]
    kinds = {schema.BuiltinOperator.WHILE: "WHILE", schema.BuiltinOperator.IF: "IF"}
    codes = [kinds.get(max(code.builtinCode, code.deprecatedBuiltinCode)) for code in found.operatorCodes]
    return [f"{codes[op.opcodeIndex]} {graph.tensors[op.outputs[-1]].name.decode()}" for op in graph.operators if codes[op.opcodeIndex]]
