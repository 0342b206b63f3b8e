import msgspec
import pytest
from conftest import SHARED, needs_shared

from toolchain import engine, target
from toolchain.emulator import EmulatorResult
from toolchain.errors import ModelError
from toolchain.measure.fit import fit

BOARD = target.load("stm32f746")


def ran(arena: int, emulator: str = "tflm") -> EmulatorResult:
    return EmulatorResult(emulator=emulator, how="executed", status="ok", reason=None, arena_bytes=arena)


def refused(emulator: str, reason: str, status="refused") -> EmulatorResult:
    return EmulatorResult(emulator=emulator, how="executed", status=status, reason=reason)


def with_memory(board: target.Target, **changes) -> target.Target:
    memory = msgspec.structs.replace(board.device.memory, **changes)
    return msgspec.structs.replace(board, device=msgspec.structs.replace(board.device, memory=memory))


def code_bytes(*operators: str) -> int:
    code = engine.load("tflm").code
    return code.core_bytes + sum(code.operator_bytes[name] for name in operators)


def test_flash_is_file_and_engine_and_sram_is_the_arena_each_with_what_is_reserved(tiny_int8):
    found = fit(tiny_int8, ["INT8"], BOARD, [ran(1000)])
    size = tiny_int8.stat().st_size
    engine_bytes = code_bytes("AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "RESHAPE", "SOFTMAX")
    assert found.fits is True
    assert found.flash_bytes == size + engine_bytes + 131_072
    assert found.sram_bytes == 1000 + 65_536
    # int8 kernels 4*3*3*1, 1*3*3*4, 3*1*1*4; int32 biases of 3 and 4 channels, that of 4 stored once for two layers
    weights = 36 + 36 + 12 + 4 * (3 + 4)
    assert f"flash: file {size:,} = weights {weights} + model overhead {size - weights:,}, engine about {engine_bytes:,}" in found.notes[1]


def test_the_report_says_what_the_device_is_and_has(tiny_int8):
    found = fit(tiny_int8, ["INT8"], BOARD, [ran(1000)])
    assert found.title == "STM32F746G-DISCO (Cortex-M7, 216 MHz)"
    assert (found.device_flash_bytes, found.device_sram_bytes) == (1_048_576, 327_680)


def test_operators_are_named_by_the_kernels_that_compute_them(tiny_int8):
    notes = {name: fit(tiny_int8, ["INT8"], target.load(name), [ran(1000)]).notes[0] for name in ("pico", "stm32f746", "alif_e7")}
    assert notes["pico"] == "operators: without fast kernels: AVERAGE_POOL_2D, CONV_2D, DEPTHWISE_CONV_2D, RESHAPE, SOFTMAX"
    assert notes["stm32f746"] == (
        "operators: CMSIS-NN (DSP): AVERAGE_POOL_2D, CONV_2D, DEPTHWISE_CONV_2D, SOFTMAX; without fast kernels: RESHAPE"
    )
    assert notes["alif_e7"] == "operators: Ethos-U: AVERAGE_POOL_2D, CONV_2D, DEPTHWISE_CONV_2D, RESHAPE, SOFTMAX"


@needs_shared("mlperf_tiny")
@pytest.mark.parametrize(
    ("file", "board", "notes"),
    [
        ("ad/ad01_int8.tflite", "nucleo_l4r5zi", "operators: CMSIS-NN (DSP): FULLY_CONNECTED"),
        (
            "ic/pretrainedResnet_quant.tflite",
            "ra8d1",
            "operators: CMSIS-NN (MVE): ADD, AVERAGE_POOL_2D, CONV_2D, FULLY_CONNECTED, SOFTMAX; without fast kernels: RESHAPE",
        ),
        (
            "vww/vww_96_float.tflite",
            "rpi_4b",
            "operators: XNNPACK: AVERAGE_POOL_2D, CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, RESHAPE, SOFTMAX",
        ),
    ],
)
def test_operators_of_mlperf_tiny(file, board, notes):
    assert fit(SHARED / "mlperf_tiny" / file, [], target.load(board), []).notes[0] == notes


def test_an_operator_that_the_engine_lacks_is_a_reason_until_the_interpreter_ran_it(tiny_int8, monkeypatch):
    lacking = msgspec.structs.replace(engine.load("tflm"), operators=engine.load("tflm").operators - {"RESHAPE", "SOFTMAX"})
    load = engine.load
    monkeypatch.setattr(engine, "load", lambda name: lacking if name == "tflm" else load(name))
    pico = target.load("pico")
    assert fit(tiny_int8, ["INT8"], pico, []).reasons[0] == "TensorFlow Lite Micro has no RESHAPE, SOFTMAX"
    assert fit(tiny_int8, ["INT8"], pico, [ran(1000)]).fits is True
    computed_by_npu = fit(tiny_int8, ["INT8"], target.load("alif_e7"), [refused("tflm", "no RESHAPE here")])
    assert (computed_by_npu.fits, computed_by_npu.reasons[0]) == (None, "tflm: no RESHAPE here")


def test_every_reason_is_listed(tiny_float):
    small = with_memory(BOARD, flash_bytes=100_000, contiguous_sram_bytes=262_144)
    found = fit(tiny_float, ["FLOAT32"], small, [ran(300_000)])
    assert found.fits is False
    assert [reason.split(" (")[0] for reason in found.reasons] == [
        "computes in float32; this target takes int8, int16",
        f"needs {found.flash_bytes:,} B of flash",
        "needs 365,536 B of SRAM",
        "the arena of 300,000 B is larger than the largest piece of SRAM, 262,144 B",
    ]


def test_integers_are_refused_where_they_are_multiplied_and_not_elsewhere(tiny_int8):
    only_int16 = msgspec.structs.replace(BOARD.device, runtime=msgspec.structs.replace(BOARD.device.runtime, dtypes=("int16",)))
    board = msgspec.structs.replace(BOARD, device=only_int16)
    assert fit(tiny_int8, ["INT8", "INT64"], board, [ran(1000)]).reasons == ("computes in int8; this target takes int16",)


@needs_shared("models_for_calibration")
def test_floats_that_only_leave_the_model_are_no_float_model():
    file = SHARED / "models_for_calibration" / "bven_image_classification__resnet_v1_8_32_int8.tflite"  # ends with a DEQUANTIZE
    assert fit(file, ["FLOAT32", "INT8"], target.load("stm32h747"), [ran(1000)]).reasons == ()


def test_only_a_refusal_by_the_devices_own_engine_decides(tiny_int8):
    reason = "Didn't find op for builtin opcode 'GELU'"
    assert fit(tiny_int8, ["INT8"], BOARD, [refused("tflm", reason)]).reasons == (f"tflm: {reason}",)
    others = [ran(1000), refused("cortex_m", "no MEAN"), refused("latency_model", "no profile")]
    assert fit(tiny_int8, ["INT8"], BOARD, others).fits is True
    missing = fit(tiny_int8, ["INT8"], BOARD, [refused("tflm", "run: pip install", "unavailable")])
    assert (missing.fits, missing.reasons[0]) == (None, "tflm: run: pip install")
    too_large = fit(tiny_int8, ["INT8"], target.load("rpi_4b"), [refused("aarch64", "takes too long here")])
    assert (too_large.fits, too_large.reasons) == (None, ("aarch64: takes too long here",))


def test_a_board_with_an_operating_system_has_no_limit_but_its_engine(tiny_float, tmp_path):
    found = fit(tiny_float, ["FLOAT32"], target.load("rpi_4b"), [refused("aarch64", "run: apt-get", "unavailable")])
    assert (found.fits, found.reasons, found.sram_bytes) == (True, (), None)
    (tmp_path / "m.onnx").write_bytes(b"x")
    assert fit(tmp_path / "m.onnx", [], target.load("rpi_4b"), []).notes[0] == "operators: not checked, there is no list for .onnx files"
    assert fit(tmp_path / "m.onnx", [], BOARD, []).reasons == ("tflm runs tflite, not onnx",)


def test_the_arena_of_the_host_is_not_trusted_near_the_limit(tiny_int8):
    # DS-CNN took 27,348 / 24,224 = 1.129 times as much on the firmware: 200,000 B become 225,793 B
    board = with_memory(BOARD, sram_bytes=290_000)
    near = fit(tiny_int8, ["INT8"], board, [ran(200_000)])
    assert near.fits is True
    assert any("near the limit" in note and "225,793 B" in note for note in near.notes)
    assert not any("near the limit" in note for note in fit(tiny_int8, ["INT8"], board, [ran(190_000)]).notes)
    firmware = fit(tiny_int8, ["INT8"], board, [ran(200_000), ran(210_000, "corstone")])
    assert firmware.sram_bytes == 210_000 + 65_536
    assert not any("near the limit" in note for note in firmware.notes)


def test_a_broken_file_is_an_error(tmp_path):
    (tmp_path / "broken.tflite").write_bytes(b"\x1c\x00\x00\x00TFL3" + b"\x00" * 40)
    with pytest.raises(ModelError, match=r"broken\.tflite: not a whole \.tflite file"):
        fit(tmp_path / "broken.tflite", [], BOARD, [])
