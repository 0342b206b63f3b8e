import pytest

from toolchain.emulator import EmulatorResult
from toolchain.report import ArtifactReport, TargetReport
from toolchain.target_rows import TargetRow, findings, milliseconds, origin, row, timed

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
        other = result("latency_model", "estimated", ms=9.0, profile="other")
        found = row(artifact(), report(result("tflm"), estimate, other))
        assert found.ms == "12.3 (11.1 to 13.6, 90 %), estimated: x-cube-ai/cortex-m4 (and 1 more below)"

    def test_milliseconds_of_better_evidence_come_first_in_whatever_order_the_target_names_them(self):
        estimate, vendor = result("latency_model", "estimated", ms=1.0, profile="e"), result("ethos_u", "vendor", ms=2.0, profile="v")
        published, failed = result("latency_model", "published", ms=3.0), result("corstone", status="refused", reason="no", ms=4.0)
        on = report(published, estimate, failed, vendor)
        assert [one.ms for one in timed(on)] == [2.0, 1.0, 3.0]
        assert row(artifact(), on).ms == "2, vendor: v (and 2 more below)"

    def test_what_is_estimated_or_the_vendors_is_not_shown_as_executed(self):
        found = row(artifact(), report(result("ethos_u", "vendor", instructions=5, accuracy=1.0, **COUNTED)))
        assert (found.outputs, found.accuracy, found.instructions) == ("", "", "")


def test_milliseconds_without_an_interval():
    assert milliseconds(result("ethos_u", "vendor", ms=0.123456)) == "0.123"


def test_the_origin_of_a_number_is_its_profile_or_its_emulator():
    assert origin(result("cortex_m")) == "executed: cortex_m"
    assert origin(result("latency_model", "estimated", profile="x-cube-ai")) == "estimated: x-cube-ai"


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
