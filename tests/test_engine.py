import configparser
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest

from toolchain import engine, target
from toolchain.corstone import firmware
from toolchain.device import FEATURES
from toolchain.errors import TargetError


@pytest.mark.parametrize("name", engine.names())
def test_every_engine_that_ships_is_whole(name):
    from ai_edge_litert import schema_py_generated as schema

    found = engine.load(name)
    assert found.name == name
    families = {target.load(known).device.npu.family for known in target.names() if target.load(known).device.npu}
    builtin = {operator for operator in vars(schema.BuiltinOperator) if operator.isupper() or "_" in operator}
    custom = {"TFLite_Detection_PostProcess", "CIRCULAR_BUFFER", "ethos-u"}
    assert found.operators <= builtin | custom
    for kernels in found.kernels:
        assert set(kernels.on) <= families | set(FEATURES)
        assert set(kernels.operators) <= builtin | custom
    if found.code:
        assert set(found.code.operator_bytes) <= found.operators


def test_a_fact_of_an_engine_without_a_source_is_refused():
    table = {"schema": 1, "name": "x", "title": "X", "operators": ["ADD"], "sources": {}}
    with pytest.raises(TargetError, match="x.toml: operators has no source"):
        engine.from_table(table, "x.toml")


@pytest.mark.parametrize(
    ("name", "operator", "dtype", "kernels"),
    [
        ("pico", "CONV_2D", "int8", None),
        ("nucleo_l4r5zi", "CONV_2D", "int8", "CMSIS-NN (DSP)"),
        ("nucleo_l4r5zi", "CONV_2D", "float32", None),
        ("nucleo_l4r5zi", "MEAN", "int8", None),
        ("nucleo_l4r5zi", "MAXIMUM", "int8", None),
        ("ra8d1", "MAXIMUM", "int8", "CMSIS-NN (MVE)"),
        ("ra8d1", "SVDF", "int16", None),
        ("alif_e7", "MEAN", "int8", "Ethos-U"),
        ("alif_e7", "SVDF", "int8", "CMSIS-NN (MVE)"),
        ("ra8d1", "SOFTMAX", "int16", "CMSIS-NN (DSP)"),
        ("ethos_u85_256", "GATHER", "int8", "Ethos-U"),
        ("ethos_u55_256", "GATHER", "int8", None),
        ("esp32_s3", "CONV_2D", "int8", "ESP-NN"),
        ("esp32", "CONV_2D", "int8", None),
        ("rpi_4b", "CONV_2D", "float32", "XNNPACK"),
        ("imx93", "CONV_2D", "int8", "Ethos-U"),
    ],
)
def test_kernels_follow_the_features_of_the_core_and_the_npu(name, operator, dtype, kernels):
    assert engine.accelerated(engine.kernels_of(target.load(name).device), operator, dtype) == kernels


def test_code_is_the_core_and_what_each_kind_of_operator_adds():
    code = engine.Code(1000, {"ADD": 10, "MUL": 200})
    assert code.of(["ADD", "ADD", "MUL"]) == 1210
    assert code.of(["ADD", "TILE"]) == 1210, "an operator that was not measured counts as the largest"
    assert code.of([]) == 1000


def test_the_code_that_ships_was_measured(monkeypatch):
    monkeypatch.delenv("SECATEUR_CACHE")
    if firmware.missing():
        pytest.skip("Arm's firmware is not here; run: secateur targets --install corstone")
    program = Path(__file__).parent.parent / "benchmarks" / "engine_code.py"
    printed = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True, timeout=60).stdout
    assert msgspec.convert(tomllib.loads(printed)["code"], engine.Code) == engine.load("tflm").code


def test_vela_reports_the_operators_of_ethos_u(tmp_path):
    pytest.importorskip("ethosu.vela")
    vela = Path(sys.executable).parent / "vela"
    subprocess.run([vela, "--supported-ops-report"], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    report = (tmp_path / "SUPPORTED_OPS.md").read_text()
    for kernels, title in zip(engine.load("ethos_u").kernels, ("Ethos-U55 and Ethos-U65", "Ethos-U85"), strict=True):
        table = report.partition(f"## {title} TFLite Summary Table")[2].partition("\n## ")[0]
        assert {*re.findall(r"^\| ([A-Z0-9_]+) \|", table, re.MULTILINE), "ethos-u"} == set(kernels.operators)


def test_vela_knows_the_configurations_that_targets_name():
    vela = pytest.importorskip("ethosu.vela")
    known = configparser.ConfigParser()
    known.read(Path(vela.__file__).parent.parent / "config_files" / "Arm" / "vela.ini")
    for name in target.names():
        found = target.load(name)
        for emulator in found.emulators:
            if emulator.__struct_config__.tag == "ethos_u":
                system = known[f"System_Config.{emulator.system_config}"]
                assert f"Memory_Mode.{emulator.memory_mode}" in known
                if name.startswith("ethos_"):  # no board: the clock is the configuration's
                    assert found.device.npu.clock_hz == float(system["core_clock"])
