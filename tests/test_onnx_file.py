import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from toolchain.errors import ModelError
from toolchain.onnx_file import OnnxFile
from toolchain.runners.onnxruntime import OnnxRuntime


def conv_and_matmul(path, **external):
    weight = numpy_helper.from_array(np.array([[[[1.0, 0.0], [0.0, 2.0]]]] * 3, np.float32), "w")
    dense = numpy_helper.from_array(np.ones((5, 7), np.float32), "d")
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("MatMul", ["c", "d"], ["y"])]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 5, 7])],
        [weight, dense],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path, **external)


def test_macs_and_parameters_by_hand(tmp_path):
    conv_and_matmul(tmp_path / "m.onnx")
    file = OnnxFile.read(tmp_path / "m.onnx")
    assert file.macs == 3 * 5 * 5 * 4 + 3 * 5 * 7 * 5
    assert file.parameters == 12 + 35
    assert file.nonzero_parameters == 6 + 35
    assert file.operator_counts == {"Conv": 1, "MatMul": 1}
    assert file.opset == 17
    assert file.scheme == "float32"


def test_it_runs_as_numpy_computes(tmp_path):
    conv_and_matmul(tmp_path / "m.onnx")
    x = np.arange(36, dtype=np.float32).reshape(1, 1, 6, 6)
    window = x[0, 0, :5, :5] + 2 * x[0, 0, 1:, 1:]
    found = OnnxRuntime(tmp_path / "m.onnx").predict([x])
    assert np.allclose(found[0, 0], window @ np.ones((5, 7)))


def test_broken_files_and_weights_elsewhere_are_refused(tmp_path):
    (tmp_path / "noise.onnx").write_bytes(b"\xff\xfe not protobuf")
    with pytest.raises(ModelError, match="not a whole .onnx file"):
        OnnxFile.read(tmp_path / "noise.onnx")
    with pytest.raises(ModelError, match="onnxruntime cannot run it"):
        OnnxRuntime(tmp_path / "noise.onnx")
    conv_and_matmul(tmp_path / "out.onnx", save_as_external_data=True, location="weights", size_threshold=0)
    with pytest.raises(ModelError, match="weights in other files are not read"):
        OnnxFile.read(tmp_path / "out.onnx")
