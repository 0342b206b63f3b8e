import numpy as np
import pytest

from toolchain.errors import ModelError
from toolchain.release.facts import facts, oldest_onnxruntime
from toolchain.release.manifest import OperatorFacts, TensorFacts


def test_an_int8_file_is_described_as_litert_runs_it(tiny_int8):
    from toolchain.runners.litert import LiteRT

    found, runner = facts(tiny_int8, "static_w8a8"), LiteRT(tiny_int8)
    for tensors, details in ((found.inputs, runner._inputs), (found.outputs, runner.outputs)):
        for tensor, detail in zip(tensors, details, strict=True):
            quantization = detail["quantization_parameters"]
            assert tensor == TensorFacts(
                detail["name"],
                tuple(detail["shape"]),
                np.dtype(detail["dtype"]).name,
                quantization["scales"][0],
                quantization["zero_points"][0],
            )
    versions = {"AVERAGE_POOL_2D": 2, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "RESHAPE": 1, "SOFTMAX": 2}
    assert found.operators == tuple(OperatorFacts(name, version, 1 + (name == "CONV_2D")) for name, version in versions.items())


def test_the_converters_word_on_the_oldest_runtime_is_not_taken_after_another_tool_changed_the_file(tiny_int8):
    assert facts(tiny_int8, "static_w8a8").minimum_runtime == "TensorFlow Lite 1.14.0"
    assert facts(tiny_int8, "static_mixed").minimum_runtime is None


def test_onnx_operators_carry_the_opset_and_open_dimensions_stay_open(tmp_path):
    from released_run import run_files

    (tmp_path / "m.onnx").write_bytes(run_files()["float32.onnx"])
    found = facts(tmp_path / "m.onnx", "float32")
    assert found.inputs == (TensorFacts("x", (None, 8, 8, 1), "float32"),)
    assert found.operators == (OperatorFacts("Flatten", 17, 1), OperatorFacts("MatMul", 17, 1), OperatorFacts("Softmax", 17, 1))
    assert found.minimum_runtime == "ONNX Runtime 1.12"


@pytest.mark.parametrize(
    ("opset", "ir_version", "domains", "oldest"),
    [
        (7, 3, set(), "ONNX Runtime 1.0"),
        (17, 8, set(), "ONNX Runtime 1.12"),
        (9, 8, set(), "ONNX Runtime 1.9"),
        (13, 10, set(), "ONNX Runtime 1.18"),
        (17, 8, {"com.microsoft"}, None),
        (99, 8, set(), None),
        (17, 99, set(), None),
    ],
)
def test_the_oldest_onnxruntime_knows_opset_and_format(opset, ir_version, domains, oldest):
    assert oldest_onnxruntime(opset, ir_version, domains) == oldest


def test_what_is_no_model_is_refused(tmp_path):
    (tmp_path / "m.tflite").write_bytes(bytes(4) + b"TFL3" + bytes(100))
    with pytest.raises(ModelError):
        facts(tmp_path / "m.tflite", "float32")
