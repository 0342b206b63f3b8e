import numpy as np
import pytest
from c_source.graphs import Net
from conftest import SHARED, needs_shared
from hypothesis import given
from hypothesis import strategies as st
from latency.small import ROUND, network

from toolchain.latency import work
from toolchain.tflite_file import TfliteFile

sizes = st.integers(1, 64)


def works(path):
    file = TfliteFile.read(path)
    return [work.of(operator, file.tensors) for operator in file.operators]


def cycles(found):
    return sum(ROUND[term] * units for term, units in found.items())


def test_units_of_a_network_by_hand(tmp_path):
    conv, depthwise, pointwise, reshape, dense, softmax = works(network(tmp_path / "net.tflite"))
    # 4x4x8 outputs of 3x3x3 values; the patches are gathered once for all filters
    assert conv == {"narrow_conv_mac": 3456, "patch_value": 432, "output": 128, "weight_byte": 8 * 27 + 8 * 4, "operator": 1}
    assert depthwise == {"depthwise_mac": 1152, "output": 128, "weight_byte": 8 * 9 + 8 * 4, "operator": 1}
    assert pointwise == {"pointwise_mac": 512, "output": 64, "weight_byte": 4 * 8 + 4 * 4, "operator": 1}
    assert reshape == {}
    assert dense == {"dense_mac": 192, "output": 3, "weight_byte": 3 * 64 + 3 * 4, "operator": 1}
    assert softmax == {"softmax_value": 3, "operator": 1}
    assert work.total([conv, depthwise]) == {
        "narrow_conv_mac": 3456, "depthwise_mac": 1152, "patch_value": 432, "output": 256, "weight_byte": 352, "operator": 2,
    }  # fmt: skip


def test_kinds_of_convolution():
    assert "conv_mac" in work.conv(64, (3, 3), 4, 8)
    assert "narrow_conv_mac" in work.conv(64, (3, 3), 3, 8)
    assert "narrow_conv_mac" in work.conv(64, (10, 4), 1, 64)
    assert "pointwise_mac" in work.conv(64, (1, 1), 3, 8)
    assert "depthwise_mac" in work.depthwise(64, (3, 3), 4)
    assert "generic_depthwise_mac" in work.depthwise(64, (5, 5), 4)
    assert "generic_depthwise_mac" in work.depthwise(64, (3, 3), 8, multiplier=8)


@pytest.mark.parametrize(
    ("name", "out_shape", "constants", "options", "fields", "expected"),
    [
        ("LOGISTIC", (1, 4, 4, 2), [], None, {}, {"elementwise": 32, "operator": 1}),
        ("PAD", (1, 5, 5, 2), [[[0, 0], [0, 1], [0, 1], [0, 0]]], "Pad", {}, {"moved_value": 50, "operator": 1}),
        ("MEAN", (1, 2), [[1, 2]], "Reducer", {}, {"pool_value": 32, "operator": 1}),
        ("AVERAGE_POOL_2D", (1, 2, 2, 2), [], "Pool2D", {"filterHeight": 2, "filterWidth": 2}, {"pool_value": 32, "operator": 1}),
        ("RESHAPE", (1, 32), [[1, 32]], "Reshape", {}, {}),
        ("FLOOR", (1, 4, 4, 2), [], None, {}, None),
    ],
)
def test_operators_without_multiplications(tmp_path, name, out_shape, constants, options, fields, expected):
    net = Net()
    x = net.input((1, 4, 4, 2), 0.05, 3)
    net.operator(name, [x, *map(net.constant, constants)], net.output(out_shape, 0.04, -7), options, **fields)
    assert works(net.write(tmp_path / "one.tflite")) == [expected]


def test_arithmetic_on_shapes_is_free(tmp_path):
    net = Net()
    shape = net.input((2,), dtype=np.int32)
    net.operator("MUL", [shape, net.constant([2, 2])], net.output((2,), dtype=np.int32), "Mul")
    assert works(net.write(tmp_path / "shape.tflite")) == [{}]


@given(outputs=sizes, height=sizes, width=sizes, inputs=sizes, filters=sizes)
def test_more_outputs_never_cost_less(outputs, height, width, inputs, filters):
    def cost(filters):
        return cycles(work.conv(outputs * filters, (height, width), inputs, filters))

    assert cost(filters + 1) > cost(filters)
    assert cycles(work.dense(filters + 1, inputs)) > cycles(work.dense(filters, inputs))
    assert cycles(work.depthwise(outputs * (filters + 1), (3, 3), filters + 1)) > cycles(work.depthwise(outputs * filters, (3, 3), filters))


@given(outputs=sizes, kernel=st.sampled_from([(1, 1), (3, 3), (5, 5)]), inputs=st.integers(4, 64), filters=sizes)
def test_more_inputs_never_cost_less(outputs, kernel, inputs, filters):
    assert cycles(work.conv(outputs * filters, kernel, inputs + 1, filters)) > cycles(work.conv(outputs * filters, kernel, inputs, filters))


@needs_shared("mlperf_tiny")
def test_multiplications_are_those_of_the_file():
    for path in sorted((SHARED / "mlperf_tiny").glob("*/*int8.tflite")):
        file = TfliteFile.read(path)
        found = work.total([work.of(operator, file.tensors) for operator in file.operators])
        assert sum(units for term, units in found.items() if term.endswith("_mac")) == file.macs
