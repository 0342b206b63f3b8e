import msgspec

from toolchain import target
from toolchain.emulator import EmulatorResult
from toolchain.measure.fit import fit

BOARD = target.load("stm32f746")


def ran(arena: int) -> EmulatorResult:
    return EmulatorResult(emulator="tflm", how="executed", status="ok", reason=None, arena_bytes=arena)


def test_flash_and_sram_are_the_file_and_the_arena_plus_what_is_reserved(tiny_int8):
    found = fit(tiny_int8, ["INT8"], BOARD, [ran(1000)])
    assert found.fits is True
    assert found.flash_bytes == tiny_int8.stat().st_size + 131_072
    assert found.sram_bytes == 1000 + 65_536


def test_every_reason_is_listed(tiny_int8):
    small = msgspec.structs.replace(
        BOARD, device=msgspec.structs.replace(BOARD.device, memory=msgspec.structs.replace(BOARD.device.memory, flash_bytes=100_000))
    )
    found = fit(tiny_int8, ["FLOAT32", "INT8"], small, [ran(300_000)])
    assert found.fits is False
    assert [reason.split(" (")[0] for reason in found.reasons] == [
        "computes in float32; this target takes int8, int16",
        f"needs {tiny_int8.stat().st_size + 131_072:,} B of flash",
        "needs 365,536 B of SRAM",
    ]


def test_a_refusal_of_the_emulator_is_a_reason_and_a_missing_one_leaves_it_open(tiny_int8, tmp_path):
    refused = EmulatorResult(emulator="tflm", how="executed", status="refused", reason="Didn't find op for builtin opcode 'GELU'")
    assert fit(tiny_int8, ["INT8"], BOARD, [refused]).reasons == ("tflm: Didn't find op for builtin opcode 'GELU'",)
    missing = EmulatorResult(emulator="tflm", how="executed", status="unavailable", reason="run: pip install")
    assert fit(tiny_int8, ["INT8"], BOARD, [missing]).fits is None
    (tmp_path / "m.onnx").touch()
    (tmp_path / "m.onnx").write_bytes(b"x")
    assert fit(tmp_path / "m.onnx", [], BOARD, []).reasons == ("tflm runs tflite, not onnx",)
