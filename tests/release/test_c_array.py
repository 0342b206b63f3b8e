import ctypes
import re

import pytest
from released import HOSTILE, tensors

from toolchain.guests.compiler import build
from toolchain.release.c_array import sources
from toolchain.release.manifest import TensorFacts

STRICT = ("-std=c99", "-shared", "-fPIC", "-Wall", "-Wextra", "-Wpedantic", "-Werror")


def compiled(name, files):
    """The array in a library of this process: its bytes and its address."""
    library = ctypes.CDLL(str(build([*STRICT, f"{name}.c"], files, "array.so")))
    size = int(re.search(r"_BYTES (\d+)", files[f"{name}.h"].decode())[1])
    array = (ctypes.c_ubyte * size).in_dll(library, name)
    return bytes(array), ctypes.addressof(array)


def test_the_compiled_array_is_the_file(tiny_int8, compiled_once):
    pytest.importorskip("ziglang")
    content = tiny_int8.read_bytes()
    files = sources("tiny_int8", content, *tensors(tiny_int8))
    assert set(files) == {"tiny_int8.h", "tiny_int8.c"}
    held, address = compiled("tiny_int8", files)
    assert held == content
    assert address % 16 == 0


def test_its_address_is_aligned_whatever_lies_before_it(compiled_once):
    pytest.importorskip("ziglang")
    files = sources("odd", b"\x01\x02\x03", (), ())
    files["odd.c"] = b"const char before_it = 1;\n" + files["odd.c"]
    held, address = compiled("odd", files)
    assert held == b"\x01\x02\x03"
    assert address % 16 == 0


def test_scales_read_back_as_the_same_float32(tiny_int8):
    inputs, outputs = tensors(tiny_int8)
    header = sources("tiny_int8", b"", inputs, outputs)["tiny_int8.h"].decode()
    found = dict(re.findall(r"#define TINY_INT8_(\w+_(?:SCALE|ZERO_POINT)) (\S+)", header))
    assert {key: float(value.rstrip("f")) for key, value in found.items()} == pytest.approx(
        {
            "INPUT_SCALE": inputs[0].scale, "INPUT_ZERO_POINT": inputs[0].zero_point,
            "OUTPUT_SCALE": outputs[0].scale, "OUTPUT_ZERO_POINT": outputs[0].zero_point,
        }, rel=1e-9,
    )  # fmt: skip


def test_several_inputs_have_their_numbers_and_floats_no_scale():
    ports = (TensorFacts("a", (1, None), "int8", 0.5, 3), TensorFacts("b", (1,), "float32"))
    header = sources("m", b"", ports, ()).pop("m.h").decode()
    assert "#define M_INPUT_0_SCALE 0.5f" in header
    assert "M_INPUT_1" not in header
    assert "int8 1 x any" in header


@pytest.mark.parametrize("text", HOSTILE)
def test_names_are_no_code(text):
    files = sources(text, b"\x07", (TensorFacts(text, (1,), "int8", 1.0, 0),), ())
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*\.[hc]", name) for name in files)
    (header,) = [content.decode() for name, content in files.items() if name.endswith(".h")]
    bare = re.sub(r"/\*.*?\*/", "", header)
    assert re.findall(r"(?m)^(?!#|extern|}|$).+", bare) == []
