"""Fully connected layers as convolutions: the same numbers, no operator but RESHAPE besides, the same answers in XNNPACK."""

import numpy as np
import pytest
from c_source.graphs import Net

from toolchain.quantization.dense import as_convolutions
from toolchain.runners.litert import LiteRT
from toolchain.tflite_file import TfliteFile


def layer(net, x, inputs, outputs, y, bias=True, activation=0):
    rng = np.random.default_rng(outputs)
    weights = net.constant(rng.integers(-127, 128, (outputs, inputs)), np.int8, scale=rng.uniform(0.002, 0.01, outputs))
    scales = np.float32(net.graph.tensors[weights].quantization.scale) * np.float32(net.graph.tensors[x].quantization.scale[0])
    extra = [net.constant(rng.integers(-500, 500, outputs), scale=scales)] if bias else []
    net.operator("FULLY_CONNECTED", [x, weights, *extra], y, "FullyConnected", 4, fusedActivationFunction=activation)


def changed(net, tmp_path):
    """The file before and after, the names, and whether XNNPACK says the same."""
    before = net.write(tmp_path / "before.tflite")
    content, names = as_convolutions(before.read_bytes())
    (tmp_path / "after.tflite").write_bytes(content)
    old, new = LiteRT(before), LiteRT(tmp_path / "after.tflite")
    x = np.random.default_rng(0).integers(-128, 128, (50, *old.input_shapes[0])).astype(np.int8)
    assert np.array_equal(old.predict_raw([x]), new.predict_raw([x]))
    return TfliteFile.read(tmp_path / "after.tflite"), names


def test_a_chain_has_one_reshape_at_each_end(tmp_path):
    net = Net()
    x, first, second = net.input((1, 20), 0.05, 3), net.tensor((1, 12), 0.1, -7), net.tensor((1, 9), 0.1, 5)
    layer(net, x, 20, 12, first, activation=1)
    layer(net, first, 12, 9, second, bias=False)
    layer(net, second, 9, 4, net.output((1, 4), 0.2, 1))
    file, names = changed(net, tmp_path)
    assert names == ["t1", "t2", "t6"]
    assert [op.name for op in file.operators] == ["RESHAPE", "CONV_2D", "CONV_2D", "CONV_2D", "RESHAPE"]
    assert [file.tensors[op.inputs[1]].shape for op in file.operators[1:4]] == [(12, 1, 1, 20), (9, 1, 1, 12), (4, 1, 1, 9)]
    assert file.macs == 20 * 12 + 12 * 9 + 9 * 4
    assert file.tensors[file.operators[2].inputs[2]].scale == tuple(
        np.float32(0.1) * np.array(file.tensors[file.operators[2].inputs[1]].scale, np.float32)
    )


def test_what_flatten_and_mean_make_becomes_an_image_without_another_operator(tmp_path):
    net = Net()
    x, flat = net.input((1, 2, 3, 4), 0.1), net.tensor((1, 24), 0.1)
    net.operator("RESHAPE", [x, net.constant([1, 24])], flat, version=1)
    layer(net, flat, 24, 5, net.output((1, 5), 0.2))
    assert [op.name for op in changed(net, tmp_path)[0].operators] == ["RESHAPE", "CONV_2D", "RESHAPE"]
    net = Net()
    x, mean = net.input((1, 2, 3, 4), 0.1), net.tensor((1, 4), 0.1)
    net.operator("MEAN", [x, net.constant([1, 2])], mean, "Reducer")
    layer(net, mean, 4, 5, net.output((1, 5), 0.2))
    assert [op.name for op in changed(net, tmp_path)[0].operators] == ["MEAN", "CONV_2D", "RESHAPE"]


def test_a_mean_over_channels_keeps_its_shape(tmp_path):
    net = Net()
    x, mean = net.input((1, 4, 2, 3), 0.1), net.tensor((1, 4), 0.1)
    net.operator("MEAN", [x, net.constant([2, 3])], mean, "Reducer")
    layer(net, mean, 4, 5, net.output((1, 5), 0.2))
    assert [op.name for op in changed(net, tmp_path)[0].operators] == ["MEAN", "RESHAPE", "CONV_2D", "RESHAPE"]


def test_another_reader_gets_the_values_in_their_shape(tmp_path):
    net = Net()
    x, inner = net.input((1, 6), 0.1), net.tensor((1, 6), 0.1)
    layer(net, x, 6, 6, inner)
    last = net.tensor((1, 6), 0.1)
    layer(net, inner, 6, 6, last)
    net.operator("ADD", [inner, last], net.output((1, 6), 0.2), "Add")
    file, _ = changed(net, tmp_path)
    assert [op.name for op in file.operators] == ["RESHAPE", "CONV_2D", "RESHAPE", "CONV_2D", "RESHAPE", "ADD"]


def test_rows_stay_rows_and_images_stay_images(tmp_path):
    net = Net()
    x = net.input((1, 7, 6), 0.1)
    layer(net, x, 6, 5, net.output((1, 7, 5), 0.3))
    net.graph.operators[0].builtinOptions.keepNumDims = True
    file, _ = changed(net, tmp_path)
    assert [file.tensors[i].shape for op in file.operators for i in op.outputs] == [(1, 7, 1, 6), (1, 7, 1, 5), (1, 7, 5)]
    net = Net()
    layer(net, net.input((1, 1, 1, 6), 0.1), 6, 5, net.output((1, 5), 0.3))
    assert [op.name for op in changed(net, tmp_path)[0].operators] == ["CONV_2D", "RESHAPE"]


def test_a_file_without_such_layers_stays_byte_for_byte(tiny_float, tmp_path):
    content, names = as_convolutions(tiny_float.read_bytes())
    assert (content, names) == (tiny_float.read_bytes(), [])


def test_tflm_and_the_reference_kernels_then_agree(tmp_path):
    """40 outputs from 64 inputs: as FULLY_CONNECTED about one in two hundred differs."""
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime")
    net = Net()
    x, hidden = net.input((1, 64), 0.02), net.tensor((1, 48), 0.04, -128)
    layer(net, x, 64, 48, hidden, activation=1)
    layer(net, hidden, 48, 40, net.output((1, 40), 0.05))
    changed(net, tmp_path)
    rows = np.random.default_rng(1).integers(-128, 128, (400, 64)).astype(np.int8)
    differing = {}
    for name in ("before", "after"):
        path = tmp_path / f"{name}.tflite"
        micro, answers = runtime.Interpreter.from_file(str(path)), []
        for row in rows:
            micro.set_input(row[None], 0)
            micro.invoke()
            answers.append(micro.get_output(0).copy())
        differing[name] = int((np.concatenate(answers) != LiteRT(path, kernels="reference").predict_raw([rows])).sum())
    assert differing["before"] > 0
    assert differing["after"] == 0
