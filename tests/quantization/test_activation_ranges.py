import numpy as np
import pytest
from quantizable import build

from toolchain.errors import StageError
from toolchain.keras_function import of_keras
from toolchain.quantization import calibration, converter, remainder
from toolchain.quantization.grid import Affine
from toolchain.quantization.ranges import BINS
from toolchain.tflite_file import TfliteFile
from toolchain.verification import one_by_one

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def keras():
    """One of the two: a flatbuffer does not tell which it came from, and the tests of the schemes use both."""
    return __import__("keras")


def prepared(network, keras, count=20):
    function = of_keras(build(network, keras), network)
    inputs = function.synthetic(count, (-1.0, 1.0), 0)
    return function, inputs, converter.prepared(function)


def read(content, tmp_path):
    (tmp_path / "file.tflite").write_bytes(content)
    return TfliteFile.read(tmp_path / "file.tflite")


def in_one_go(function, batches, kind, per_tensor):
    """TFLiteConverter as its documentation calls it."""
    import tensorflow as tf

    found = tf.lite.TFLiteConverter.from_concrete_functions([function.frozen()])
    found.optimizations = [tf.lite.Optimize.DEFAULT]
    found.representative_dataset = lambda: iter(batches)
    sets = tf.lite.OpsSet
    wide = sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    found.target_spec.supported_ops = [sets.TFLITE_BUILTINS_INT8 if kind == "int8" else wide]
    found.inference_input_type = found.inference_output_type = tf.as_dtype(kind)
    found._experimental_disable_per_channel = per_tensor
    return found.convert()


@pytest.mark.parametrize("network", ["cnn", "residual", "mobile"])
@pytest.mark.parametrize("per_tensor", [False, True])
def test_the_steps_write_the_converters_own_file(keras, tmp_path, network, per_tensor):
    function, inputs, model = prepared(network, keras)
    batches = one_by_one(inputs)
    calibrated = calibration.calibrate(model, batches)
    ours = read(converter.int8(calibrated, per_tensor=per_tensor, io="int8"), tmp_path)
    theirs = read(in_one_go(function, batches, "int8", per_tensor), tmp_path)
    assert ours.tensors == theirs.tensors
    assert ours.operators == theirs.operators
    assert ours._constants == theirs._constants
    if per_tensor:
        return
    wide = read(converter.int16(calibrated, io="int16", allow_float=False), tmp_path)
    theirs = read(in_one_go(function, batches, "int16", per_tensor), tmp_path)
    assert {t.name: t.scale for t in remainder.stored(wide)} == {t.name: t.scale for t in remainder.stored(theirs)}
    assert wide.operator_counts == theirs.operator_counts


@pytest.mark.parametrize("network", ["cnn", "mobile"])
def test_every_bias_of_16x8_has_the_scale_of_its_own_operator(keras, tmp_path, network):
    """Layers whose biases are equal, such as those of zeros, share one in the float file."""
    _, inputs, model = prepared(network, keras)
    file = read(converter.int16(calibration.calibrate(model, one_by_one(inputs)), io="int16", allow_float=False), tmp_path)
    checked = 0
    for op in file.operators:
        if op.macs and len(op.inputs) > 2 and op.inputs[2] >= 0:
            x, kernel, bias = (file.tensors[i] for i in op.inputs[:3])
            assert bias.scale == pytest.approx([x.scale[0] * scale for scale in kernel.scale], rel=1e-5)
            checked += 1
    assert checked >= 2


def test_ranges_are_the_extremes_and_can_be_replaced(keras):
    _, inputs, model = prepared("residual", keras)
    calibrated = calibration.calibrate(model, one_by_one(inputs))
    ranges = calibration.read_ranges(calibrated)
    assert ranges["input_0"] == (float(inputs[0].min()), float(inputs[0].max()))
    others = {name: (low - 1, high + 1) for name, (low, high) in ranges.items()}
    written = calibration.read_ranges(calibration.write_ranges(calibrated, others))
    assert written.keys() == others.keys()
    assert all(np.allclose(written[name], others[name]) for name in others)


def test_histograms_count_every_value_of_every_activation(keras):
    _, inputs, model = prepared("residual", keras)
    batches = one_by_one(inputs)
    ranges = calibration.read_ranges(calibration.calibrate(model, batches))
    found = calibration.observe(model, batches, ranges)
    assert found.keys() == ranges.keys()
    assert found["input_0"].counts.sum() == inputs[0].size
    expected = np.histogram(inputs[0], 2048, ranges["input_0"])[0]
    assert np.array_equal(found["input_0"].counts, expected)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_planted_outlier_is_clipped_and_the_file_has_our_scale(keras, tmp_path, bits):
    _, inputs, model = prepared("residual", keras, 40)
    inputs[0][7, 3, 3, 1] = 50.0
    batches = one_by_one(inputs)
    calibrated = calibration.calibrate(model, batches)
    ranges = calibration.read_ranges(calibrated)
    assert ranges["input_0"][1] == 50.0
    histograms = calibration.observe(calibrated, batches, ranges)
    chosen = calibration.chosen(histograms, "percentile", 99.9, bits, symmetric=bits == 16)
    assert chosen["input_0"][1] < 1.1
    rewritten = calibration.write_ranges(calibrated, chosen)
    if bits == 8:
        content = converter.int8(rewritten, per_tensor=False, io="int8")
    else:
        content = converter.int16(rewritten, io="int16", allow_float=False)
    file = read(content, tmp_path)
    rows = {row.tensor: row for row in remainder.rows(file, histograms)}
    assert 0 < rows["input_0"].clipped < 0.002
    checked = 0
    for tensor in remainder.stored(file):
        if tensor.name in chosen and not any(word in tensor.name for word in ("Identity", "MaxPool", "Mean")):
            # SOFTMAX has a fixed range, pooling takes that of its input
            ours = Affine.of_range(*chosen[tensor.name], bits, symmetric=bits == 16)
            assert tensor.scale[0] == pytest.approx(ours.scale, rel=1e-5)
            assert tensor.zero_point[0] == ours.zero_point
            checked += 1
    assert checked >= 5


@pytest.mark.parametrize("network", ["unrolled_gru", "unrolled_lstm"])
def test_a_float_operator_that_depends_on_the_call_is_asked_for_again(keras, tmp_path, network):
    _, inputs, model = prepared(network, keras)
    calibrated = calibration.calibrate(model, one_by_one(inputs))
    found = {converter.int8(calibrated, per_tensor=False, io="int8") for _ in range(6)}
    assert len(found) == 1
    assert remainder.float_operators(read(found.pop(), tmp_path)) == []


def test_symmetric_ranges_give_zero_points_of_zero(keras, tmp_path):
    _, inputs, model = prepared("mobile", keras)
    batches = one_by_one(inputs)
    calibrated = calibration.calibrate(model, batches)
    histograms = calibration.observe(calibrated, batches, calibration.read_ranges(calibrated))
    rewritten = calibration.write_ranges(calibrated, calibration.chosen(histograms, "minmax", 100, 8, symmetric=True))
    file = read(converter.int8(rewritten, per_tensor=False, io="int8"), tmp_path)
    fixed = {op.outputs[0] for op in file.operators if op.name == "LOGISTIC"}
    points = {t.zero_point[0] for t in remainder.stored(file) if t.index not in fixed}
    assert points == {0}


def test_an_activation_without_bounds_is_refused_by_name(keras):
    _, inputs, model = prepared("residual", keras, 4)
    calibrated = calibration.calibrate(model, one_by_one(inputs))
    ranges = calibration.read_ranges(calibrated)
    endless = calibration.write_ranges(calibrated, ranges | {"input_0": (-np.inf, 1.0)})
    with pytest.raises(StageError, match="no integers cover input_0"):
        calibration.read_ranges(endless)


def test_a_loop_is_refused_by_name_before_the_calibrator_crashes(keras):
    _, inputs, model = prepared("gru", keras)
    with pytest.raises(StageError, match=r"WHILE .*while.* cannot be calibrated.*unroll=True"):
        calibration.calibrate(model, one_by_one(inputs))


@pytest.mark.parametrize(("low", "high"), [(0.0, 8.0), (-1e-38, 1e-38), (5.0, np.nextafter(5.0, 6.0)), (3.0, 3.0), (-1e-320, 2e-320)])
def test_every_value_falls_into_one_bin_however_narrow_the_range(low, high):
    values = np.linspace(low, high, 5)
    counts = calibration.binned(values, low, high)
    assert counts.sum() == 5
    assert counts[0] >= 1
    if high - low > 1e-6:
        assert counts[[0, BINS // 4, BINS // 2, 3 * BINS // 4, BINS - 1]].tolist() == [1] * 5
