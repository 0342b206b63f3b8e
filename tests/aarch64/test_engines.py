import numpy as np
import pytest

from toolchain.aarch64 import engines
from toolchain.errors import ModelError


def test_a_tflite_answers_as_its_runner(tiny_int8):
    engine = engines.load(tiny_int8)
    x = np.random.default_rng(0).uniform(0, 1, (5, 8, 8, 1)).astype(np.float32)
    stored = engine.quantize([x])
    assert (engine.kind, engine.floating, stored[0].dtype) == ("litert", False, np.int8)
    assert engine.macs > 0
    assert np.array_equal(engine.dequantize(engine.predict_raw(stored)), engine.predict([x]))


def test_a_float_file_multiplies_floats(tiny_float):
    assert engines.load(tiny_float).floating


def test_open_dimensions_are_refused(tiny_float, tmp_path):
    flatbuffers = pytest.importorskip("flatbuffers")
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(tiny_float.read_bytes(), 0)
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].shapeSignature = [1, -1, 8, 1]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    (tmp_path / "open.tflite").write_bytes(bytes(builder.Output()))
    with pytest.raises(ModelError, match="open dimension"):
        engines.load(tmp_path / "open.tflite")
