import math

import pytest
from conftest import SHARED, needs_shared
from latency.small import device, network

from toolchain import target
from toolchain.emulators.latency_model import LatencyModel
from toolchain.errors import TargetError
from toolchain.latency.profile import load, names
from toolchain.settings import build

M7 = "x-cube-ai-8.1.0/cortex-m7"
M4 = "x-cube-ai-7.3.0/cortex-m4"
MODELS = SHARED / "models_for_calibration"


@pytest.fixture
def file(tmp_path):
    return network(tmp_path / "net.tflite", filters=64, classes=64, channels=8)


def run(file, profile=M4, board=None, **facts):
    return LatencyModel(profile=profile, board=board).run(file, [], None, device(**facts))


def test_an_estimate_says_what_it_is(file):
    found = run(file)
    assert (found.status, found.how, found.reason) == ("ok", "estimated", None)
    assert (found.profile, found.engine) == (M4, "X-CUBE-AI 7.3.0")
    assert found.interval_ms[0] < found.ms < found.interval_ms[1]
    assert [layer.operator for layer in found.ms_per_layer] == [
        "CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX",
    ]  # fmt: skip
    assert math.fsum(layer.ms for layer in found.ms_per_layer) == pytest.approx(found.ms)
    assert "another engine or version" in found.notes[0]
    assert f"left out of the calibration: {load(M4).errors.leave_one_family_out:.0%}" in found.notes[1]
    assert "mine is not among the measured boards (nucleo-l4r5zi at 120 MHz)" in found.notes[2]
    assert found.instructions is None


def test_the_measured_board_and_its_clock(file):
    same = run(file, board="nucleo-l4r5zi", clock_hz=120_000_000)
    slower = run(file, board="nucleo-l4r5zi", clock_hz=60_000_000)
    assert len(same.notes) == 2
    assert "measured at 120 MHz" in slower.notes[2]
    assert slower.ms == pytest.approx(2 * same.ms)
    assert slower.interval_ms[1] / slower.ms > same.interval_ms[1] / same.ms


def test_a_note_where_the_engine_may_need_external_memory(file):
    assert any("estimate is too low" in note for note in run(file, sram_bytes=1_500).notes)
    assert not any("estimate is too low" in note for note in run(file, sram_bytes=4_000).notes)


def test_refusals_are_results(file, tiny_float, tmp_path):
    found = run(file, core="cortex-m7")
    assert (found.status, found.ms, found.profile) == ("refused", None, M4)
    assert "cortex-m4" in found.reason
    assert "float32" in run(tiny_float).reason
    (tmp_path / "broken.tflite").write_bytes(b"\x1c\0\0\0TFL3" + bytes(40))
    assert run(tmp_path / "broken.tflite").status == "refused"
    (tmp_path / "model.onnx").write_bytes(b"\x08\x07\x12\x04test")
    assert run(tmp_path / "model.onnx").reason == f"profile {M4} is calibrated on .tflite files"


def test_the_profile_is_checked_when_the_target_loads():
    with pytest.raises(
        TargetError, match=r"mine: .*no latency profile 'x-cube-ai-8.1/cortex-m7'; did you mean 'x-cube-ai-8.1.0/cortex-m7'"
    ):
        build(LatencyModel, {"profile": "x-cube-ai-8.1/cortex-m7"}, "mine", TargetError)
    with pytest.raises(TargetError, match=r"was not measured on 'stm32h743'; .*stm32h747i-disco"):
        build(LatencyModel, {"profile": M7, "board": "stm32h743"}, "mine", TargetError)
    assert M7 in names()


def test_targets_name_profiles_of_their_core_or_say_why_there_is_none():
    for name in target.names():
        found = target.load(name)
        models = [emulator for emulator in found.emulators if isinstance(emulator, LatencyModel)]
        assert models, name
        for emulator in models:
            assert emulator.uncalibrated or load(emulator.profile).core == found.device.cpu.core, name


def test_a_device_without_measurements_is_refused_with_the_reason(file):
    found = LatencyModel(uncalibrated="nothing was published").run(file, [], None, device())
    assert (found.status, found.how, found.reason) == ("refused", "estimated", "uncalibrated: nothing was published")
    assert found.ms is None
    with pytest.raises(ValueError, match="give either profile or uncalibrated"):
        LatencyModel()


@needs_shared("models_for_calibration")
@pytest.mark.parametrize("name", names())
def test_published_rows_of_every_profile_lie_in_their_intervals(name):
    known = load(name)
    files = {
        "ad fc-autoencoder": "mlperf_ad01_int8",
        "kws ds-cnn 49x10x1": "mlperf_kws_ref_model",
        "ic resnet-8 32x32x3": "mlperf_pretrainedResnet_quant",
        "vww mobilenetv1-0.25-96 96x96x3": "mlperf_vww_96_int8",
        "fdmobilenet 0.25 224x224x3": "moh_image_classification__fdmobilenet_0.25_224_tfs_int8",
        "mobilenet v1 0.25 224x224x3": "moh_image_classification__mobilenet_v1_0.25_224_fft_int8",
        "st_yolo_lc_v1 256x256x3": "moh_object_detection__st_yolo_lc_v1_256_int8",
        "st yolo lc v1 256x256x3": "bven_object_detection__st_yolo_lc_v1_256_int8",
        "person_detect": "tflm_person_detect",
    }
    whole = [row for row in known.rows if row.network in files]
    if known.unit == "operator":
        found = run(MODELS / "tflm_person_detect.tflite", name, known.boards[0].name, core=known.core, clock_hz=known.boards[0].clock_hz)
        assert found.interval_ms[0] < math.fsum(row.ms for row in known.rows) < found.interval_ms[1]
        return
    assert len(whole) >= 3
    for row in whole:
        facts = {"core": known.core, "clock_hz": known.board(row.board).clock_hz, "sram_bytes": 2**20}
        found = run(MODELS / f"{files[row.network]}.tflite", name, row.board, **facts)
        assert found.ms == pytest.approx(row.fitted_ms, rel=2e-3)
        assert found.interval_ms[0] < row.ms < found.interval_ms[1], row.network


@needs_shared("models_for_calibration")
def test_cases_that_must_be_refused():
    h747 = {"core": "cortex-m7", "clock_hz": 400_000_000, "sram_bytes": 524_288}
    assert "dense_mac" in run(MODELS / "mlperf_ad01_int8.tflite", M7, **h747).reason
    pico = {"core": "cortex-m0plus", "clock_hz": 125_000_000, "sram_bytes": 270_336}
    assert "conv_mac" in run(MODELS / "mlperf_pretrainedResnet_quant.tflite", "tflm-cmsis-nn-pico-dfea53b/cortex-m0plus", **pico).reason
    assert (
        "external memory"
        in run(MODELS / "moh_object_detection__st_yolo_lc_v1_256_int8.tflite", M7, **h747 | {"sram_bytes": 200_000}).reason
    )
