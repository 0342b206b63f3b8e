import numpy as np
import pytest
from conftest import SHARED, needs_shared, shapes

from toolchain import target
from toolchain.emulators.tflm import Tflm, arena_of
from toolchain.errors import ModelError

BOARD = target.load("stm32f746").device


def test_the_real_interpreter_answers_as_the_reference_kernels(tiny_int8):
    x, y = shapes(120)
    found = Tflm().run(tiny_int8, [x.astype(np.float32) / 255], y, BOARD)
    assert (found.status, found.how, found.examples) == ("ok", "executed", 100)
    assert found.outputs_match is True
    assert found.outputs_differing == 0
    assert found.outputs_against.endswith("reference")
    assert 500 < found.arena_bytes < 10_000
    assert 0 <= found.accuracy <= 1


def test_the_arena_is_read_from_the_log():
    assert arena_of(["[RecordingMicroAllocator] Arena allocation total 55984 bytes", "head 1 bytes"]) == 55984
    with pytest.raises(ModelError, match="did not report"):
        arena_of([])


def test_a_broken_file_is_a_refusal(tiny_int8, tmp_path):
    (tmp_path / "half.tflite").write_bytes(tiny_int8.read_bytes()[:1500])
    found = Tflm().run(tmp_path / "half.tflite", [np.zeros((1, 8, 8, 1), np.float32)], None, BOARD)
    assert found.status == "refused"
    assert "LiteRT cannot run it" in found.reason


@needs_shared("mlperf_tiny")
@pytest.mark.parametrize(
    ("path", "arena"),
    [("ad/ad01_int8", 3_984), ("ic/pretrainedResnet_quant", 55_984), ("kws/kws_ref_model", 24_272), ("vww/vww_96_int8", 103_680)],
)
def test_known_arenas_of_the_mlperf_tiny_models(path, arena):
    file = SHARED / "mlperf_tiny" / f"{path}.tflite"
    from toolchain.runners.litert import LiteRT

    inputs = [np.zeros((1, *shape), np.float32) for shape in LiteRT(file).input_shapes]
    found = Tflm().run(file, inputs, None, BOARD)
    assert found.arena_bytes == arena
