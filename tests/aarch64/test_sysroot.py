import shutil

import pytest

from toolchain.aarch64 import cores, debian, sysroot
from toolchain.cache import Cache
from toolchain.errors import DependencyError, TargetError
from toolchain.worker import silent


def test_the_name_of_the_sysroot_follows_the_versions(monkeypatch):
    before = sysroot.here().folder
    assert before.parent == Cache().tools
    assert set(sysroot.versions()) >= {"ai-edge-litert", "numpy"}
    monkeypatch.setattr(sysroot, "versions", lambda: {"ai-edge-litert": "0.1"})
    assert sysroot.here().folder != before


def test_what_is_missing_names_its_command(monkeypatch, tmp_path):
    (tmp_path / "qemu-aarch64").symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert sysroot.missing().endswith("run: secateur targets --install aarch64")
    sysroot.here().folder.mkdir(parents=True)
    assert sysroot.missing() is None
    (tmp_path / "qemu-aarch64").unlink()
    assert sysroot.missing().endswith("run: apt-get install qemu-user")
    with pytest.raises(DependencyError, match="apt-get install qemu-user"):
        sysroot.install(silent)


@pytest.mark.skipif(not shutil.which("apt-get"), reason="apt-get is not here")
def test_without_package_sources_nothing_is_installed_and_the_reason_is_told(monkeypatch, tmp_path):
    (tmp_path / "sources").mkdir()
    (tmp_path / "empty.conf").write_text(f'Dir::Etc::sourcelist "/dev/null"; Dir::Etc::sourceparts "{tmp_path}/sources";')
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "empty.conf"))
    (tmp_path / "work").mkdir()
    with pytest.raises(TargetError, match="Unable to locate package libstdc.*do the package sources of this system offer arm64"):
        debian.unpack(["libstdc++6"], "arm64", tmp_path / "root", tmp_path / "work", silent)
    assert not (tmp_path / "root").exists()


@pytest.mark.skipif(not shutil.which("apt-get"), reason="apt-get is not here")
def test_the_hooks_of_the_system_are_not_run(monkeypatch, tmp_path):
    (tmp_path / "sources").mkdir()
    (tmp_path / "hook.conf").write_text(
        f'Dir::Etc::sourcelist "/dev/null"; Dir::Etc::sourceparts "{tmp_path}/sources";'
        f'APT::Update::Post-Invoke {{ "touch {tmp_path}/hook"; }};'
    )
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "hook.conf"))
    (tmp_path / "work").mkdir()
    with pytest.raises(TargetError):
        debian.unpack(["libstdc++6"], "arm64", tmp_path / "root", tmp_path / "work", silent)
    assert not (tmp_path / "hook").exists()


def test_a_system_without_apt_is_told_where_the_packages_come_from(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TargetError, match="apt-get is not here: the arm64 packages come from Debian"):
        debian.unpack(["libc6"], "arm64", tmp_path / "root", tmp_path / "work", silent)


def test_a_failed_call_tells_its_first_complaint():
    assert debian.called(["sh", "-c", "echo notice >&2"]) == "notice"
    with pytest.raises(TargetError, match=r"^sh failed: E: no such thing$"):
        debian.called(["sh", "-c", "echo W: old >&2; echo E: no such thing >&2; exit 1"])


def test_an_installation_that_fails_leaves_nothing(monkeypatch, tmp_path):
    (tmp_path / "qemu-aarch64").symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(tmp_path))  # no apt-get
    with pytest.raises(TargetError, match="apt-get is not here"):
        sysroot.install(silent)
    assert not list(Cache().tools.iterdir())


@pytest.mark.parametrize(("core", "part"), [("cortex-a53", "0xd03"), ("cortex-a72", "0xd08"), ("cortex-a76", "0xd0b")])
def test_a_core_describes_itself(core, part, tmp_path):
    cores.describe(core, tmp_path)
    lines = dict(line.split("\t: ") for line in (tmp_path / "proc/cpuinfo").read_text().splitlines() if line)
    assert (lines["CPU implementer"], lines["CPU part"]) == ("0x41", part)
    assert ("asimddp" in lines["Features"]) == (core == "cortex-a76")
    assert (tmp_path / "sys/devices/system/cpu/possible").read_text() == "0\n"
