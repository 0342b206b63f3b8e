import sys

import pytest

from toolchain.errors import DependencyError, GuestError
from toolchain.guests.process import Guest, Limits, find, run

PYTHON = [sys.executable, "-c"]


def test_a_guest_runs_to_its_end_and_what_it_said_is_kept(tmp_path):
    done = run([*PYTHON, "import sys; print('answers'); print('words', file=sys.stderr)"], tmp_path)
    assert (done.output, done.errors) == ("answers\n", "words\n")


def test_a_guest_that_hangs_is_stopped(tmp_path):
    with pytest.raises(GuestError, match=r"the guest did not end within 0.5 s; its last words: going on"):
        run([*PYTHON, "import time; print('going on', flush=True); time.sleep(60)"], tmp_path, Limits(seconds=0.5))


def test_a_guest_that_takes_too_much_memory_is_stopped(tmp_path):
    with pytest.raises(GuestError, match="took more than 100,000,000 B of memory"):
        run([*PYTHON, "x = bytearray(10**9); import time; time.sleep(60)"], tmp_path, Limits(memory_bytes=100_000_000))


def test_a_crash_and_a_failure_have_their_reason(tmp_path):
    with pytest.raises(GuestError, match=r"crashed \(SIGSEGV\)"):
        run([*PYTHON, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"], tmp_path)
    with pytest.raises(GuestError, match="ended with exit status 3; its last words: no such board"):
        run([*PYTHON, "import sys; print('no such board'); sys.exit(3)"], tmp_path)


def test_a_guest_can_be_left_as_soon_as_something_holds(tmp_path):
    program = "import time; print('ready', flush=True); time.sleep(60)"
    with Guest([*PYTHON, program], tmp_path, Limits(seconds=20)) as guest:
        assert guest.wait(lambda: "ready" in guest.output) is None
    assert guest._process.poll() is not None, "leaving the block ends it"


def test_a_missing_emulator_is_missed_with_its_package(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(DependencyError, match=r"qemu-aarch64 is not installed; run: apt-get install qemu-user"):
        find("qemu-aarch64")
