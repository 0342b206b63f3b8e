import pytest

from toolchain import target
from toolchain.device import Speed
from toolchain.emulators.tflm import Tflm
from toolchain.errors import TargetError


@pytest.mark.parametrize("name", target.names())
def test_every_target_that_ships_is_whole(name):
    found = target.load(name)
    assert found.name == name
    assert found.sources


def test_a_target_from_anywhere(tmp_path):
    text = target.path_of("stm32f746").read_text()
    (tmp_path / "mine.toml").write_text(text)
    assert target.load(str(tmp_path / "mine.toml")).emulators == (Tflm(),)


def test_a_target_can_say_what_layers_cost(tmp_path):
    text = target.path_of("stm32f746").read_text() + "[speed]\nchannel_step = 4\nmacs_per_s = 1e8\n"
    (tmp_path / "mine.toml").write_text(text)
    assert target.load(str(tmp_path / "mine.toml")).speed == Speed(4, 1e8, 0.0)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('engine = "tflm"', 'engine = "tflmm"', "runtime.engine = 'tflmm': choose from tflm, litert"),
        ("sram_bytes = 327_680", "sram = 327_680", "memory: no key 'sram'; choose from sram_bytes, flash_bytes"),
        ('kind = "tflm"', 'kind = "tflam"', r"emulator\[0\].kind = 'tflam': no such name in emulators; did you mean 'tflm'\?"),
        ("schema = 1", "schema = 2", "schema = 2: choose from 1"),
        ("[cpu]", "[cpu", "mine.toml"),
    ],
)
def test_a_wrong_target_is_refused(tmp_path, old, new, message):
    text = target.path_of("stm32f746").read_text()
    assert old in text
    (tmp_path / "mine.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(TargetError, match=message):
        target.load(str(tmp_path / "mine.toml"))


def test_an_unknown_target_is_refused_with_the_choices():
    with pytest.raises(TargetError, match=r"no target 'stm32f747'; did you mean 'stm32f746'\?"):
        target.load("stm32f747")
