import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from conftest import HERE
from worker_jobs import Pair

from toolchain.errors import DataError, ModelError
from toolchain.worker import Worker


@pytest.fixture
def worker(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    seen = []
    with Worker(lambda *what: seen.append(what)) as worker:
        worker.seen = seen
        yield worker


def test_values_cross_typed_and_progress_arrives(worker):
    found = worker.call("worker_jobs:echo", Pair(Path("/a"), (1, 2, 3)), Pair, "echo")
    assert found == Pair(Path("/a/seen"), (3, 2, 1))
    assert worker.seen == [("echo", 1, 2)]


def test_one_child_serves_many_calls(worker):
    assert len({worker.call("worker_jobs:process", "", int, "process") for _ in range(3)}) == 1


def test_a_crash_is_an_error_with_signal_and_last_words_and_the_next_call_works(worker):
    with pytest.raises(ModelError, match=r"convert: the process crashed \(SIGABRT\).*last words before the crash"):
        worker.call("worker_jobs:crash", "", str, "convert")
    assert worker.call("worker_jobs:process", "", int, "process") > 0


def test_a_hang_ends_at_the_limit(worker):
    begun = time.monotonic()
    with pytest.raises(ModelError, match=r"stopped after the limit of 1 s; raise it with --time-limit"):
        worker.call("worker_jobs:hang", "", str, "interpret", limit_s=1.0)
    assert time.monotonic() - begun < 30


def test_expected_errors_keep_their_class_and_bugs_their_traceback(worker):
    with pytest.raises(DataError, match="no labels"):
        worker.call("worker_jobs:refuse", "labels", str, "read")
    with pytest.raises(RuntimeError, match=r"(?s)worker_jobs.py.*ZeroDivisionError: by nothing"):
        worker.call("worker_jobs:bug", "by nothing", str, "read")


def test_the_child_dies_with_a_killed_parent(tmp_path):
    script = "import worker_jobs, sys\nfrom toolchain.worker import Worker\nw = Worker()\nprint(w.call('worker_jobs:process', '', int, 'p'), flush=True)\nw.call('worker_jobs:hang', '', str, 'h')"
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(HERE)})
    child = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    psutil.Process(child).wait(timeout=10) if psutil.pid_exists(child) else None
    assert not psutil.pid_exists(child)
