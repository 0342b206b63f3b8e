"""TensorFlow's converter in steps that can be looked at between: float, calibrated, integer.

Called in one go, the converter measures its own ranges and falls back to float without a word. In these steps it writes
the same tensors, operators and constants (a test holds it to that), and the ranges can be others.
"""

from __future__ import annotations

import copy
from typing import Any, Literal

import numpy as np

from toolchain.errors import StageError
from toolchain.keras_function import ModelFunction
from toolchain.optional import require
from toolchain.quantization.flatbuffer import packed, unpacked

Integer = Literal["int8", "uint8", "int16", "float32"]
TRIES = 16
"""How often `int8` asks again. Unrolled recurrent layers came out with a float SPLIT in 20 to 43 % of the calls on one
and the same input, and always the same where they did not: the quantizer goes by the order of its pointers."""


def float32(function: ModelFunction) -> bytes:
    """The frozen graph as a float .tflite. Raises StageError where an operator has no float kernel."""
    return _converted(_converter(function))


def float16(function: ModelFunction) -> bytes:
    """Weights in float16; the interpreter widens them when it loads."""
    tf = require("tensorflow", "tf")
    converter = _converter(function)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return _converted(converter)


def dynamic(function: ModelFunction, *, per_tensor: bool) -> bytes:
    """int8 weights; activations are quantized anew in every inference, with the range they have then."""
    converter = _converter(function)
    converter.optimizations = [require("tensorflow", "tf").lite.Optimize.DEFAULT]
    converter._experimental_disable_per_channel = per_tensor
    return _converted(converter)


def prepared(function: ModelFunction) -> bytes:
    """The float model in the form that the integer quantizers take, without ranges."""
    tf = require("tensorflow", "tf")
    converter = _converter(function)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]
    converter.representative_dataset = lambda: iter(())
    converter._experimental_calibrate_only = True
    return _converted(converter)


def int8(calibrated: bytes, *, per_tensor: bool, io: Integer) -> bytes:
    """int8 weights and activations; `io` is the type of inputs and outputs."""
    tf, convert = require("tensorflow", "tf"), require("tensorflow.lite.python.convert", "tf")
    kind = tf.as_dtype(io)
    try:
        best = convert.mlir_quantize(calibrated, per_tensor, input_data_type=kind, output_data_type=kind)
        for _ in range(TRIES):
            if not _float_outputs(best):
                break
            again = convert.mlir_quantize(calibrated, per_tensor, input_data_type=kind, output_data_type=kind)
            best = min(best, again, key=_float_outputs)
    except Exception as err:  # the converter raises many kinds, all of them about this model
        raise StageError(f"TFLiteConverter failed: {reason(err)}") from err
    return bytes(convert.deduplicate_readonly_buffers(best))


def int16(calibrated: bytes, *, io: Integer, allow_float: bool) -> bytes:
    """int8 weights, int16 activations, int64 biases (the 16x8 scheme); `io` is int16 or float32.

    TensorFlow's newer quantizer gives int16 activations a zero point of -1, which the kernels do not take; this is the older one.
    """
    convert = require("tensorflow.lite.python.convert", "tf")
    calibrator = require("tensorflow.lite.python.optimize.calibrator", "tf")
    edge, activation, bias = (np.dtype(name).num for name in (io, "int16", "int64"))
    try:
        quantizer = calibrator.Calibrator(_with_own_biases(calibrated))._calibrator
        content = quantizer.QuantizeModel(edge, edge, allow_float, activation, bias, False, False)
    except Exception as err:  # as above
        raise StageError(f"TensorFlow's 16x8 quantizer failed: {reason(err)}") from err
    return bytes(convert.deduplicate_readonly_buffers(content))


def reason(err: Exception) -> str:
    """The line of a converter's message that names the operator, or its first."""
    lines = [line.strip() for line in str(err).splitlines() if line.strip()]
    telling = [line for line in lines if "error:" in line or "op is neither" in line or "not yet supported" in line]
    return (telling or lines or [type(err).__name__])[0][:300]


def _with_own_biases(model: bytes) -> bytes:
    """The model with a bias for every operator; that quantizer scales one that several share for a single one of them."""
    found = unpacked(model)
    graph, taken = found.subgraphs[0], set()
    for op in graph.operators:
        index = int(op.inputs[2]) if len(op.inputs) > 2 else -1
        if index >= 0 and index in taken and found.buffers[graph.tensors[index].buffer].data is not None:
            own = copy.deepcopy(graph.tensors[index])
            own.name, own.buffer = own.name + b"_%d" % len(graph.tensors), len(found.buffers)
            found.buffers.append(copy.deepcopy(found.buffers[graph.tensors[index].buffer]))
            op.inputs = [*op.inputs[:2], len(graph.tensors), *op.inputs[3:]]
            graph.tensors.append(own)
        taken.add(index)
    return packed(found)


def _float_outputs(model: bytes) -> int:
    """How many tensors are computed in float, without those that leave the integers by DEQUANTIZE."""
    from ai_edge_litert import schema_py_generated as schema

    found = unpacked(model)
    graph, leaving = found.subgraphs[0], schema.BuiltinOperator.DEQUANTIZE
    computed = [op for op in graph.operators if found.operatorCodes[op.opcodeIndex].builtinCode != leaving]
    return sum(graph.tensors[i].type == schema.TensorType.FLOAT32 for op in computed for i in op.outputs)


def _converter(function: ModelFunction) -> Any:
    return require("tensorflow", "tf").lite.TFLiteConverter.from_concrete_functions([function.frozen()])


def _converted(converter: Any) -> bytes:
    try:
        return bytes(converter.convert())
    except Exception as err:  # as above
        raise StageError(f"TFLiteConverter failed: {reason(err)}") from err
