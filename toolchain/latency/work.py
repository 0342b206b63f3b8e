"""What a network asks of a core, in the units a kernel's time grows with: multiply-accumulates by shape, outputs, bytes.

A latency profile holds cycles for one unit of each. Why these units: a kernel's inner loop costs by multiply-accumulate, and
differently where weights are shared by all pixels (convolutions), by none (depthwise) or used once (dense layers); depthwise
kernels are written out for 3x3 and generic for the rest; every output is requantized once; a convolution wider than one pixel
gathers its patches first (im2col, as in Lai, Suda, Chandra, "CMSIS-NN", arXiv:1801.06601, section 3); and every call costs its
set-up.
"""

from __future__ import annotations

from toolchain.tflite_file import Operator, Tensor

TERMS = {
    "conv_mac": "multiply-accumulate of a convolution wider than one pixel, four or more input channels",
    "narrow_conv_mac": "multiply-accumulate of a convolution wider than one pixel, fewer than four input channels",
    "pointwise_mac": "multiply-accumulate of a 1x1 convolution",
    "depthwise_mac": "multiply-accumulate of a 3x3 depthwise convolution with one output channel an input channel",
    "generic_depthwise_mac": "multiply-accumulate of any other depthwise convolution",
    "dense_mac": "multiply-accumulate of a fully connected layer",
    "output": "value that a convolution or a fully connected layer requantizes",
    "patch_value": "value gathered for a convolution wider than one pixel (im2col)",
    "weight_byte": "byte of weights and biases read from flash once",
    "elementwise": "value that an elementwise operator computes",
    "pool_value": "value that a pooling operator or a mean reads",
    "softmax_value": "value of a softmax",
    "moved_value": "value that a pad, a concatenation, a transposition or a resize writes",
    "operator": "call of an operator",
}
"""The units of work, each with what one of it is."""

ELEMENTWISE = frozenset(
    "ADD SUB MUL DIV MAXIMUM MINIMUM SQUARED_DIFFERENCE RELU RELU6 RELU_N1_TO_1 RELU_0_TO_1 LEAKY_RELU PRELU ELU GELU "
    "LOGISTIC TANH HARD_SWISH ABS NEG EXP SQRT RSQRT QUANTIZE DEQUANTIZE CAST".split()
)
"""Operators that compute a value from one or two values."""
MOVES = frozenset(
    "PAD PADV2 MIRROR_PAD CONCATENATION TRANSPOSE STRIDED_SLICE SLICE SPLIT SPLIT_V GATHER RESIZE_BILINEAR "
    "RESIZE_NEAREST_NEIGHBOR SPACE_TO_DEPTH DEPTH_TO_SPACE TILE".split()
)
"""Operators that write values they were given, or mixtures of a few."""
FREE = frozenset(("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "SHAPE", "PACK"))
"""They change or tell a shape: no engine copies for them more than a few values."""

Work = dict[str, int]
"""Units of work by name; terms that are absent are zero."""


def conv(outputs: int, kernel: tuple[int, int], in_channels: int, out_channels: int) -> Work:
    """A convolution that computes `outputs` values in all, `kernel` is (height, width)."""
    window = kernel[0] * kernel[1]
    macs = outputs * window * in_channels
    work = {"output": outputs, "weight_byte": out_channels * (window * in_channels + 4), "operator": 1}
    if window == 1:
        return work | {"pointwise_mac": macs}
    return work | {"conv_mac" if in_channels >= 4 else "narrow_conv_mac": macs, "patch_value": macs // out_channels}


def depthwise(outputs: int, kernel: tuple[int, int], channels: int, multiplier: int = 1) -> Work:
    """A depthwise convolution with `channels` output channels that computes `outputs` values in all.

    `multiplier` is the number of output channels an input channel; CMSIS-NN's fast kernels take one.
    """
    window = kernel[0] * kernel[1]
    term = "depthwise_mac" if kernel == (3, 3) and multiplier == 1 else "generic_depthwise_mac"
    return {term: outputs * window, "output": outputs, "weight_byte": channels * (window + 4), "operator": 1}


def dense(outputs: int, inputs: int, rows: int = 1) -> Work:
    """A fully connected layer from `inputs` to `outputs` values, for each of `rows` vectors."""
    return {"dense_mac": rows * outputs * inputs, "output": rows * outputs, "weight_byte": outputs * (inputs + 4), "operator": 1}


def other(term: str, values: int) -> Work:
    """An operator without multiply-accumulates that costs by `values` of `term`."""
    return {term: values, "operator": 1}


def of(operator: Operator, tensors: tuple[Tensor, ...]) -> Work | None:
    """The work of one operator of a file; None for a kind that no term describes."""
    name = operator.name
    if name in FREE or not operator.outputs:
        return {}
    output = tensors[operator.outputs[0]]
    inputs = [tensors[index] for index in operator.inputs if index >= 0]
    outputs = sum(tensors[index].elements for index in operator.outputs)
    if output.dtype in ("INT32", "INT64") and all(t.constant or t.dtype in ("INT32", "INT64") for t in inputs):
        return {}  # arithmetic on shapes
    if name == "CONV_2D":
        weight = inputs[1].shape  # [out, height, width, in]
        return conv(outputs, (weight[1], weight[2]), weight[3], weight[0])
    if name == "DEPTHWISE_CONV_2D":
        weight = inputs[1].shape  # [1, height, width, out]
        return depthwise(outputs, (weight[1], weight[2]), weight[3], weight[3] // inputs[0].shape[-1])
    if name == "FULLY_CONNECTED":
        weight = inputs[1].shape  # [out, in]
        return dense(weight[0], weight[1], outputs // weight[0])
    if name in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
        return other("pool_value", outputs * operator.options["filterHeight"] * operator.options["filterWidth"])
    if name in ("MEAN", "SUM", "REDUCE_MAX"):
        return other("pool_value", inputs[0].elements)
    if name == "SOFTMAX":
        return other("softmax_value", outputs)
    if name in ELEMENTWISE:
        return other("elementwise", outputs)
    return other("moved_value", outputs) if name in MOVES else None


def total(parts: list[Work]) -> Work:
    """The sum of several works."""
    return {term: value for term in TERMS if (value := sum(part.get(term, 0) for part in parts))}
