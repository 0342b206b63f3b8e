import sys

import msgspec
import pytest
from conftest import SHARED, needs_shared

from toolchain import target
from toolchain.emulator import EmulatorResult
from toolchain.emulators import ethos_u
from toolchain.emulators.ethos_u import EthosU, Row, by_operator
from toolchain.errors import GuestError, TargetError
from toolchain.settings import build
from toolchain.tflite_file import TfliteFile

BOARD = target.load("ethos_u55_128").device
EMPTY = EmulatorResult(emulator="ethos_u", how="vendor", status="refused", reason=None)
U55 = EthosU("ethos-u55-128", "Ethos_U55_High_End_Embedded", "Shared_Sram")


def run(emulator, file):
    return emulator.run(file, [], None, BOARD)


def test_vela_compiles_and_every_cycle_has_its_operator(tiny_int8):
    found = run(U55, tiny_int8)
    assert (found.status, found.how, found.npu_share) == ("ok", "vendor", 1.0)
    assert found.profile.startswith("vela ")
    assert found.profile.endswith(" ethos-u55-128 Ethos_U55_High_End_Embedded Shared_Sram")
    assert sum(layer.cycles for layer in found.cycles_per_layer) == found.cycles
    assert found.ms == pytest.approx(found.cycles / 500e6 * 1e3)
    assert sum(layer.ms for layer in found.cycles_per_layer) == pytest.approx(found.ms)
    assert 0 < found.ram_bytes < 4096
    assert 0 < found.flash_bytes < 4096
    assert "not measured" in found.notes[0]


def test_the_configuration_decides(tiny_int8):
    slow = run(EthosU("ethos-u55-128", "Ethos_U55_Deep_Embedded", "Shared_Sram"), tiny_int8)
    assert slow.ms > 2 * run(U55, tiny_int8).ms


def test_a_float_file_is_refused_with_velas_reason(tiny_float):
    found = run(U55, tiny_float)
    assert found.status == "refused"
    assert "no operator runs on the Ethos-U; CONV_2D" in found.reason
    assert "unsupported DataType Float32" in found.reason


@needs_shared("models_for_calibration")
def test_an_operator_on_the_cpu_is_named_and_there_is_no_total_time():
    file = SHARED / "models_for_calibration" / "bven_object_detection__st_yolo_lc_v1_192_int8.tflite"
    found = run(U55, file)
    assert found.npu_share == 15 / 16
    assert found.ms is None
    assert found.cycles > 100_000
    assert "on the CPU: DEQUANTIZE StatefulPartitionedCall:0: Unsupported opType" in found.notes


@pytest.mark.parametrize(
    ("settings", "choice"),
    [
        ({"accelerator": "ethos-u55-129"}, "ethos-u55-256"),
        ({"system_config": "Ethos_U55_Best"}, "choose from Ethos_U55_Deep_Embedded, Ethos_U55_High_End_Embedded"),
        ({"memory_mode": "Best"}, "choose from Sram_Only, Shared_Sram"),
    ],
)
def test_a_configuration_that_vela_does_not_know_is_refused_with_the_choices(settings, choice, tiny_int8):
    found = run(msgspec.structs.replace(U55, **settings), tiny_int8)
    assert found.status == "refused"
    assert choice in found.reason


def test_the_system_of_another_processor_is_an_error_when_the_target_loads():
    table = {"accelerator": "ethos-u55-128", "system_config": "Ethos_U65_High_End", "memory_mode": "Shared_Sram"}
    with pytest.raises(TargetError, match="'Ethos_U65_High_End' does not describe a system with an ethos-u55-128"):
        build(EthosU, table, "mine.toml: emulator[0]", TargetError)
    del table["memory_mode"]
    with pytest.raises(TargetError, match="memory_mode"):
        build(EthosU, table, "mine.toml: emulator[0]", TargetError)


def test_broken_files_are_refused(tiny_int8, tmp_path):
    for name, content in (("half", tiny_int8.read_bytes()[:1500]), ("noise", bytes(range(256)) * 8)):
        (tmp_path / name).write_bytes(content)
        found = run(U55, tmp_path / name)
        assert found.status == "refused"
        assert found.reason


def test_a_complaint_of_vela_is_the_reason(tiny_int8, tmp_path):
    (tmp_path / "half").write_bytes(tiny_int8.read_bytes()[:1500])
    with pytest.raises(GuestError, match="Vela: .*Buffer contents inconsistent"):
        U55._compile(tmp_path / "half", tmp_path)


def test_without_vela_it_is_unavailable_with_the_command(tiny_int8, monkeypatch):
    monkeypatch.setitem(sys.modules, "ethosu", None)
    monkeypatch.delitem(sys.modules, "ethosu.vela", raising=False)
    found = run(U55, tiny_int8)
    assert found.status == "unavailable"
    assert "run: pip install 'secateur[ethos-u]'" in found.reason


def test_a_compiler_that_hangs_is_a_refusal(tiny_int8, monkeypatch):
    monkeypatch.setattr(ethos_u, "LIMITS", ethos_u.Limits(seconds=0.05))
    found = run(U55, tiny_int8)
    assert found.status == "refused"
    assert "did not end within 0.05 s" in found.reason


SUMMARY = {"accelerator_configuration": "Ethos_U55_128", "system_config": "Ethos_U55_High_End_Embedded", "memory_mode": "Shared_Sram",
           "core_clock": "500000000.0", "cycles_total": "1000", "inference_time": "2e-06", "sram_memory_used": "1.5", "dram_memory_used": "0.0",
           "on_chip_flash_memory_used": "0.0", "off_chip_flash_memory_used": "2.25"}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"memory_mode": "Sram_Only"}, "asked for memory_mode Shared_Sram and took Sram_Only"),
        ({"system_config": "Ethos_U55_Deep_Embedded"}, "asked for system_config"),
        ({"accelerator_configuration": "Ethos_U55_256"}, "asked for accelerator_configuration ethos_u55_128 and took Ethos_U55_256"),
        ({"cycles_total": "nan"}, "cannot be"),
        ({"inference_time": "-1"}, "cannot be"),
        ({"core_clock": "fast"}, "not whole"),
        ({"core_clock": "0"}, "cannot be"),
    ],
)
def test_a_summary_is_checked_before_it_is_used(change, why, tmp_path):
    path = tmp_path / "summary.csv"
    path.write_text(",".join(SUMMARY) + "\n" + ",".join(SUMMARY.values()) + "\n")
    assert U55._summary(path)["cycles_total"] == 1000
    table = SUMMARY | change
    path.write_text(",".join(table) + "\n" + ",".join(table.values()) + "\n")
    with pytest.raises(GuestError, match=why):
        U55._summary(path)


@pytest.mark.parametrize("content", [None, "", "a,b\n", "a,b\n1,2\n3,4\n"])
def test_a_summary_that_is_not_one_line_is_refused(content, tmp_path):
    if content is not None:
        (tmp_path / "summary.csv").write_text(content)
    with pytest.raises(GuestError, match=r"summary\.csv"):
        U55._summary(tmp_path / "summary.csv")


def test_pieces_go_with_the_operator_that_they_end_in(tiny_int8):
    file = TfliteFile.read(tiny_int8)
    conv, pool, softmax = (file.tensors[file.operators[i].outputs[0]].name for i in (0, 3, 5))
    rows = [
        Row("Conv2D", conv, "NPU", 100),
        Row("Conv2D", conv, "NPU", 10),  # the fused activation has the same name
        Row("AvgPool", f"{pool}_half", "NPU", 1_000),
        Row("Copy", "nobody's", "NPU", 5),
        Row("AvgPool", pool, "NPU", 2_000),
        Row("Softmax", f"{softmax}_0", "NPU", 10_000),
        Row("Softmax", softmax, "NPU", 20_000),
        Row("Copy", "at the end", "NPU", 7),
    ]
    assert by_operator(file, rows) == ([110, 0, 0, 3_000, 0, 30_000], 12)


@needs_shared("mlperf_tiny")
@pytest.mark.parametrize(
    ("settings", "kws_us", "resnet_us"),
    [
        (("ethos-u55-128", "Ethos_U55_High_End_Embedded", "Shared_Sram"), 180, 403),
        (("ethos-u55-256", "Ethos_U55_High_End_Embedded", "Shared_Sram"), 117, 284),
        (("ethos-u65-256", "Ethos_U65_Client_Server", "Dedicated_Sram"), 55, 104),
        (("ethos-u85-256", "Ethos_U85_SYS_DRAM_Mid", "Dedicated_Sram"), 54, 99),
    ],
)
def test_known_times_of_two_mlperf_tiny_models(settings, kws_us, resnet_us):
    for path, expected in (("kws/kws_ref_model", kws_us), ("ic/pretrainedResnet_quant", resnet_us)):
        found = run(EthosU(*settings), SHARED / "mlperf_tiny" / f"{path}.tflite")
        assert found.ms * 1e3 == pytest.approx(expected, rel=0.02)
        assert found.npu_share == 1.0


class TestTables:
    """Tables that Vela wrote, and tables that it should never write."""

    @pytest.fixture
    def tables(self, tiny_int8, tmp_path):
        U55._compile(tiny_int8, tmp_path)
        summary = U55._summary(tmp_path / "network_summary_Ethos_U55_High_End_Embedded.csv")
        return TfliteFile.read(tiny_int8), summary, ethos_u._rows(tmp_path / "network_per-layer.csv")

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"cycles_total": 4_000.0, "inference_time": 8e-6}, "contradict each other: 4,000 cycles"),
            ({"inference_time": 1.0}, "contradict each other: .* 1000 ms"),
        ],
    )
    def test_cycles_time_and_layers_have_to_agree(self, change, why, tables):
        file, summary, rows = tables
        assert ethos_u._report(EMPTY, file, summary, rows, {}).status == "ok"
        with pytest.raises(GuestError, match=why):
            ethos_u._report(EMPTY, file, summary | change, rows, {})

    def test_an_operator_on_the_cpu_is_named_and_takes_the_total_time_away(self, tables):
        file, summary, rows = tables
        reshape = next(file.tensors[op.outputs[0]].name for op in file.operators if op.name == "RESHAPE")
        found = ethos_u._report(EMPTY, file, summary, [*rows, Row("Reshape", reshape, "CPU", 0)], {reshape: "Too\nlarge"})
        assert (found.ms, found.cycles) == (None, summary["cycles_total"])
        assert found.npu_share == 1 - 1 / len(file.operators)
        assert f"on the CPU: RESHAPE {reshape}: Too large" in found.notes

    def test_a_fallback_that_is_no_operator_is_refused(self, tables):
        file, summary, rows = tables
        with pytest.raises(GuestError, match="no operator of the file: strange"):
            ethos_u._report(EMPTY, file, summary, [*rows, Row("Add", "strange", "CPU", 0)], {})

    def test_operators_that_cannot_be_told_apart_are_refused(self, tables):
        file, summary, rows = tables
        nameless = msgspec.structs.replace(file, tensors=tuple(msgspec.structs.replace(t, name="") for t in file.tensors))
        with pytest.raises(GuestError, match="tensors of the same name"):
            ethos_u._report(EMPTY, nameless, summary, rows, {})
