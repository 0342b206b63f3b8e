import shutil
import sys

import msgspec
import numpy as np
import pytest
from c_source.graphs import Net
from conftest import SHARED, needs_shared, shapes

from toolchain import target
from toolchain.cortex_m import qemu_machine
from toolchain.emulators.cortex_m import CortexM
from toolchain.runners.litert import LiteRT

pytestmark = pytest.mark.usefixtures("compiled_once")
M4, M55, PICO = (target.load(name).device for name in ("nucleo_l4r5zi", "mps3_an547", "pico"))
MODELS = {"ic": "ic/pretrainedResnet_quant", "kws": "kws/kws_ref_model", "vww": "vww/vww_96_int8", "ad": "ad/ad01_int8"}
QEMU = shutil.which("qemu-system-arm")
qemu = pytest.mark.skipif(QEMU is None, reason="qemu-system-arm is not installed; run: apt-get install qemu-system-arm")


def pictures(count: int):
    x, y = shapes(count)
    return [x.astype(np.float32) / 255], y


def test_every_layer_is_compared_and_counted(tiny_int8):
    x, y = pictures(120)
    found = CortexM(machine="unicorn").run(tiny_int8, x, y, M4)
    assert (found.status, found.how, found.reason) == ("ok", "executed", None)
    assert found.outputs_match is True
    assert found.outputs_differing == found.outputs_max_difference == 0
    assert found.outputs_against.endswith("reference, every layer")
    assert found.examples == 100
    assert found.accuracy == pytest.approx(
        float((LiteRT(tiny_int8, kernels="reference").predict([x[0][:100]]).argmax(1) == y[:100]).mean())
    )
    layers = found.instructions_per_layer
    assert [layer.operator for layer in layers][:2] == ["CONV_2D", "DEPTHWISE_CONV_2D"]
    assert sum(layer.instructions for layer in layers) == found.instructions == sum(found.instruction_mix.values())
    assert found.instruction_mix["smlad"] > 0, "the DSP extension is used"
    assert found.arena_bytes <= found.ram_bytes < 4000
    assert 1000 < found.flash_bytes < 20_000
    assert found.ms is None, "instructions are no time"


@pytest.mark.parametrize(
    ("machine", "device"), [("auto", PICO), pytest.param("auto", M55, marks=qemu), pytest.param("qemu", M4, marks=qemu)]
)
def test_other_cores_and_machines(machine, device, tiny_int8):
    found = CortexM(machine=machine).run(tiny_int8, pictures(3)[0], None, device)
    assert (found.status, found.outputs_match, found.accuracy) == ("ok", True, None)
    assert found.engine.endswith("(unicorn)" if device is PICO else "(qemu)")
    if device is PICO:
        assert "executed as Cortex-M0, which has the same instructions" in found.notes


def test_a_difference_is_found_and_its_layer_named(tiny_int8, monkeypatch):
    from toolchain.c_source import reference

    found = CortexM(machine="unicorn").run(tiny_int8, pictures(3)[0], None, M4)
    assert found.outputs_match
    tensor = reference.Layers.tensor
    monkeypatch.setattr(reference.Layers, "tensor", lambda layers, index: tensor(layers, index) + 1)
    found = CortexM(machine="unicorn").run(tiny_int8, pictures(3)[0], None, M4)
    assert not found.outputs_match
    assert any("operator 0, CONV_2D" in note for note in found.notes)


def test_a_trace_holds_the_real_values_of_every_layer(tiny_int8):
    x = pictures(4)[0]
    found = CortexM(machine="unicorn").trace(tiny_int8, x, M4)
    assert np.array_equal(found.outputs, LiteRT(tiny_int8, kernels="reference").predict(x))
    assert found.layers[0].shape[0] == 2
    assert found.layers[0].dtype == np.float32


def test_what_cannot_be_emulated_is_refused_with_its_reason(tiny_float, tiny_int8, tmp_path, monkeypatch):
    x = pictures(1)[0]
    found = CortexM().run(tiny_float, x, None, M4)
    assert (found.status, found.reason) == ("refused", "C is generated from an int8 file; this one computes in float32")
    esp32 = target.load("esp32").device
    assert "xtensa-lx6 cannot be emulated" in CortexM().run(tiny_int8, x, None, esp32).reason
    assert CortexM(machine="unicorn").run(tiny_int8, x, None, M55).status == "refused"
    assert CortexM().trace(tiny_float, x, M4) is None
    (tmp_path / "half.tflite").write_bytes(tiny_int8.read_bytes()[:1500])
    assert CortexM().run(tmp_path / "half.tflite", x, None, M4).status == "refused"


def test_a_model_that_does_not_fit_the_emulator_is_refused(tmp_path):
    net = Net()
    x = net.input((1, 8), 0.1)
    weights = net.constant(np.ones((200_000, 8)), np.int8, scale=0.1)
    net.operator("FULLY_CONNECTED", [x, weights, -1], net.output((1, 200_000), 0.1), "FullyConnected")
    found = CortexM(machine="unicorn").run(net.write(tmp_path / "net.tflite"), [np.zeros((1, 8), np.float32)], None, M4)
    assert found.status == "refused"
    assert "region 'rom'" in found.reason


def test_what_is_missing_is_said_with_the_command(tiny_int8, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert CortexM().missing(M4) is None, "unicorn stands in, which comes with pip"
    for device in (M55, target.load("ra8d1").device):
        assert CortexM().missing(device) == "qemu-system-arm is not installed; run: apt-get install qemu-system-arm"
        found = CortexM().run(tiny_int8, pictures(1)[0], None, device)
        assert (found.status, found.reason) == ("unavailable", CortexM().missing(device))
    monkeypatch.setitem(sys.modules, "unicorn", None)
    assert "pip install 'secateur[emulate]'" in CortexM().missing(M4)
    assert CortexM().run(tiny_int8, pictures(1)[0], None, M4).status == "unavailable"


@qemu
def test_a_guest_without_answers_is_a_result(tiny_int8, monkeypatch):
    monkeypatch.setattr(qemu_machine.process, "run", lambda *_: None)
    found = CortexM(machine="qemu").run(tiny_int8, pictures(1)[0], None, M4)
    assert (found.status, found.reason) == ("refused", "the guest wrote no answers")


def model(name):
    path = SHARED / "mlperf_tiny" / f"{MODELS[name]}.tflite"
    rng = np.random.default_rng(0)
    return path, [rng.uniform(0, 1, (4, *shape)).astype(np.float32) for shape in LiteRT(path).input_shapes]


@needs_shared("mlperf_tiny")
@pytest.mark.parametrize("name", MODELS)
def test_the_mlperf_tiny_models_on_an_emulated_cortex_m4_with_only_pip(name, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    found = CortexM().run(*model(name), None, M4)
    assert (found.status, found.outputs_match, found.engine) == ("ok", True, "c_source on cortex-m4 (unicorn)")
    if name == "ic":
        assert found.instructions / 12_501_632 <= 2.0, "instructions per multiply-accumulate"


@needs_shared("mlperf_tiny")
@qemu
@pytest.mark.prove
@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m3", "cortex-m7", "cortex-m33", "cortex-m55"])
def test_the_mlperf_tiny_models_on_every_core(core):
    device = msgspec.structs.replace(M4, cpu=msgspec.structs.replace(M4.cpu, core=core))
    for name in MODELS:
        found = CortexM().run(*model(name), None, device)
        assert (found.status, found.outputs_match) == ("ok", True), (name, found.reason, found.notes)
        if (core, name) == ("cortex-m55", "ic"):
            assert found.instructions / 12_501_632 <= 0.37, "CMSIS-NN's own figure in the same emulator"
