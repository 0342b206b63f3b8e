import numpy as np
import pytest

from toolchain.errors import ModelError
from toolchain.runners.litert import LiteRT, dequantized, quantized

DETAIL = {"dtype": np.int8, "quantization_parameters": {"scales": np.array([0.5], np.float32), "zero_points": np.array([-10])}}


def test_quantization_by_hand():
    assert quantized(np.array([0.0, 1.0, -0.26, 1000.0, -1000.0]), DETAIL).tolist() == [-10, -8, -11, 127, -128]
    assert dequantized(np.array([-10, -8, 127], np.int8), DETAIL).tolist() == [0.0, 1.0, 68.5]


def test_int8_and_float_files_agree_within_the_output_step(tiny_int8, tiny_float):
    x = np.random.default_rng(0).uniform(0, 1, (20, 8, 8, 1)).astype(np.float32)
    plain, small = LiteRT(tiny_float), LiteRT(tiny_int8)
    assert small.input_shapes == [(8, 8, 1)]
    assert not small.integer_inputs[0]
    assert np.abs(plain.predict([x]) - small.predict([x])).max() < 0.02
    assert np.allclose(plain.predict([x]).sum(1), 1, atol=1e-5)


@pytest.mark.parametrize("kernels", ["xnnpack", "builtin", "reference"])
def test_each_family_of_kernels_names_itself(tiny_int8, kernels):
    runner = LiteRT(tiny_int8, kernels=kernels)
    assert runner.runtime.endswith(kernels)
    assert runner.predict([np.zeros((1, 8, 8, 1), np.float32)]).shape == (1, 3)


def test_a_truncated_file_is_refused(tiny_int8, tmp_path):
    (tmp_path / "half.tflite").write_bytes(tiny_int8.read_bytes()[:1500])
    with pytest.raises(ModelError, match=r"half.tflite: LiteRT cannot run it"):
        LiteRT(tmp_path / "half.tflite")
