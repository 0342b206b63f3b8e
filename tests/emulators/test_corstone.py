"""Arm's firmware is not part of the project: what needs it runs where `secateur targets --install corstone` was run before."""

import sys

import numpy as np
import pytest
from conftest import SHARED, needs_shared, shapes

from toolchain import target
from toolchain.corstone import firmware
from toolchain.emulators.corstone import Corstone, _interpreted
from toolchain.errors import ModelError
from toolchain.runners.litert import LiteRT

BOARD = target.load("mps3_an547").device
INSTALLED = firmware.path()
"""The user's: read before a test redirects the cache."""
real = [pytest.mark.prove, pytest.mark.skipif(Corstone().missing(BOARD) is not None, reason=str(Corstone().missing(BOARD)))]


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory):
    """One for all tests here, so that the plugin is compiled once; the firmware in it is the user's."""
    folder = tmp_path_factory.mktemp("cache")
    (folder / "tools").mkdir()
    (folder / "tools" / "corstone").symlink_to(INSTALLED.parent)
    return folder


@pytest.fixture
def installed(shared_cache, monkeypatch):
    monkeypatch.setenv("SECATEUR_CACHE", str(shared_cache))


def on_shapes(file, count=2, **settings):
    x, y = shapes(count)
    return Corstone(**settings).run(file, [x.astype(np.float32) / 255], y, BOARD)


def test_without_firmware_or_qemu_it_is_unavailable_with_the_command(tiny_int8):
    found = on_shapes(tiny_int8)
    assert (found.status, found.how) == ("unavailable", "executed")
    assert "; run: " in found.reason


def test_what_tflite_micro_refuses_is_said_with_its_reason(tiny_int8, tmp_path):
    with pytest.raises(ModelError, match="Didn't find op for builtin opcode 'GELU'"):
        _interpreted(changed(tiny_int8, tmp_path / "gelu.tflite", gelu), [np.zeros((1, 8, 8, 1), np.int8)])


class TestFirmware:
    pytestmark = real

    def test_everything_that_one_run_gives(self, installed, tiny_int8):
        found = on_shapes(tiny_int8, 20)
        assert (found.status, found.reason, found.examples) == ("ok", None, 16)
        assert found.engine == "tflm + cmsis-nn (mlia-ethos-u 0.1.0 firmware)"
        assert found.outputs_match is True
        assert found.outputs_against.startswith("tflite-micro")
        assert [note.partition(" to ")[0] for note in found.notes] == ["outputs are identical"]
        assert found.arena_bytes == 6_052
        assert found.instructions == sum(layer.instructions for layer in found.instructions_per_layer)
        assert sum(found.instruction_mix.values()) == found.instructions
        assert 0 <= found.accuracy <= 1
        assert found.ms is None
        assert found.flash_bytes is None

    def test_every_example_gets_its_own_answer(self, installed, tiny_int8):
        x, _ = shapes(8)
        found = on_shapes(tiny_int8, 8)
        assert len(np.unique(LiteRT(tiny_int8, kernels="reference").predict([x.astype(np.float32) / 255]), axis=0)) > 1
        assert found.outputs_match is True
        assert found.outputs_differing == 0

    def test_without_tflite_micro_the_reference_is_litert_and_a_note_says_so(self, installed, tiny_int8, monkeypatch):
        monkeypatch.setitem(sys.modules, "tflite_micro.python.tflite_micro.runtime", None)
        found = on_shapes(tiny_int8)
        assert found.status == "ok"
        assert found.outputs_against.endswith("reference")
        assert any("not compared with tflite-micro: tflite_micro is not installed" in note for note in found.notes)

    def test_without_a_compiler_nothing_is_counted_and_a_note_says_so(self, installed, tiny_int8, monkeypatch):
        monkeypatch.setitem(sys.modules, "ziglang", None)
        found = on_shapes(tiny_int8)
        assert (found.status, found.outputs_match, found.instructions) == ("ok", True, None)
        assert any("not counted: ziglang is not installed; run: pip install" in note for note in found.notes)

    def test_float_outputs_are_compared_without_steps(self, installed, tiny_float):
        found = on_shapes(tiny_float)
        assert found.status == "ok"
        assert found.outputs_are_float
        assert found.outputs_max_difference < 1e-5
        assert "steps" not in found.comparison

    def test_an_operator_that_the_firmware_does_not_have_is_a_refusal(self, installed, tiny_int8, tmp_path):
        found = on_shapes(changed(tiny_int8, tmp_path / "gelu.tflite", gelu))
        assert found.status == "refused"
        assert "Didn't find op for builtin opcode 'GELU'" in found.reason

    def test_more_than_the_firmwares_arena_is_a_refusal(self, installed, tiny_int8, tmp_path):
        def large(model):
            graph = model.subgraphs[0]
            for tensor in graph.tensors:
                if len(tensor.shape) == 4 and tensor.shape[1] in (6, 8) and tensor.shape[2] == tensor.shape[1]:
                    side = int(tensor.shape[1]) + 1016
                    tensor.shape = np.array([1, side, side, tensor.shape[3]], np.int32)
            pool = next(op.builtinOptions for op in graph.operators if hasattr(op.builtinOptions, "filterWidth"))
            pool.filterWidth = pool.filterHeight = pool.strideW = pool.strideH = 1022

        file = changed(tiny_int8, tmp_path / "large.tflite", large)
        found = Corstone().run(file, [np.zeros((1, 1024, 1024, 1), np.float32)], None, BOARD)
        assert found.status == "refused"
        assert "Failed to" in found.reason

    def test_a_broken_file_is_a_refusal(self, installed, tiny_int8, tmp_path):
        (tmp_path / "half.tflite").write_bytes(tiny_int8.read_bytes()[:1500])
        found = on_shapes(tmp_path / "half.tflite")
        assert found.status == "refused"
        assert "LiteRT cannot run it" in found.reason

    def test_a_firmware_that_does_not_end_is_a_refusal(self, installed, tiny_int8, monkeypatch):
        monkeypatch.setattr(firmware, "RESET", b"\xfe\xe7")
        found = on_shapes(tiny_int8, limit_s=1.5)
        assert found.status == "refused"
        assert "did not end within 1.5 s" in found.reason

    @needs_shared("mlperf_tiny")
    @pytest.mark.parametrize(
        ("path", "arena", "instructions_per_mac"),
        [
            ("ad/ad01_int8", 9_268, 0.452),
            ("ic/pretrainedResnet_quant", 55_028, 0.369),
            ("kws/kws_ref_model", 27_348, 0.647),
            ("vww/vww_96_int8", 100_772, 0.828),
        ],
    )
    def test_the_mlperf_tiny_models_answer_as_tflite_micro(self, installed, path, arena, instructions_per_mac):
        file = SHARED / "mlperf_tiny" / f"{path}.tflite"
        rng = np.random.default_rng(0)
        inputs = [rng.uniform(0, 1, (4, *shape)).astype(np.float32) for shape in LiteRT(file).input_shapes]
        found = Corstone(examples=4).run(file, inputs, None, BOARD)
        assert (found.status, found.arena_bytes, found.outputs_match) == ("ok", arena, True)
        assert found.outputs_against.startswith("tflite-micro")
        macs = sum(layer.macs for layer in found.instructions_per_layer)
        assert found.instructions / macs == pytest.approx(instructions_per_mac, abs=0.002)

    @needs_shared("mlperf_tiny")
    def test_no_timer_interrupt_falls_into_an_operator(self, installed):
        file = SHARED / "mlperf_tiny" / "kws" / "kws_ref_model.tflite"
        found = Corstone(examples=1).run(file, [np.zeros((1, 49, 10, 1), np.float32)], None, BOARD)
        repeated = [layer.instructions for layer in found.instructions_per_layer[1:9]]
        assert repeated == repeated[:2] * 4, "four equal pairs of layers cost the same"


def gelu(model):
    """Put GELU, which neither the firmware nor tflite-micro has, in place of the softmax."""
    from ai_edge_litert import schema_py_generated as schema

    (code,) = [c for c in model.operatorCodes if c.builtinCode == schema.BuiltinOperator.SOFTMAX]
    code.builtinCode, code.deprecatedBuiltinCode = schema.BuiltinOperator.GELU, 127
    model.subgraphs[0].operators[-1].builtinOptionsType = 0
    model.subgraphs[0].operators[-1].builtinOptions = None


def changed(source, path, change):
    """A .tflite with its flatbuffer changed."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(source.read_bytes(), 0)
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path
