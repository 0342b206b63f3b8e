import numpy as np
import pytest
from quantizable import build

from toolchain.keras_function import of_keras
from toolchain.quantization import calibration, converter, remainder, selective
from toolchain.quantization.grid import Affine
from toolchain.runners.litert import LiteRT
from toolchain.tflite_file import TfliteFile
from toolchain.verification import one_by_one

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def float_model(tmp_path_factory):
    import keras

    function = of_keras(build("residual", keras), "residual")
    inputs = function.synthetic(20, (-1.0, 1.0), 0)
    path = tmp_path_factory.mktemp("float") / "float32.tflite"
    path.write_bytes(converter.float32(function))
    ranges = calibration.read_ranges(calibration.calibrate(path.read_bytes(), one_by_one(inputs)))
    return path, inputs, ranges


def outputs(path):
    file = TfliteFile.read(path)
    return [file.tensors[op.outputs[0]].name for op in file.operators]


@pytest.mark.parametrize("kernels", ["xnnpack", "builtin", "reference"])
@pytest.mark.parametrize(
    "types", [["int8"] * 8, ["float32", "int8"] + ["float32"] * 6, ["int8", "int16", "float32", "int8", "int16", "int8", "int8", "int16"]]
)
def test_types_differ_operator_by_operator_and_the_file_runs(float_model, tmp_path, types, kernels):
    path, inputs, ranges = float_model
    names = outputs(path)
    assigned = dict(zip(names, types, strict=True))
    out = tmp_path / "mixed.tflite"
    assert selective.quantize(path, out, assigned, ranges) == {}
    file = TfliteFile.read(out)
    found = {file.tensors[op.outputs[0]].name: file.tensors[op.outputs[0]] for op in file.operators}
    for name, precision in assigned.items():
        assert found[name].dtype == precision.upper(), name
    error = np.abs(LiteRT(out, kernels=kernels).predict(inputs) - LiteRT(path).predict(inputs)).max()
    assert error < 0.02
    if types[1] == "int8":
        low, high = ranges[names[1]]
        assert found[names[1]].scale[0] == pytest.approx(Affine.of_range(low, high).scale, rel=1e-6)


def test_an_operator_that_it_does_not_know_stays_in_float_and_is_returned(keras, tmp_path):
    image = keras.Input((6, 6, 2))
    sin = keras.ops.sin if keras.__name__ == "keras" else __import__("tensorflow").sin
    function = of_keras(keras.Model(image, keras.layers.Conv2D(2, 3)(sin(keras.layers.Conv2D(2, 3)(image)))), "wave")
    inputs = function.synthetic(8, (-1.0, 1.0), 0)
    path = tmp_path / "float32.tflite"
    path.write_bytes(converter.float32(function))
    ranges = calibration.read_ranges(calibration.calibrate(path.read_bytes(), one_by_one(inputs)))
    refused = selective.quantize(path, tmp_path / "mixed.tflite", dict.fromkeys(outputs(path), "int8"), ranges)
    assert list(refused.values()) == ["litert-quantizer has no int8 SIN"]
    assert [name.split()[0] for name in remainder.float_operators(TfliteFile.read(tmp_path / "mixed.tflite"))] == ["SIN"]


def test_with_nothing_to_quantize_the_file_is_the_float_one(float_model, tmp_path):
    path, _, ranges = float_model
    selective.quantize(path, tmp_path / "same.tflite", {}, ranges)
    assert (tmp_path / "same.tflite").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(("bits", "dtype", "tolerance"), [(8, "INT8", 0.005), (4, "INT4", 0.1)])
def test_weights_alone(float_model, tmp_path, bits, dtype, tolerance):
    path, inputs, _ = float_model
    selective.quantize_weights(path, tmp_path / "weights.tflite", bits, per_tensor=False)
    file = TfliteFile.read(tmp_path / "weights.tflite")
    assert {t.dtype for t in file.weights if len(t.shape) > 1} == {dtype}
    assert remainder.float_kernels(file) == {}
    assert np.abs(LiteRT(file.path).predict(inputs) - LiteRT(path).predict(inputs)).max() < tolerance
