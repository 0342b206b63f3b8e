import math

import numpy as np
import pytest
from conftest import SHARED, needs_shared
from graphs import Net, different, packaged

from toolchain.c_source.package import Package
from toolchain.c_source.program import compile_file
from toolchain.errors import ModelError

MODELS = {"ic": "ic/pretrainedResnet_quant", "kws": "kws/kws_ref_model", "vww": "vww/vww_96_int8", "ad": "ad/ad01_int8"}
CALIBRATION = sorted((SHARED / "models_for_calibration").glob("*.tflite"))

pytestmark = pytest.mark.usefixtures("compiled_once")


def convolution(weights, bias: int, factor: float) -> Net:
    """One filter over the whole image; its sums are multiplied by `factor`."""
    net = Net()
    shape = (1, *np.shape(weights)[1:])
    x = net.input(shape, 0.5)
    y = net.output((1, 1, 1, 1), 0.5)
    filters = net.constant(weights, np.int8, scale=factor)
    net.operator("CONV_2D", [x, filters, net.constant([bias])], y, "Conv2D", strideH=1, strideW=1, padding=1)
    return net


def test_a_channel_that_no_input_changes_is_stored_as_its_answer(tmp_path):
    package = packaged(convolution([[[[3]]]], 1 << 30, 2.0**-20), str(tmp_path))
    call = package.program.steps[0].calls[0]
    assert call.arguments[2].values.tolist() == [[0]]
    assert call.arguments[3].values.tolist() == [127], "2^30 * 2^-20 = 1024 is cut off"
    assert different(package) == {}


def test_sums_beyond_the_kernels_are_refused(tmp_path):
    wide = np.full((1, 4, 4, 64), 127)
    assert different(packaged(convolution(wide, (1 << 30) - (1 << 25), 2.0**-24), str(tmp_path))) == {}
    with pytest.raises(ModelError, match=r"operator 0, CONV_2D: channel 0 of 't2' can reach sums of 1,090,387,968"):
        packaged(convolution(wide, 1 << 30, 2.0**-24), str(tmp_path))


def test_every_operator_without_a_kernel_is_named(tmp_path):
    net = Net()
    x, middle, y = net.input((1, 8), 0.1), net.tensor((1, 8), 0.1), net.output((1, 8), 0.1)
    net.operator("FLOOR", [x], middle)
    net.operator("SIN", [middle], y)
    with pytest.raises(
        ModelError, match=r"net.tflite: no C can be generated for operator 0, FLOOR: .*no kernel.*; operator 1, SIN: .*no kernel"
    ):
        packaged(net, str(tmp_path))


def test_what_cannot_be_c_is_refused_with_its_reason(tiny_float, tmp_path):
    with pytest.raises(ModelError, match="C is generated from an int8 file; this one computes in float32"):
        compile_file(tiny_float)
    net = Net()
    net.operator("RELU", [net.input((2, 8), 0.1)], net.output((2, 8), 0.1))
    with pytest.raises(ModelError, match=r"C is generated for one example; 't0' has the shape \(2, 8\)"):
        packaged(net, str(tmp_path))


def test_an_operator_without_its_options_is_refused(tmp_path):
    net = Net()
    net.operator("SOFTMAX", [net.input((1, 8), 0.1)], net.output((1, 8), 1 / 256, -128))
    with pytest.raises(ModelError, match="operator 0, SOFTMAX: its table of options has no 'beta'"):
        packaged(net, str(tmp_path))


def test_a_package_is_the_same_bytes_twice(tiny_int8, tmp_path):
    for name in ("a", "b"):
        Package(compile_file(tiny_int8), "tiny").write(tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert {"tiny.c", "tiny.h", "tiny_constants.h", "example.c", "Makefile", "sct_conv.c", "sct_kernels.h"} <= set(files)
    assert "sct_resize.c" not in files, "kernels that are not called stay out"
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files)
    assert not any("malloc" in path.read_text() or "stdio" in path.read_text() for path in (tmp_path / "a").glob("[!e]*.[ch]"))


def test_a_name_becomes_a_name_of_c(tiny_int8, tmp_path):
    assert [Package(compile_file(tiny_int8), name).name for name in ("My Model-8", "3d", "*/", "int8 */ x")] == [
        "my_model_8", "model_3d", "model", "int8_x",
    ]  # fmt: skip


@needs_shared("mlperf_tiny")
@pytest.mark.parametrize("name", MODELS)
def test_the_mlperf_tiny_models_answer_as_the_reference_kernels_at_every_layer(name):
    program = compile_file(SHARED / "mlperf_tiny" / f"{MODELS[name]}.tflite")
    assert different(Package(program, name)) == {}
    macs = {"ic": 12_501_632, "kws": 2_656_768, "vww": 7_489_664, "ad": 264_192}
    assert program.macs == macs[name] == sum(step.operator.macs for step in program.steps)
    assert program.arena.bytes >= max(math.prod(program.tensors[s.operator.outputs[0]].shape) for s in program.steps[:-1])


@needs_shared("models_for_calibration")
@pytest.mark.prove
@pytest.mark.parametrize("path", CALIBRATION, ids=lambda path: path.stem)
def test_the_calibration_models_answer_as_the_reference_kernels(path):
    if path.stem == "tflm_person_detect":  # LiteRT itself refuses it: quantized_dimension is out of range
        with pytest.raises(ModelError, match="LiteRT cannot run it"):
            different(Package(compile_file(path), "net"), 1)
    else:
        assert different(Package(compile_file(path), "net"), 1) == {}
