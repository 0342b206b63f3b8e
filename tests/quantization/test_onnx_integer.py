"""Every operator that is translated to ONNX answers as LiteRT's XNNPACK kernels, on random settings."""

import numpy as np
import pytest
from c_source.cases import EVERY, joined
from c_source.graphs import Net
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from toolchain.errors import ModelError
from toolchain.quantization.onnx_integer.spatial import shares
from toolchain.quantization.onnx_integer.translation import translate
from toolchain.quantization.onnx_integer.writer import activation_limits
from toolchain.runners.litert import LiteRT
from toolchain.tflite_file import Tensor

onnxruntime = pytest.importorskip("onnxruntime")


def answers(path, count=6, opset=17):
    """What LiteRT and onnxruntime say to the same random inputs."""
    session = onnxruntime.InferenceSession(translate(path, opset).SerializeToString(), providers=["CPUExecutionProvider"])
    litert, rng = LiteRT(path), np.random.default_rng(0)
    inputs = []
    for value in session.get_inputs():
        shape = (count, *value.shape[1:])
        floats = value.type == "tensor(float)"
        inputs.append(rng.uniform(-3, 3, shape).astype(np.float32) if floats else rng.integers(-128, 128, shape).astype(np.int8))
    names = [value.name for value in session.get_inputs()]
    rows = [session.run(None, {name: x[i : i + 1] for name, x in zip(names, inputs, strict=True)})[0] for i in range(count)]
    return litert.predict_raw(inputs), np.concatenate(rows)


def exact(case) -> bool:
    """LiteRT 2.3 has no answer to a depthwise convolution without biases (it crashes)."""
    return not (case.write.__name__ == "depthwise" and not case.fields["with_bias"])


@pytest.mark.parametrize("kind", EVERY)
def test_an_operator_answers_as_xnnpack(kind, tmp_path):
    translated = []

    @settings(
        deadline=None, max_examples=6, suppress_health_check=list(HealthCheck), phases=[Phase.generate], database=None, derandomize=True
    )
    @given(st.lists(EVERY[kind].filter(exact), min_size=2, max_size=4))
    def check(cases):
        for case in cases:
            path = joined([case]).write(tmp_path / "net.tflite")
            try:
                expected, found = answers(path)
            except ModelError as err:
                assert any(why in str(err) for why in ("uint8 tensors", "a mean over axes")), err
                continue
            assert found.dtype == expected.dtype
            assert np.array_equal(found.ravel(), expected.ravel()), case
            translated.append(case)

    check()
    assert len(translated) > 4


@pytest.mark.parametrize(("name", "second", "result"), [("MUL", 0.25, 16), ("ADD", 0.5, 2), ("SUB", 0.25, 2)])
def test_ties_go_where_xnnpack_sends_them(name, second, result, tmp_path):
    """Scales whose ratios are powers of two make every other answer a tie."""
    scale, other = np.float32(0.37), np.float32(0.37 * second)
    product = scale * other if name == "MUL" else scale
    net = Net()
    a, b = net.input((1, 64, 64, 1), scale, 3), net.input((1, 64, 64, 1), other, -40)
    net.operator(name, [a, b], net.output((1, 64, 64, 1), product * np.float32(result), 21), name.capitalize())
    expected, found = answers(net.write(tmp_path / "net.tflite"))
    assert np.array_equal(found, expected)
    assert len(np.unique(expected)) > 100


def every_mean(path, count, scales, zeros):
    """Every total of `count` int8 values, each in a channel of its own, with LiteRT's and onnxruntime's means."""
    totals = np.arange(-128 * count, 127 * count + 1)
    least, left = np.divmod(totals, count)
    values = (least + (np.arange(count)[:, None] < left)).astype(np.int8)[None, :, None, :]
    net = Net()
    x = net.input(values.shape, scales[0], zeros[0])
    net.operator("MEAN", [x, net.constant([1, 2])], net.output((1, len(totals)), scales[1], zeros[1]), "Reducer")
    session = onnxruntime.InferenceSession(translate(net.write(path), 17).SerializeToString(), providers=["CPUExecutionProvider"])
    return totals, LiteRT(path).predict_raw([values])[0], session.run(None, {session.get_inputs()[0].name: values})[0][0]


def test_a_mean_near_a_tie_goes_where_xnnpack_sends_it(tmp_path):
    """-9388 * 0.017468238 + 151.49182 is -12.5 in float32, a tie that goes to -12; in real numbers it is -12.50002."""
    totals, expected, found = every_mean(tmp_path / "net.tflite", 125, (0.009552594274282455, 0.004374840762466192), (-128, -128))
    assert expected[totals == -9388] == -12
    assert np.array_equal(found, expected)


def test_the_mean_of_every_total_is_exact(tmp_path):
    rng = np.random.default_rng(0)
    for count in rng.integers(2, 200, 40):
        scale = rng.uniform(0.001, 1)
        case = int(count), (scale, scale * rng.uniform(0.1, 2)), rng.integers(-128, 128, 2).tolist()
        _, expected, found = every_mean(tmp_path / "net.tflite", *case)
        assert np.array_equal(found, expected), case


def test_a_mean_whose_total_exceeds_float32_is_exact(tmp_path):
    """300,000 steps of about 246 are more than 2**24."""
    values = np.random.default_rng(0).integers(110, 128, (1, 600, 500, 64)).astype(np.int8)
    net = Net()
    net.operator("MEAN", [net.input(values.shape, 0.1, -128), net.constant([1, 2])], net.output((1, 64), 0.1, -128), "Reducer")
    path = net.write(tmp_path / "net.tflite")
    session = onnxruntime.InferenceSession(translate(path, 17).SerializeToString(), providers=["CPUExecutionProvider"])
    assert np.array_equal(session.run(None, {session.get_inputs()[0].name: values})[0], LiteRT(path).predict_raw([values]))


@pytest.mark.parametrize("opset", [13, 15, 18])
def test_every_operator_set_version_computes_the_same(tiny_int8, opset):
    expected, found = answers(tiny_int8, opset=opset)
    assert np.array_equal(found, expected)


def test_an_operator_without_an_exact_translation_is_named(tmp_path):
    net = Net()
    shape = net.constant([1, 4, 4, 1])
    filters = net.constant(np.ones((1, 2, 2, 1)), np.int8, scale=0.1)
    x = net.input((1, 2, 2, 1), 0.1)
    net.operator("TRANSPOSE_CONV", [shape, filters, x], net.output((1, 4, 4, 1), 0.1), "TransposeConv", padding=0, strideH=2, strideW=2)
    with pytest.raises(ModelError, match="no exact translation to ONNX of TRANSPOSE_CONV"):
        translate(net.write(tmp_path / "net.tflite"), 17)


def test_what_an_operator_cannot_take_is_named_with_its_place(tmp_path):
    net = Net()
    x = net.input((1, 4, 4, 2), 0.1)
    net.operator("MEAN", [x, net.constant([1, 3])], net.output((1, 4), 0.1), "Reducer")
    with pytest.raises(ModelError, match=r"operator 0, MEAN: no exact translation to ONNX: a mean over axes \[1, 3\]"):
        translate(net.write(tmp_path / "net.tflite"), 17)


def test_a_fused_relu6_ends_at_the_nearest_stored_value():
    """6 / 0.05 = 120 steps above a zero point of 118 (-10 as int8); 6 / 0.04 = 150 steps lie above the type's limit."""
    tensor = Tensor(0, "y", (1,), "UINT8", (0.05,), (118,))
    assert activation_limits(tensor, 0) == (0, 255)
    assert activation_limits(tensor, 1) == (118, 255)
    assert activation_limits(tensor, 3) == (118, 238)
    assert activation_limits(Tensor(0, "y", (1,), "UINT8", (0.04,), (118,)), 3) == (118, 255)
    with pytest.raises(ModelError, match="fused activation 4"):
        activation_limits(tensor, 4)


def test_shares_of_two_lines_by_hand():
    """Twice as many lines: with half pixel centers the new ones lie at -1/4, 1/4, 3/4, 5/4; without, at 0, 1/2, 1, 3/2."""
    assert shares(2, 4, align=False, half=True).tolist() == [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]
    assert shares(2, 4, align=False, half=False).tolist() == [[1, 0], [0.5, 0.5], [0, 1], [0, 1]]
    assert shares(3, 2, align=True, half=False).tolist() == [[1, 0, 0], [0, 0, 1]]
