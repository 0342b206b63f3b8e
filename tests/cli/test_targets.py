import json
import subprocess
import sys
import tomllib

from conftest import secateur

from toolchain import registry, target

FRAMEWORKS = ("tensorflow", "keras", "tf_keras", "onnx", "onnxruntime", "tflite_micro", "ai_edge_litert", "h5py", "vl_convert")


def test_the_list_imports_no_framework():
    script = (
        "import json, sys; from toolchain.cli.targets import targets; targets(None, False, None, True);"
        "print(json.dumps([m for m in sys.argv[1:] if m in sys.modules]), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script, *FRAMEWORKS], capture_output=True, text=True, check=True)
    assert json.loads(done.stderr.splitlines()[-1]) == []


def test_the_list_names_every_device_with_core_clock_memory_engine_and_emulators():
    printed = secateur("targets").stdout
    rows = {cells[1].strip(): [cell.strip() for cell in cells[2:-1]] for line in printed.splitlines() if len(cells := line.split("│")) > 3}
    assert sorted(rows) == target.names()
    assert rows["nucleo_l4r5zi"][:5] == ["cortex-m4", "120", "2 MiB", "640 KiB", "tflm"]
    assert rows["stm32h7a3"][3] == "1,219 KiB"
    assert rows["alif_e7"][4] == "tflm, ethos-u55-256"
    assert rows["rpi_4b"][:5] == ["cortex-a72", "1,500", "", "1 GiB external", "litert"]
    assert "tflm" in rows["pico"][5]


def test_what_is_missing_is_said_once_with_its_command(tmp_path):
    printed = secateur("targets", PATH=str(tmp_path), SECATEUR_CACHE=str(tmp_path / "cache")).stdout
    lines = [line for line in printed.splitlines() if line.startswith("corstone is missing here: ")]
    assert len(lines) == 1
    assert "apt-get install" in lines[0] or "secateur targets --install corstone" in lines[0]
    assert "corstone (missing)" in printed


def test_a_core_that_only_qemu_knows_is_missing_without_it(tmp_path):
    listed = json.loads(secateur("targets", "--json", PATH=str(tmp_path)).stdout)
    lacks = {one["name"]: emulator["missing"] for one in listed for emulator in one["emulators"] if emulator["kind"] == "cortex_m"}
    assert lacks["nucleo_l4r5zi"] is None, "unicorn runs a Cortex-M4"
    assert "qemu-system-arm" in lacks["alif_e7"]


def test_one_target_shows_every_fact_with_its_source_and_its_emulators():
    printed = secateur("targets", "NUCLEO-L4R5ZI").stdout
    found = target.load("nucleo_l4r5zi")
    for fact, source in found.sources.items():
        (line,) = [line for line in printed.splitlines() if line.startswith(f"{fact} ")]
        assert line.endswith(source)
    assert "cpu.clock_hz                 120,000,000" in printed
    assert printed.partition("\nemulators\n")[2].startswith("tflm\n")
    assert "ethos_u accelerator = ethos-u55-128" in secateur("targets", "ethos_u55_128").stdout
    assert "no emulator runs this device's code here" in secateur("targets", "stm32mp157f").stdout


def test_json_of_the_list_and_of_one():
    listed = json.loads(secateur("targets", "--json").stdout)
    assert [one["name"] for one in listed] == target.names()
    one = json.loads(secateur("targets", "alif_e7", "--json").stdout)
    assert one["facts"]["cpu.clock_hz"] == {"value": 400_000_000, "source": target.load("alif_e7").sources["cpu.clock_hz"]}
    assert one["emulators"][0] == {"kind": "tflm", "missing": None}


def test_toml_prints_the_file_to_copy(tmp_path):
    printed = secateur("targets", "pico", "--toml").stdout
    assert tomllib.loads(printed)["name"] == "pico"
    (tmp_path / "mine.toml").write_text(printed)
    assert "Raspberry Pi Pico" in secateur("targets", str(tmp_path / "mine.toml")).stdout
    assert secateur("targets", "--toml").returncode == 2


def test_install_asks_the_kind(tmp_path):
    nothing = secateur("targets", "--install", "tflm")
    assert nothing.returncode == 2
    assert "nothing to install beside Python packages" in nothing.stderr
    unknown = secateur("targets", "--install", "tlfm")
    assert unknown.returncode == 2
    assert (
        f"--install = 'tlfm': no such name in emulators; did you mean 'tflm'? choose from {', '.join(registry.names('emulators'))}"
        in unknown.stderr
    )
