import shutil

import msgspec
import pytest
from c_source.graphs import Net

from toolchain.c_source.package import Package
from toolchain.c_source.program import compile_file
from toolchain.c_source.reference import differing, random_rows
from toolchain.cortex_m import unicorn_machine
from toolchain.cortex_m.cores import CORES, core_of
from toolchain.cortex_m.execution import capacity, execute
from toolchain.cortex_m.image import build
from toolchain.errors import GuestError, TargetError

pytestmark = pytest.mark.usefixtures("compiled_once")
qemu = pytest.mark.skipif(
    shutil.which("qemu-system-arm") is None, reason="qemu-system-arm is not installed; run: apt-get install qemu-system-arm"
)


def moves(path):
    """1x64 -> the same 64 values: a loop that can be counted by hand."""
    net = Net()
    net.operator("RELU", [net.input((1, 64), 0.1)], net.output((1, 64), 0.1))
    return net.write(path / "net.tflite")


def run(file, core, machine, examples=3):
    program = compile_file(file)
    image = build(Package(program, "net"), core_of(core))
    rows = random_rows(program, examples)
    found = execute(program, image, rows, 2, machine)
    assert differing(program, rows, found.layers) == {}
    assert len(found.layers) == 2
    assert found.outputs[0].shape == (examples, *program.outputs[0].shape[1:])
    return program, image, found


def test_the_loop_of_a_table_is_counted(tmp_path):
    program, image, found = run(moves(tmp_path), "cortex-m4", "unicorn")
    mix = found.counts.mix(0)
    # each of 64 values is loaded as an index, looked up, and stored
    assert mix["ldrb"] >= 128
    assert mix["strb"] == 64
    assert sum(mix.values()) == found.counts.instructions(0) < 64 * 8 + 60
    assert found.stack_bytes < 200
    assert image.ram_bytes == 0, "input and output are the caller's"
    assert 256 < image.flash_bytes < 1000, "the table and a loop"
    assert len(found.counts.segments) == len(program.steps), "counting ends with the first example"


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m3", "cortex-m7", "cortex-m33"])
def test_cores_in_unicorn(core, tiny_int8):
    run(tiny_int8, core, "unicorn")


@qemu
@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m33", "cortex-m55", "cortex-m85"])
def test_cores_in_qemu(core, tiny_int8):
    program, _, found = run(tiny_int8, core, "qemu")
    if CORES[core].unicorn:
        other = run(tiny_int8, core, "unicorn")[2]
        for segment in range(len(program.steps)):
            assert found.counts.instructions(segment) == other.counts.instructions(segment), "two emulators, one count"
            assert found.counts.mix(segment) == other.counts.mix(segment)
        assert found.stack_bytes == other.stack_bytes
    else:
        assert any("vector" in found.counts.mix(segment) for segment in range(len(program.steps)))


def test_a_core_that_cannot_be_emulated_is_refused_with_the_choices():
    with pytest.raises(TargetError, match="xtensa-lx7 cannot be emulated; cores that can: cortex-m0, cortex-m0plus"):
        core_of("xtensa-lx7")


def test_how_many_examples_fit(tmp_path):
    program = compile_file(moves(tmp_path))
    image = build(Package(program, "net"), core_of("cortex-m4"))
    # 16 MiB without the plan (16), two traced layers (64 each) and the stack's size with room (64); 64 in and 64 out each
    assert capacity(program, image, 2) == ((16 << 20) - 16 - 2 * 64 - 64) // 128


def test_a_guest_that_faults_or_writes_too_little_is_a_guest_error(tmp_path, monkeypatch):
    program = compile_file(moves(tmp_path))
    image = build(Package(program, "net"), core_of("cortex-m4"))
    rows = random_rows(program, 1)
    lost = msgspec.structs.replace(
        image, core=msgspec.structs.replace(image.core, memory=msgspec.structs.replace(image.core.memory, ram=0x30000000))
    )
    with pytest.raises(GuestError, match="the core faulted at 0x"):
        execute(program, lost, rows, 1, "unicorn")
    monkeypatch.setattr(unicorn_machine, "execute", lambda *_: (b"\0" * 10, None))
    with pytest.raises(GuestError, match="the guest wrote fewer answers than the model has"):
        execute(program, image, rows, 1, "unicorn")


def test_a_guest_that_takes_too_long_is_stopped(tmp_path, monkeypatch):
    program = compile_file(moves(tmp_path))
    image = build(Package(program, "net"), core_of("cortex-m4"))
    monkeypatch.setattr(unicorn_machine, "LIMIT_S", 0.001)
    with pytest.raises(GuestError, match="the guest did not end within 0 s"):
        execute(program, image, random_rows(program, 1) * 20_000, 1, "unicorn")
