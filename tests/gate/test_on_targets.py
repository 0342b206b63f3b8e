from made_reports import emulated, on_target

from toolchain.gate.on_targets import arena, arena_ratio, fits, instructions, instructions_ratio

TFLM = emulated("tflm", arena_bytes=500, engine="tflite-micro 1")
CORTEX = emulated("cortex_m", arena_bytes=300, instructions=2000, engine="c_source on cortex-m7 (qemu)")
CORSTONE = emulated("corstone", arena_bytes=600, instructions=3000)
MISSING = emulated("corstone", status="unavailable", reason="install the board")


def test_the_arena_is_that_of_the_fit_not_that_of_generated_c():
    assert arena(on_target("pico", True, CORTEX, TFLM)).value == 500
    assert arena(on_target("pico", True, CORTEX, TFLM, CORSTONE)).value == 600
    assert arena(on_target("pico", True, TFLM)).said == "tflm, executed: tflite-micro 1"


def test_instructions_come_from_the_emulator_nearest_to_the_device():
    found = instructions(on_target("pico", True, TFLM, CORTEX))
    assert (found.value, found.said) == (2000, "cortex_m, executed: c_source on cortex-m7 (qemu)")
    assert instructions(on_target("pico", True, CORTEX, CORSTONE)).value == 3000


def test_what_no_emulator_found_says_what_became_of_each():
    found = instructions(on_target("pico", True, TFLM, MISSING))
    assert found.value is None
    assert found.said == "no emulator found the instructions: tflm ran; corstone unavailable: install the board"
    assert "none that tells it ran" in arena(on_target()).said


def test_a_refused_file_has_no_number():
    refused = emulated("cortex_m", status="refused", reason="float", instructions=5)
    assert instructions(on_target("pico", True, refused)).value is None


def test_both_runs_are_compared_by_the_same_emulator():
    new, old = on_target("pico", True, CORSTONE, CORTEX), on_target("pico", True, emulated("cortex_m", instructions=1000))
    found = instructions_ratio(new, old)
    assert found.value == 2.0
    assert found.said == "2,000 instructions, baseline 1,000; cortex_m, executed: c_source on cortex-m7 (qemu)"
    other = instructions_ratio(on_target("pico", True, CORSTONE), old)
    assert other.value is None
    assert "here corstone ran; in the baseline cortex_m ran; run both with the same emulators" in other.said


def test_another_engine_is_said():
    old = on_target("pico", True, emulated("tflm", arena_bytes=400, engine="tflite-micro 0"))
    found = arena_ratio(on_target("pico", True, TFLM), old)
    assert found.value == 1.25
    assert found.said == "500 B, baseline 400; tflm, executed: tflite-micro 1, the baseline by tflite-micro 0"


def test_a_fit_is_yes_no_or_not_known():
    assert fits(on_target("pico", True)).value is True
    refused = fits(on_target("pico", False, reasons=("needs float32", "too large")))
    assert (refused.value, refused.said) == (False, "needs float32; too large")
    unknown = fits(on_target("pico", None, reasons=("the arena is unknown",)))
    assert unknown.value is None
    assert unknown.said == "whether it fits is not known: the arena is unknown"
