import re
from pathlib import Path

import msgspec
import pytest

from toolchain import engine, target
from toolchain.device import FEATURES, Cpu, Memory, Npu, Runtime, Speed
from toolchain.emulators.tflm import Tflm
from toolchain.errors import TargetError

ASKED_FOR = """pico nucleo_l4r5zi nucleo_f446re nrf52840 psoc62 stm32f746 stm32f769 stm32h743 stm32h747 stm32h7a3 imxrt1060
nucleo_u575zi b_u585i nrf5340 rp2350 ra6m4 mps3_an547 alif_e7 ra8d1 esp32 esp32_s3 esp32_c3 rpi_3b_plus rpi_4b rpi_5
rpi_zero_2w pixel_3 pixel_4 pixel_6 pixel_8 rk3566 rk3588 ethos_u55_128 ethos_u55_256 ethos_u65_256 ethos_u65_512
ethos_u85_256 imx93 stm32mp157f mcxn947""".split()


def test_the_catalogue_has_the_devices_it_promises():
    assert set(ASKED_FOR) <= set(target.names())


@pytest.mark.parametrize("name", target.names())
def test_every_target_that_ships_is_whole(name):
    found = target.load(name)
    assert found.name == name
    assert {"cpu.core", "cpu.clock_hz", "cpu.isa", "runtime.engine", "runtime.dtypes"} <= set(found.sources)
    assert found.device.runtime.engine in engine.names()
    memory = found.device.memory
    assert memory.sram_bytes or memory.external_ram_bytes
    assert (memory.contiguous_sram_bytes or 0) <= (memory.sram_bytes or 0)
    assert memory.reserved_flash_bytes < (memory.flash_bytes or 1)
    assert memory.reserved_sram_bytes < (memory.sram_bytes or 1)


@pytest.mark.parametrize("name", target.names())
def test_emulators_fit_the_device_and_come_in_one_order(name):
    order = ("tflm", "cortex_m", "corstone", "aarch64", "ethos_u", "latency_model")
    found = target.load(name)
    kinds = [str(emulator.__struct_config__.tag) for emulator in found.emulators]
    assert kinds == sorted(kinds, key=order.index)
    core, npu = found.device.cpu.core, found.device.npu
    assert ("tflm" in kinds) == (found.device.runtime.engine == "tflm")
    assert "corstone" not in kinds or core == "cortex-m55"
    assert "cortex_m" not in kinds or core.startswith("cortex-m")
    for emulator in found.emulators:
        if emulator.__struct_config__.tag == "ethos_u":
            assert npu is not None
            assert emulator.accelerator == npu.kind
        if emulator.__struct_config__.tag == "aarch64" and name != "pixel_6":  # emulated as the second of its three kinds of cores
            assert emulator.cpu == core


@pytest.mark.parametrize("name", ["nucleo-l4r5zi", "NUCLEO-L4R5ZI", "Nucleo_L4R5ZI"])
def test_a_name_as_the_board_writes_it(name):
    assert target.load(name).name == "nucleo_l4r5zi"


def test_a_target_from_anywhere(tmp_path):
    text = target.path_of("stm32f746").read_text()
    (tmp_path / "mine.toml").write_text(text)
    assert target.load(str(tmp_path / "mine.toml")).emulators[0] == Tflm()


def test_a_target_can_say_what_layers_cost(tmp_path):
    text = target.path_of("stm32f746").read_text().replace("[sources]", '[sources]\nspeed = "fitted"')
    (tmp_path / "mine.toml").write_text(text + "\n[speed]\nchannel_step = 4\nmacs_per_s = 1e8\n")
    found = target.load(str(tmp_path / "mine.toml"))
    assert found.speed == Speed(4, 1e8, 0.0)
    assert found.sources["speed.macs_per_s"] == "fitted"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('engine = "tflm"', 'engine = "tflmm"', "runtime.engine = 'tflmm': choose from tflm, litert"),
        ("sram_bytes = 327_680", "sram = 327_680", "memory: no key 'sram'; choose from sram_bytes, contiguous_sram_bytes"),
        ("sram_bytes = 327_680", "sram_bytes = 0", "memory.sram_bytes = 0: Expected `int` >= 1"),
        ('kind = "tflm"', 'kind = "tflam"', r"emulator\[0\].kind = 'tflam': no such name in emulators; did you mean 'tflm'\?"),
        ('features = ["dsp"', 'features = ["dps"', r"cpu: no 'dps' in features; did you mean 'dsp'\?"),
        ("schema = 1", "schema = 2", "schema = 2: choose from 1"),
        ("[cpu]", "[cpu", "mine.toml"),
        ("clock_hz = 216_000_000", "clock_hz = 216_000_000\nl3_bytes = 8", None),
        ('"memory.reserved_flash_bytes" =', '"memory.reserved_flash" =', "there is no fact 'memory.reserved_flash'"),
        ("[runtime]", '[npu]\nkind = "ethos-u55-32"\n[runtime]', r"mine.toml: npu.kind has no source"),
        ("\nmemory =", '\n"memory.flash_bytes" =', r"mine.toml: memory.sram_bytes has no source; add it to \[sources\]"),
    ],
)
def test_a_wrong_target_is_refused(tmp_path, old, new, message):
    text = target.path_of("stm32f746").read_text()
    assert old in text
    (tmp_path / "mine.toml").write_text(text.replace(old, new, 1))
    if message is None:  # a further fact of a table that has a source
        assert target.load(str(tmp_path / "mine.toml")).sources["cpu.l3_bytes"]
        return
    with pytest.raises(TargetError, match=message):
        target.load(str(tmp_path / "mine.toml"))


def test_an_unknown_target_is_refused_with_the_nearest():
    with pytest.raises(TargetError, match=r"no target 'nrf-52480'; did you mean 'nrf52840'\? see: secateur targets"):
        target.load("nrf-52480")


def test_the_example_of_the_documentation_loads(tmp_path):
    page = (Path(__file__).parent.parent / "docs" / "targets.md").read_text()
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "mine.toml").write_text(example)
    found = target.load(str(tmp_path / "mine.toml"))
    assert found.sources["memory.sram_bytes"] == "ST's data sheet of the STM32L4R5"
    fields = {field.name for table in (Cpu, Memory, Runtime, Npu, Speed) for field in msgspec.structs.fields(table)}
    assert {name for name in fields | set(FEATURES) if f"`{name}`" not in page} == set()
