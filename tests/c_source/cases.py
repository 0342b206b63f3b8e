"""Every operator with random shapes, settings, scales and zero points, as hypothesis strategies of what is added to a graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from c_source.graphs import Net
from hypothesis import strategies as st

SEEDS = st.integers(0, 2**32 - 1)
ZEROS = st.integers(-128, 127)
SCALES = st.floats(-10, -1).map(lambda power: float(np.float32(2**power)))
ACTIVATIONS = st.sampled_from([0, 1, 2, 3])
GAINS = st.one_of(st.none(), st.integers(-10, 6).map(lambda quarter: 10 ** (quarter / 4)))
"""From outputs that hardly move to outputs that are cut off at both ends; None for scales that make ties of half the sums."""
SHAPES = st.tuples(st.just(1), st.integers(1, 6), st.integers(1, 6), st.integers(1, 9))


class Case(NamedTuple):
    write: Callable[..., None]
    fields: dict[str, Any]


def cases(write: Callable[..., None], **fields: st.SearchStrategy) -> st.SearchStrategy[Case]:
    return st.builds(Case, st.just(write), st.fixed_dictionaries(fields))


def joined(found: Iterable[Case]) -> Net:
    """One graph of independent operators: many of them are compiled at once."""
    net = Net()
    for case in found:
        case.write(net, **case.fields)
    return net


def _slid(shape, kernel, stride, dilation, same) -> tuple[int, int]:
    """Output height and width (tensorflow/lite/kernels/padding.h: ComputeOutSize)."""
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    return tuple(-(-(n if same else n - r + 1) // s) for n, r, s in zip(shape[1:3], reach, stride, strict=True))


def _fitting(shape, kernel, dilation, same) -> tuple[tuple[int, int], tuple[int, int]]:
    """The kernel and dilation, made small enough for padding VALID."""
    if same:
        return kernel, dilation
    kernel = tuple(min(k, n) for k, n in zip(kernel, shape[1:3], strict=True))
    dilation = tuple(d if (k - 1) * d < n else 1 for k, d, n in zip(kernel, dilation, shape[1:3], strict=True))
    return kernel, dilation


def _filters(net, rng, shape, channels, axis, per_channel, x_scale, gain, zero, out_shape, with_bias=True):
    """Weights, biases and the output of a layer whose answers spread over `gain` times the output's range."""
    taps = math.prod(shape) // channels
    scale = rng.uniform(0.002, 0.02) * (10 ** rng.uniform(-1, 0, channels) if per_channel else 1)
    weights = net.constant(rng.integers(-127, 128, shape), np.int8, scale=scale, axis=axis)
    reach = int(64 * 64 * math.sqrt(taps))
    bias = [net.constant(rng.integers(-reach, reach + 1, channels), scale=np.float32(x_scale) * np.float32(scale))] if with_bias else []
    product = np.float32(x_scale) * np.float32(np.max(scale))
    y = net.output(out_shape, product * (2.0**7 if gain is None else reach / 64 / gain), zero)
    return weights, bias, y


def conv(net, shape, out, kernel, stride, dilation, same, per_channel, x_scale, x_zero, gain, y_zero, activation, seed):
    rng = np.random.default_rng(seed)
    kernel, dilation = _fitting(shape, kernel, dilation, same)
    x = net.input(shape, x_scale, x_zero)
    out_shape = (1, *_slid(shape, kernel, stride, dilation, same), out)
    weights, bias, y = _filters(net, rng, (out, *kernel, shape[3]), out, 0, per_channel, x_scale, gain, y_zero, out_shape)
    net.operator(
        "CONV_2D", [x, weights, *bias], y, "Conv2D", 3, padding=0 if same else 1, strideH=stride[0], strideW=stride[1],
        dilationHFactor=dilation[0], dilationWFactor=dilation[1], fusedActivationFunction=activation,
    )  # fmt: skip


def depthwise(
    net, shape, multiplier, kernel, stride, dilation, same, per_channel, with_bias, x_scale, x_zero, gain, y_zero, activation, seed
):
    rng = np.random.default_rng(seed)
    kernel, dilation = _fitting(shape, kernel, dilation, same)
    out = shape[3] * multiplier
    x = net.input(shape, x_scale, x_zero)
    out_shape = (1, *_slid(shape, kernel, stride, dilation, same), out)
    weights, bias, y = _filters(net, rng, (1, *kernel, out), out, 3, per_channel, x_scale, gain, y_zero, out_shape, with_bias)
    net.operator(
        "DEPTHWISE_CONV_2D", [x, weights, *bias], y, "DepthwiseConv2D", 3, padding=0 if same else 1, strideH=stride[0], strideW=stride[1],
        dilationHFactor=dilation[0], dilationWFactor=dilation[1], depthMultiplier=multiplier, fusedActivationFunction=activation,
    )  # fmt: skip


def dense(net, rows, inputs, out, per_channel, with_bias, x_scale, x_zero, gain, y_zero, activation, seed):
    rng = np.random.default_rng(seed)
    leading = (1, rows) if rows > 1 else (1,)
    x = net.input((*leading, inputs), x_scale, x_zero)
    weights, bias, y = _filters(net, rng, (out, inputs), out, 0, per_channel, x_scale, gain, y_zero, (*leading, out), with_bias)
    net.operator("FULLY_CONNECTED", [x, weights, *bias], y, "FullyConnected", 4, fusedActivationFunction=activation, keepNumDims=rows > 1)


def pairwise(net, name, shape, repeated, rank, constant, scales, zeros, ratio, activation, seed):
    """`repeated` names, for each axis, the operand that has a length of 1 there; `rank` cuts a constant second's leading axes."""
    rng = np.random.default_rng(seed)
    if constant != 1:
        rank = len(shape)
    shapes = [tuple(1 if repeated[axis] == side else n for axis, n in enumerate(shape)) for side in (0, 1)]
    shapes[1] = shapes[1][len(shape) - rank :]
    operands = [
        net.constant(rng.integers(-128, 128, s), np.int8, scale=scale, zero=zero) if side == constant else net.input(s, scale, zero)
        for side, (s, scale, zero) in enumerate(zip(shapes, scales, zeros[:2], strict=True))
    ]
    natural = np.float32(scales[0]) * np.float32(scales[1]) * 128 if name == "MUL" else max(scales)
    y = net.output(np.broadcast_shapes(*shapes), natural * ratio, zeros[2])
    net.operator(name, operands, y, name.capitalize(), fusedActivationFunction=activation)


def unary(net, name, shape, x, y):
    """One operator from one int8 tensor to another; `x` and `y` are scale and zero point."""
    a = net.input(shape, *x)
    net.operator(name, [a], net.output(shape, *y), version=1 if name in ("HARD_SWISH", "RELU_N1_TO_1") else 2)


def leaky(net, shape, x, y, alpha):
    a = net.input(shape, *x)
    net.operator("LEAKY_RELU", [a], net.output(shape, *y), "LeakyRelu", alpha=alpha)


def softmax(net, shape, x, beta):
    a = net.input(shape, *x)
    net.operator("SOFTMAX", [a], net.output(shape, 1 / 256, -128), "Softmax", beta=beta)


def requantize(net, shape, kinds, x, y):
    (from_type, lowest), (to_type, low) = ({"int8": (np.int8, 0), "uint8": (np.uint8, 128)}[kind] for kind in kinds)
    a = net.input(shape, x[0], x[1] + lowest, from_type)
    net.operator("QUANTIZE", [a], net.output(shape, y[0], y[1] + low, to_type))


def quantize(net, shape, y):
    net.operator("QUANTIZE", [net.input(shape, dtype=np.float32)], net.output(shape, *y))


def dequantize(net, shape, kind, x):
    a = net.input(shape, x[0], x[1] + (128 if kind is np.uint8 else 0), kind)
    net.operator("DEQUANTIZE", [a], net.output(shape, dtype=np.float32))


def pool(net, name, shape, kernel, stride, same, x, activation):
    kernel, _ = _fitting(shape, kernel, (1, 1), same)
    a = net.input(shape, *x)
    y = net.output((1, *_slid(shape, kernel, stride, (1, 1), same), shape[3]), *x)
    net.operator(
        name, [a], y, "Pool2D", padding=0 if same else 1, strideH=stride[0], strideW=stride[1],
        filterHeight=kernel[0], filterWidth=kernel[1], fusedActivationFunction=activation,
    )  # fmt: skip


def mean(net, shape, axes, negative, keep, x, y):
    a = net.input(shape, *x)
    left = tuple(1 if axis in axes else n for axis, n in enumerate(shape) if keep or axis not in axes)
    given = [axis - len(shape) if negative else axis for axis in axes]
    net.operator("MEAN", [a, net.constant(given)], net.output(left, *y), "Reducer", keepDims=keep)


def resize(net, name, shape, size, corners, x):
    a = net.input(shape, *x)
    y = net.output((1, *size, shape[3]), *x)
    align, half = corners
    net.operator(name, [a, net.constant(size)], y, name.title().replace("_", ""), 3, alignCorners=align, halfPixelCenters=half)


def pad(net, name, shape, around, value, x):
    a = net.input(shape, *x)
    around = [(0, 0), *around]
    y = net.output([n + sum(both) for n, both in zip(shape, around, strict=True)], *x)
    given = [net.constant([value], np.int8, scale=x[0], zero=x[1])] if name == "PADV2" else []
    net.operator(name, [a, net.constant(around), *given], y, "PadV2" if given else "Pad")


def concatenate(net, shape, lengths, axis, constant, x, seed):
    rng = np.random.default_rng(seed)
    shapes = [[length if place == axis else n for place, n in enumerate(shape)] for length in lengths]
    parts = [
        net.constant(rng.integers(-128, 128, s), np.int8, scale=x[0], zero=x[1]) if number == constant else net.input(s, *x)
        for number, s in enumerate(shapes)
    ]
    y = net.output([sum(lengths) if place == axis else n for place, n in enumerate(shape)], *x)
    net.operator("CONCATENATION", parts, y, "Concatenation", axis=axis - len(shape) if seed % 2 else axis)


def transpose(net, sizes, order, x):
    a = net.input((1, *sizes), *x)
    shape = [(1, *sizes)[axis] for axis in (0, *order)]
    net.operator("TRANSPOSE", [a, net.constant([0, *order])], net.output(shape, *x), "Transpose")


def strided_slice(net, shape, bounds, x):
    """`bounds` of each axis behind the batch: how it is cut, as begin, end, stride, and whether each is open or the axis dropped."""
    begins, ends, strides, open_begin, open_end, dropped = [0], [1], [1], 0, 0, 0
    left = [1]
    for axis, (n, (kind, begin, length, stride, negative)) in enumerate(zip(shape[1:], bounds, strict=True), 1):
        begin = min(begin, n - 1)
        end = min(begin + length, n)
        if kind == "backwards":
            begin, end, stride = n - 1, 0, -stride
        if kind == "open":
            open_begin |= 1 << axis
            open_end |= 1 << axis
        if kind == "dropped":
            dropped |= 1 << axis
            end, stride = begin + 1, 1
        whole = slice(None, None, stride) if kind == "open" else slice(begin, end, stride)
        count = len(range(n)[whole])
        if count == 0:  # a row of one, backwards to before its only value
            end, stride, count = 1, 1, 1
        if kind != "dropped":
            left.append(count)
        begins.append(begin - n if negative else begin)
        ends.append(end)
        strides.append(stride)
    a, given = net.input(shape, *x), [net.constant(values) for values in (begins, ends, strides)]
    masks = {"beginMask": open_begin, "endMask": open_end, "shrinkAxisMask": dropped}
    net.operator("STRIDED_SLICE", [a, *given], net.output(left, *x), "StridedSlice", ellipsisMask=0, newAxisMask=0, **masks)


def reshape(net, name, shape, x):
    a = net.input(shape, *x)
    if name == "RESHAPE":
        y = net.output((1, math.prod(shape)), *x)
        net.operator(name, [a, net.constant([1, math.prod(shape)])], y, "Reshape", 1, newShape=[1, math.prod(shape)])
    elif name == "EXPAND_DIMS":
        net.operator(name, [a, net.constant(1)], net.output((1, 1, *shape[1:]), *x), "ExpandDims", 1)
    else:
        left = [1, *(n for n in shape[1:] if n > 1)]
        net.operator(name, [a], net.output(left, *x), "Squeeze", 1, squeezeDims=[i for i, n in enumerate(shape) if n == 1 and i])


PLACED = st.tuples(SCALES, ZEROS)
PAIRS = st.tuples(st.integers(1, 4), st.integers(1, 4))
STEPS = st.tuples(st.integers(1, 3), st.integers(1, 3))
LAYER = {
    "per_channel": st.booleans(), "x_scale": SCALES, "x_zero": ZEROS, "gain": GAINS, "y_zero": ZEROS,
    "activation": ACTIVATIONS, "seed": SEEDS,
}  # fmt: skip
WINDOW = {
    "shape": SHAPES,
    "kernel": PAIRS,
    "stride": STEPS,
    "dilation": st.tuples(st.integers(1, 2), st.integers(1, 3)),
    "same": st.booleans(),
}

PIXEL = {
    "shape": st.integers(1, 40).map(lambda channels: (1, 1, 1, channels)), "kernel": st.just((1, 1)), "stride": st.just((1, 1)),
    "dilation": st.just((1, 1)), "same": st.booleans(),
}  # fmt: skip
"""What a dense layer becomes as a convolution."""

CONV = cases(conv, out=st.integers(1, 9), **WINDOW, **LAYER) | cases(conv, out=st.integers(1, 9), **PIXEL, **LAYER)
DEPTHWISE = cases(depthwise, with_bias=st.booleans(), multiplier=st.sampled_from([1, 1, 2, 3]), **WINDOW, **LAYER)
DENSE = cases(dense, with_bias=st.booleans(), rows=st.integers(1, 3), inputs=st.integers(1, 40), out=st.integers(1, 9), **LAYER)
PAIRWISE = cases(
    pairwise, name=st.sampled_from(["ADD", "SUB", "MUL"]), shape=SHAPES, repeated=st.tuples(*[st.sampled_from([None, None, 0, 1])] * 4),
    rank=st.sampled_from([4, 4, 3, 1, 0]), constant=st.sampled_from([None, 0, 1]), scales=st.tuples(SCALES, SCALES),
    zeros=st.tuples(ZEROS, ZEROS, ZEROS), ratio=st.sampled_from([0.01, 0.25, 0.7, 1, 2, 3, 10]), activation=ACTIVATIONS, seed=SEEDS,
)  # fmt: skip
TABLES = st.one_of(
    cases(unary, name=st.sampled_from(["RELU", "RELU6", "RELU_N1_TO_1", "GELU", "ABS", "EXP"]), shape=SHAPES, x=PLACED, y=PLACED),
    cases(unary, name=st.just("HARD_SWISH"), shape=SHAPES, x=PLACED, y=st.tuples(st.sampled_from([0.008, 0.02, 0.3]), ZEROS)),
    cases(unary, name=st.just("LOGISTIC"), shape=SHAPES, x=PLACED, y=st.just((1 / 256, -128))),
    cases(unary, name=st.just("TANH"), shape=SHAPES, x=PLACED, y=st.just((1 / 128, 0))),
    cases(leaky, shape=SHAPES, x=PLACED, y=PLACED, alpha=st.floats(0, 1)),
)
SOFTMAX = cases(softmax, shape=SHAPES | st.tuples(st.just(1), st.integers(1, 40)), x=PLACED, beta=st.sampled_from([0.5, 1.0, 2.0]))
QUANTIZE = st.one_of(
    cases(requantize, shape=SHAPES, kinds=st.tuples(*[st.sampled_from(["int8", "uint8"])] * 2), x=PLACED, y=PLACED),
    cases(quantize, shape=SHAPES, y=PLACED),
    cases(dequantize, shape=SHAPES, kind=st.sampled_from([np.int8, np.uint8]), x=PLACED),
)
POOL = cases(
    pool, name=st.sampled_from(["AVERAGE_POOL_2D", "MAX_POOL_2D"]), shape=SHAPES, kernel=PAIRS, stride=STEPS, same=st.booleans(), x=PLACED,
    activation=ACTIVATIONS,
)  # fmt: skip
MEAN = cases(
    mean, shape=SHAPES, axes=st.sampled_from([(1,), (2,), (3,), (1, 2), (2, 1), (2, 3), (1, 2, 3)]), negative=st.booleans(),
    keep=st.booleans(), x=PLACED, y=PLACED,
)  # fmt: skip
CORNERS = st.sampled_from([(False, False), (True, False), (False, True)])
RESIZE = cases(
    resize, name=st.sampled_from(["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"]), shape=SHAPES,
    size=st.tuples(st.integers(1, 13), st.integers(1, 13)), corners=CORNERS, x=PLACED,
)  # fmt: skip
PAD = cases(
    pad, name=st.sampled_from(["PAD", "PADV2"]), shape=SHAPES, around=st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * 3),
    value=ZEROS, x=PLACED,
)  # fmt: skip
CONCATENATE = cases(
    concatenate, shape=SHAPES, lengths=st.lists(st.integers(1, 5), min_size=2, max_size=4), axis=st.integers(1, 3),
    constant=st.sampled_from([None, None, 1]), x=PLACED, seed=SEEDS,
)  # fmt: skip
TRANSPOSE = st.integers(1, 4).flatmap(
    lambda axes: cases(transpose, sizes=st.tuples(*[st.integers(1, 5)] * axes), order=st.permutations(range(1, axes + 1)), x=PLACED)
)
CUT = st.tuples(
    st.sampled_from(["between", "open", "dropped", "backwards"]), st.integers(0, 5), st.integers(1, 6), st.integers(1, 3), st.booleans()
)
SLICE = cases(strided_slice, shape=SHAPES, bounds=st.tuples(CUT, CUT, CUT), x=PLACED)
RESHAPE = cases(reshape, name=st.sampled_from(["RESHAPE", "EXPAND_DIMS", "SQUEEZE"]), shape=SHAPES, x=PLACED)

EVERY = {
    "conv": CONV, "depthwise": DEPTHWISE, "dense": DENSE, "pairwise": PAIRWISE, "tables": TABLES, "softmax": SOFTMAX, "quantize": QUANTIZE,
    "pool": POOL, "mean": MEAN, "resize": RESIZE, "pad": PAD, "concatenate": CONCATENATE, "transpose": TRANSPOSE, "slice": SLICE,
    "reshape": RESHAPE,
}  # fmt: skip
