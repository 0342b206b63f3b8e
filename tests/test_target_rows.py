import msgspec
import pytest

from toolchain.emulator import EmulatorResult, Layer
from toolchain.report import ArtifactReport, TargetReport
from toolchain.target_rows import TargetRow, findings, layer_tables, milliseconds, row

COUNTED = {"outputs_match": True, "outputs_against": "litert", "examples": 7}


def result(emulator, how="executed", **found) -> EmulatorResult:
    return EmulatorResult(**{"emulator": emulator, "how": how, "status": "ok", "reason": None} | found)


def report(*results, **found) -> TargetReport:
    return TargetReport(
        **{"target": "pico", "fits": None, "reasons": (), "flash_bytes": None, "sram_bytes": None, "results": results} | found
    )


def artifact(name="a.tflite", *targets) -> ArtifactReport:
    return ArtifactReport(
        name=name, path=name, format="tflite", scheme="", digest="", how="measured", bytes=1, gzip_bytes=1, zstd_bytes=1, parameters=None,
        nonzero_parameters=None, macs=None, operators={}, metric="top1", targets=targets,
    )  # fmt: skip


class TestRow:
    def test_what_nobody_found_is_empty(self):
        assert row(artifact(), report()) == TargetRow("a.tflite", "pico", "unknown", "", "", "", "", "", "")

    def test_a_device_without_sram_has_a_flash(self):
        assert row(artifact(), report(flash_bytes=12)).flash == "12"
        assert row(artifact(), report(sram_bytes=34)).sram == "34"

    def test_every_number_is_of_the_emulator_nearest_to_the_device_that_has_it(self):
        host = result("tflm", accuracy=0.25, **COUNTED)
        core = result("cortex_m", instructions=1_234_567, accuracy=0.5, **(COUNTED | {"outputs_match": False, "outputs_differing": 3}))
        firmware = result("corstone", instructions=89)
        found = row(artifact(), report(host, core, firmware, fits=True, flash_bytes=12_345, sram_bytes=678))
        assert (found.fits, found.flash, found.sram) == ("yes", "12,345", "678")
        assert found.outputs == "3 values differ from litert, on 7 examples (cortex_m)"
        assert found.accuracy == "50.00% on 7 (cortex_m)"
        assert found.instructions == "89 (corstone)"

    @pytest.mark.parametrize("status", ["refused", "unavailable"])
    def test_what_did_not_run_gives_no_number(self, status):
        failed = result("cortex_m", status=status, reason="no", instructions=1, accuracy=1.0, **COUNTED)
        found = row(artifact(), report(failed, result("tflm", **COUNTED), fits=False))
        assert (found.fits, found.outputs, found.accuracy, found.instructions) == ("no", "identical to litert on 7 examples (tflm)", "", "")

    def test_milliseconds_say_how_they_came_about_and_that_others_follow(self):
        estimate = result("latency_model", "estimated", ms=12.345, interval_ms=(11.06, 13.64), profile="x-cube-ai/cortex-m4")
        vendor = result("ethos_u", "vendor", ms=0.5, profile="High_End")
        assert row(artifact(), report(result("tflm"), vendor)).ms == "0.5, vendor: High_End"
        found = row(artifact(), report(result("tflm"), estimate, vendor))
        assert found.ms == "12.3 (11.1 to 13.6, 90 %), estimated: x-cube-ai/cortex-m4 (and 1 more below)"

    def test_what_is_estimated_or_the_vendors_is_not_shown_as_executed(self):
        found = row(artifact(), report(result("ethos_u", "vendor", instructions=5, accuracy=1.0, **COUNTED)))
        assert (found.outputs, found.accuracy, found.instructions) == ("", "", "")


def test_milliseconds_without_an_interval():
    assert milliseconds(result("ethos_u", "vendor", ms=0.123456)) == "0.123"


class TestFindings:
    def test_everything_found_is_in_the_line(self):
        found = result(
            "cortex_m", engine="c_source", arena_bytes=1_104, flash_bytes=6_232, ram_bytes=1_612, instructions=107_566, cycles=2_000,
            npu_share=0.5, ms=1.5, interval_ms=(1, 2), profile="p", **COUNTED,
        )  # fmt: skip
        assert findings(found) == (
            "cortex_m, executed: c_source, arena 1,104 B, flash 6,232 B, RAM 1,612 B, outputs identical to litert on 7 examples, "
            "107,566 instructions, 2,000 cycles, 50% of the operators on the NPU, 1.5 (1 to 2, 90 %) ms by p"
        )

    def test_zero_is_a_number(self):
        assert findings(result("ethos_u", "vendor", cycles=0, npu_share=0.0)) == "ethos_u, vendor: 0 cycles, 0% of the operators on the NPU"

    def test_what_did_not_run_says_why(self):
        missing = result("aarch64", status="unavailable", reason="run: apt-get install qemu-user", engine="litert")
        assert findings(missing) == "aarch64: unavailable: run: apt-get install qemu-user"


def layers(*costs, unit="instructions", operators=("CONV_2D", "MEAN")):
    return tuple(
        Layer(index=i, operator=name, output=f"t{i}", macs=10, **{unit: cost})
        for i, (name, cost) in enumerate(zip(operators, costs, strict=True))
    )


def on(target, *results) -> TargetReport:
    return msgspec.structs.replace(report(*results), target=target)


class TestLayerTables:
    def test_files_with_the_same_operators_stand_side_by_side(self):
        wide = artifact("wide", on("pico", result("cortex_m", instructions_per_layer=layers(100, 7))))
        narrow = artifact("narrow", on("pico", result("cortex_m", instructions_per_layer=layers(50, 7))))
        (found,) = layer_tables([wide, narrow])
        assert (found.target, found.emulator, found.unit, found.how, found.files) == (
            "pico", "cortex_m", "instructions", "executed", ("wide", "narrow"),
        )  # fmt: skip
        assert [[layer.instructions for layer in layers] for layers in found.rows] == [[100, 50], [7, 7]]

    def test_other_operators_targets_units_and_profiles_have_tables_of_their_own(self):
        one = artifact(
            "one",
            on("pico", result("cortex_m", instructions_per_layer=layers(1, 2), cycles_per_layer=layers(3, 4, unit="cycles"))),
            on("stm32f746", result("cortex_m", instructions_per_layer=layers(5, 6))),
            on("stm32h743", *(result("latency_model", "estimated", profile=p, ms_per_layer=layers(0.7, 0.8, unit="ms")) for p in "ab")),
        )
        other = artifact("other", on("pico", result("cortex_m", instructions_per_layer=layers(9, 9, operators=("CONV_2D", "RELU")))))
        found = [(t.target, t.profile, t.unit, t.files) for t in layer_tables([one, other])]
        assert found == [
            ("pico", None, "instructions", ("one",)),
            ("pico", None, "cycles", ("one",)),
            ("stm32f746", None, "instructions", ("one",)),
            ("stm32h743", "a", "ms", ("one",)),
            ("stm32h743", "b", "ms", ("one",)),
            ("pico", None, "instructions", ("other",)),
        ]

    def test_without_layers_there_is_no_table(self):
        assert layer_tables([artifact("a", on("pico", result("tflm"), result("cortex_m", status="refused", reason="no")))]) == []
