import sys

import pytest

from toolchain.corstone import firmware
from toolchain.errors import GuestError, TargetError
from toolchain.worker import silent


def test_what_is_missing_names_the_command():
    assert firmware.missing().endswith("run: secateur targets --install corstone")


def test_without_pyelftools_the_extra_is_named(monkeypatch):
    firmware.path().parent.mkdir(parents=True)
    firmware.path().write_bytes(b"there")
    assert firmware.missing() is None
    monkeypatch.setitem(sys.modules, "elftools", None)
    assert firmware.missing() == "elftools is not installed; run: pip install 'secateur[emulate]'"


def test_another_file_of_the_wheels_name_is_refused(tmp_path, monkeypatch):
    (tmp_path / "mlia_ethos_u-0.1.0-py3-none-any.whl").write_bytes(b"not what Arm published")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(TargetError, match=r"pip could not fetch mlia-ethos-u==0\.1\.0: ERROR: .*HASHES"):
        firmware.install(silent)
    assert not firmware.path().exists()


def test_without_a_network_the_reason_is_pips(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(TargetError, match="could not fetch.*ERROR"):
        firmware.install(silent)


def test_a_damaged_firmware_says_how_to_get_a_whole_one():
    firmware.path().parent.mkdir(parents=True)
    firmware.path().write_bytes(b"half")
    with pytest.raises(GuestError, match="is damaged .*; run: secateur targets --install corstone"):
        firmware.load()
