import numpy as np
import pytest
from conftest import SHARED, needs_shared, shapes

from toolchain import target
from toolchain.aarch64 import cores, engines, sysroot
from toolchain.aarch64.execution import Execution
from toolchain.cache import Cache
from toolchain.device import Cpu, Device, Memory, Runtime
from toolchain.emulators import aarch64
from toolchain.emulators.aarch64 import Aarch64, affordable
from toolchain.errors import GuestError
from toolchain.guests.process import Limits
from toolchain.runners.litert import LiteRT

BOARD = Device(
    "board", "A board", Cpu("cortex-a72", 1_500_000_000), Memory(1 << 30), Runtime("litert", ("tflite", "onnx"), ("int8", "float32"))
)
CORES = ["cortex-a53", "cortex-a72", "cortex-a76"]
USER_TOOLS = Cache().tools
"""Where the user's sysroot lies: read before the tests get a cache of their own."""
MISSING = sysroot.missing()
real = pytest.mark.skipif(MISSING is not None, reason=f"arm64 cannot be emulated: {MISSING}")


@pytest.fixture
def installed(compiled_once):
    """The user's sysroot in the cache of the tests, where the plugin is compiled once."""
    wanted = sysroot.here().folder
    if not wanted.exists():
        wanted.parent.mkdir(parents=True, exist_ok=True)
        wanted.symlink_to(USER_TOOLS / wanted.name)
    return sysroot.here()


@pytest.fixture
def onnx_file(tmp_path):
    """3x8x8 -> conv 4 -> mean, float, or with int8 edges."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    def write(quantized):
        kernel = np.random.default_rng(0).normal(0, 0.3, (4, 3, 3, 3)).astype(np.float32)
        values = {"w": kernel, "sx": np.float32(1 / 255), "zx": np.int8(-128), "sy": np.float32(0.01), "zy": np.int8(3)}
        middle = [
            helper.make_node("Conv", ["real" if quantized else "x", "w"], ["c"], pads=[1] * 4),
            helper.make_node("GlobalAveragePool", ["c"], ["g"]),
            helper.make_node("Flatten", ["g"], ["flat" if quantized else "y"]),
        ]
        before = [helper.make_node("DequantizeLinear", ["x", "sx", "zx"], ["real"])] if quantized else []
        after = [helper.make_node("QuantizeLinear", ["flat", "sy", "zy"], ["y"])] if quantized else []
        kind = TensorProto.INT8 if quantized else TensorProto.FLOAT
        graph = helper.make_graph(
            before + middle + after,
            "tiny",
            [helper.make_tensor_value_info("x", kind, [1, 3, 8, 8])],
            [helper.make_tensor_value_info("y", kind, [1, 4])],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
        )
        path = tmp_path / ("int8.onnx" if quantized else "float.onnx")
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
        return path

    return write


def pictures(count=100):
    x, y = shapes(count)
    return x.astype(np.float32) / 255, y


def test_what_is_missing_is_the_result(tiny_int8, monkeypatch):
    monkeypatch.setenv("PATH", "")
    found = Aarch64("cortex-a72").run(tiny_int8, [pictures()[0]], None, BOARD)
    assert (found.status, found.reason) == ("unavailable", "qemu-aarch64 is not installed; run: apt-get install qemu-user")


def test_a_core_that_is_not_emulated_is_refused_in_the_target(tmp_path):
    text = (target.folder() / "stm32f746.toml").read_text().replace('kind = "tflm"', 'kind = "aarch64"\ncpu = "max"', 1)
    (tmp_path / "stm32f746.toml").write_text(text)
    with pytest.raises(target.TargetError, match=r"emulator\[\d\]"):
        target.load(str(tmp_path / "stm32f746.toml"))


def test_large_models_run_fewer_examples():
    assert [affordable(macs, False) for macs in (0, 2_000_000, 12_500_000, 10**9, 10**10, None)] == [100, 100, 80, 1, 1, 1]
    assert affordable(12_500_000, True) == 24


def test_what_is_too_large_or_broken_is_refused(tiny_int8, tmp_path, monkeypatch):
    monkeypatch.setattr(sysroot, "missing", lambda: None)
    (tmp_path / "half.tflite").write_bytes(tiny_int8.read_bytes()[:1500])
    found = Aarch64("cortex-a72").run(tmp_path / "half.tflite", [pictures()[0]], None, BOARD)
    assert (found.status, found.emulator) == ("refused", "aarch64")
    monkeypatch.setattr(aarch64, "MOST_MACS", 100)
    found = Aarch64("cortex-a72").run(tiny_int8, [pictures()[0]], None, BOARD)
    assert found.status == "refused"
    assert "an emulated core takes at most 100" in found.reason


@pytest.mark.parametrize("quantized", [False, True])
def test_an_onnx_answers_as_its_runner(quantized, onnx_file):
    engine = engines.load(onnx_file(quantized))
    x = np.random.default_rng(0).uniform(0, 1, (5, 3, 8, 8)).astype(np.float32)
    stored = engine.quantize([x])
    assert (engine.kind, stored[0].dtype) == ("onnxruntime", np.int8 if quantized else np.float32)
    assert engine.macs == 4 * 3 * 9 * 64
    raw = engine.predict_raw(stored)
    assert raw.shape == (5, 4)
    assert np.array_equal(engine.dequantize(raw), engine.predict([x]))


@real
@pytest.mark.prove
@pytest.mark.parametrize("core", CORES)
def test_the_arm64_build_answers_as_this_machine(core, tiny_int8, installed):
    x, y = pictures()
    found = Aarch64(core).run(tiny_int8, [x], y, BOARD)
    assert (found.status, found.how, found.reason, found.ms) == ("ok", "executed", None, None)
    assert (found.outputs_match, found.outputs_differing, found.outputs_max_difference, found.examples) == (True, 0, 0.0, 100)
    assert found.engine.endswith(f"xnnpack on {core}")
    assert "xnnpack on " in found.outputs_against
    assert found.accuracy == (LiteRT(tiny_int8).predict([x]).argmax(1) == y).mean()
    assert sum(found.instruction_mix.values()) == pytest.approx(found.instructions, rel=0.001)
    assert ("sdot" in found.instruction_mix) == (core == "cortex-a76")
    assert any("emulated in its place" in note for note in found.notes) == (core != BOARD.cpu.core)
    assert f"top1: of the first 100 examples; on this machine, the same ones give {found.accuracy:.2%}" in found.notes
    assert not any("differ" in note for note in found.notes)


@real
@pytest.mark.prove
def test_floats_are_compared_as_they_are(tiny_float, installed):
    found = Aarch64("cortex-a72").run(tiny_float, [pictures()[0]], None, BOARD)
    assert found.status == "ok"
    assert found.outputs_match == (found.outputs_differing == 0) == (found.outputs_max_difference == 0)
    assert found.outputs_max_difference < 1e-6
    assert found.outputs_are_float
    assert "steps" not in found.comparison
    told = f"outputs: {found.outputs_differing} of 300 differ; builds for other processors round floats differently"
    assert (told in found.notes) == (found.outputs_differing > 0)


@real
@pytest.mark.prove
def test_onnxruntime_runs_too(onnx_file, installed):
    x = np.random.default_rng(0).uniform(0, 1, (20, 3, 8, 8)).astype(np.float32)
    found = Aarch64("cortex-a76").run(onnx_file(True), [x], None, BOARD)
    assert (found.status, found.examples) == ("ok", 20)
    assert found.outputs_max_difference <= 1
    assert found.instructions > 4 * 3 * 9 * 64 / 4  # four products an instruction


@real
@pytest.mark.prove
@needs_shared("mlperf_tiny")
@pytest.mark.parametrize(
    ("path", "core", "instructions"),
    [
        ("kws/kws_ref_model", "cortex-a72", 1_943_647),
        ("kws/kws_ref_model", "cortex-a76", 715_566),
        ("ic/pretrainedResnet_quant", "cortex-a72", 4_325_028),
        ("ic/pretrainedResnet_quant", "cortex-a76", 1_502_664),
    ],
)
def test_known_instruction_counts_and_outputs(path, core, instructions, installed):
    """Counted with LiteRT 2.3.0. ResNet-8's softmax computes in floats: there, a value may round to the next step."""
    data = "kws/mfcc_a.npz" if path.startswith("kws") else "cifar10/test_a.npz"
    x = np.load(SHARED / data)["x"][:20].astype(np.float32)
    found = Aarch64(core).run(SHARED / f"mlperf_tiny/{path}.tflite", [x], None, BOARD)
    assert found.instructions == pytest.approx(instructions, rel=0.03)
    assert found.outputs_max_difference <= (0 if path.startswith("kws") else 1)
    assert found.outputs_differing <= 1


@real
@pytest.mark.prove
def test_counts_repeat_to_the_instruction(tiny_int8, installed, tmp_path):
    engine = engines.load(tiny_int8)
    stored = engine.quantize([pictures(1)[0]])
    execution = Execution.prepare(installed, "cortex-a53", engine.kind, tiny_int8, stored, tmp_path, Limits())
    execution.outputs(engine.predict_raw(stored))
    assert execution.instructions() == execution.instructions()


@real
@pytest.mark.prove
def test_a_guest_that_does_not_end_is_stopped(tiny_int8, installed, tmp_path):
    engine = engines.load(tiny_int8)
    stored = engine.quantize([pictures(1)[0]])
    execution = Execution.prepare(installed, "cortex-a53", engine.kind, tiny_int8, stored, tmp_path, Limits(seconds=1))
    (tmp_path / "guest.py").write_text("while True: pass")
    with pytest.raises(GuestError, match="did not end within 1 s"):
        execution.outputs(stored[0])


@real
@pytest.mark.prove
def test_a_crash_in_the_guest_is_a_result(tiny_int8, installed, monkeypatch):
    monkeypatch.setattr(cores, "describe", lambda core, prefix: prefix.mkdir())  # this machine's processor shows through
    found = Aarch64("cortex-a53").run(tiny_int8, [pictures(1)[0]], None, BOARD)
    assert found.status == "refused"
    assert "SIG" in found.reason


@real
@pytest.mark.prove
def test_a_guest_that_takes_too_much_memory_is_a_result(tiny_int8, installed, monkeypatch):
    monkeypatch.setattr(aarch64, "LIMITS", Limits(memory_bytes=1 << 20))
    found = Aarch64("cortex-a53").run(tiny_int8, [pictures(1)[0]], None, BOARD)
    assert found.status == "refused"
    assert "of memory" in found.reason
