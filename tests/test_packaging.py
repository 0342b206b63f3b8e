import subprocess
import sys

import pytest

from toolchain import packaging
from toolchain.errors import ModelError, StorageError, TargetError

pytestmark = pytest.mark.usefixtures("compiled_once")


def test_a_package_is_compared_measured_and_described(tiny_int8, tmp_path):
    found = packaging.export(tiny_int8, tmp_path / "out", cores=["cortex-m4"])
    assert found.name == "tiny_int8"
    assert found.compared.startswith("LiteRT's reference kernels, every operator")
    assert found.unmeasured == ()
    (cost,) = found.costs
    assert (cost.core, cost.emulator) == ("cortex-m4", "unicorn")
    readme = (tmp_path / "out" / "README.md").read_text()
    for number in (cost.flash_bytes, cost.ram_bytes, cost.stack_bytes, cost.instructions):
        assert f"| {number:,} |" in readme
    done = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=tmp_path / "out", check=False)
    assert done.returncode == 0


def test_a_second_export_replaces_the_first_and_nothing_else(tiny_int8, tmp_path):
    packaging.export(tiny_int8, tmp_path / "out", cores=["cortex-m4"])
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    packaging.export(tiny_int8, tmp_path / "out", cores=["cortex-m4"])
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    (tmp_path / "out" / "tiny_int8.c").write_text("/* tuned by hand */")
    with pytest.raises(StorageError, match=r"tiny_int8\.c changed since the export wrote it"):
        packaging.export(tiny_int8, tmp_path / "out", cores=["cortex-m4"])


def test_what_could_not_be_measured_stands_in_the_readme(tiny_int8, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    job = packaging.Job(tiny_int8, tmp_path / "package", "net", ("cortex-m55",))
    found = packaging.package(job, lambda *_: None)
    reason = "not measured on cortex-m55: qemu-system-arm is not installed; run: apt-get install qemu-system-arm"
    assert found.unmeasured == (reason,)
    assert reason in (tmp_path / "package" / "README.md").read_text()
    monkeypatch.setitem(sys.modules, "ziglang", None)
    found = packaging.package(packaging.Job(tiny_int8, tmp_path / "other", "net", ()), lambda *_: None)
    assert found.compared is None
    assert "not compiled and not compared with the reference kernels: ziglang is not installed" in found.unmeasured[0]


def test_c_that_answers_otherwise_is_an_error(tiny_int8, tmp_path, monkeypatch):
    monkeypatch.setattr(packaging, "differing", lambda *_: {"operator 0, CONV_2D": 3})
    with pytest.raises(ModelError, match="the C answers otherwise than the reference kernels: .*CONV_2D"):
        packaging.package(packaging.Job(tiny_int8, tmp_path / "package", "net", ()), lambda *_: None)


def test_what_is_no_int8_tflite_or_no_core_is_refused_before_anything_is_written(tiny_int8, tiny_float, tmp_path):
    with pytest.raises(ModelError, match="this one computes in float32"):
        packaging.export(tiny_float, tmp_path / "out")
    with pytest.raises(TargetError, match="esp32 cannot be emulated"):
        packaging.export(tiny_int8, tmp_path / "out", cores=["esp32"])
    (tmp_path / "m.onnx").write_bytes(b"x")
    with pytest.raises(ModelError, match="C is generated from an int8 .tflite"):
        packaging.export(tmp_path / "m.onnx", tmp_path / "out")
    assert not (tmp_path / "out").exists()
