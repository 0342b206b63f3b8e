import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolchain.errors import ModelError
from toolchain.tflite_file import Operator, Tensor, TfliteFile


def test_operators_shapes_and_macs_by_hand(tiny_int8):
    file = TfliteFile.read(tiny_int8)
    # conv 8*8*4 outputs of 3*3*1, depthwise 6*6*4 of 3*3, conv 6*6*3 of 1*1*4
    assert [(op.name, op.macs) for op in file.operators] == [
        ("CONV_2D", 8 * 8 * 4 * 9),
        ("DEPTHWISE_CONV_2D", 6 * 6 * 4 * 9),
        ("CONV_2D", 6 * 6 * 3 * 4),
        ("AVERAGE_POOL_2D", 0),
        ("RESHAPE", 0),
        ("SOFTMAX", 0),
    ]
    assert file.macs == 2304 + 1296 + 432
    assert file.parameters == (36 + 4) + (36 + 4) + (12 + 3)
    assert file.scheme == "static_w8a8"
    assert file.activation_dtypes == ("INT8",)


def test_quantization_and_constants(tiny_int8, tiny_float):
    file, plain = TfliteFile.read(tiny_int8), TfliteFile.read(tiny_float)
    kernel = file.tensors[file.operators[0].inputs[1]]
    assert kernel.shape == (4, 3, 3, 1)
    assert len(kernel.scale) == 4
    assert kernel.axis == 0
    real = file.constant(kernel) * np.array(kernel.scale).reshape(-1, 1, 1, 1)
    expected = plain.constant(plain.tensors[plain.operators[0].inputs[1]])
    assert np.abs(real - expected).max() <= max(kernel.scale) / 2 + 1e-7
    assert plain.scheme == "float32"


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_a_damaged_file_is_refused_or_read_and_nothing_else(data):
    from conftest import HERE

    content = bytearray((HERE / "data" / "tiny_int8.tflite").read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(9, len(content) - 1))]
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(8, len(content) - 1))] = data.draw(st.integers(0, 255))
    import tempfile
    from pathlib import Path

    with tempfile.NamedTemporaryFile(suffix=".tflite") as scratch:
        scratch.write(content)
        scratch.flush()
        try:
            TfliteFile.read(Path(scratch.name))
        except ModelError as err:
            assert "not a whole .tflite file" in str(err)


def test_zeros_of_int4_are_counted_value_by_value(tmp_path):
    """Two values a byte, the lower half first (0, 1, 3, 2, 5), and one half that fills the last byte."""
    weights = Tensor(0, "w", (1, 5), "INT4", (0.1,), (0,), 0, True)
    dense = Operator("FULLY_CONNECTED", (1, 0), (2,), 5)
    made = [Tensor(index, "x", (1, 1), "FLOAT32") for index in (1, 2)]
    file = TfliteFile(tmp_path / "m.tflite", (weights, *made), (dense,), (1,), (2,), 1, {0: bytes([0x10, 0x23, 0x05])})
    assert (file.parameters, file.nonzero_parameters) == (5, 4)


def test_an_empty_flatbuffer_is_refused(tmp_path):
    (tmp_path / "m.tflite").write_bytes(b"\x08\x00\x00\x00TFL3" + bytes(32))
    with pytest.raises(ModelError, match="not a whole .tflite file"):
        TfliteFile.read(tmp_path / "m.tflite")
