"""A child process for everything that may crash, hang, or take gigabytes: frameworks, converters, interpreters.

The parent never imports them. One child serves many calls, so TensorFlow's import is paid once; what the child prints
goes to a log whose tail explains a crash. Messages are msgpack, not pickle: a child that read a hostile model cannot
make the parent run code.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from types import TracebackType
from typing import Any, get_type_hints

import msgspec

from toolchain import errors
from toolchain.files import storage_errors

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is (0: unknown)."""


def silent(what: str, done: int, total: int) -> None:
    """Report progress to nobody."""


def _decode(value: Any, kind: type[Any]) -> Any:
    def paths(wanted: type[Any], found: Any) -> Any:
        if wanted is not Path:
            raise NotImplementedError(wanted)
        return Path(found)

    return msgspec.convert(value, kind, dec_hook=paths)


class Worker:
    """Runs functions by name in a child process: `worker.call("toolchain.jobs:run_stage", job)`."""

    def __init__(self, progress: Progress = silent) -> None:
        self._progress = progress
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None) -> None:
        self._stop()

    def call(self, function: str, argument: Any, returns: type[Any], what: str, limit_s: float | None = None) -> Any:
        """Call `module:name` with one msgspec value; `what` names the work in messages.

        Raises the child's ToolchainError; ModelError when it died or ran longer than `limit_s` seconds; RuntimeError
        with the child's traceback for a bug.
        """
        if self._child is None or self._child.poll() is not None:
            self._start()
        self._pipe.send_bytes(msgspec.msgpack.encode((function, msgspec.to_builtins(argument, enc_hook=str))))
        deadline = None if limit_s is None else time.monotonic() + limit_s
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and (left <= 0 or not self._pipe.poll(left)):
                self._stop()
                raise errors.ModelError(f"{what}: stopped after the limit of {limit_s:.0f} s; raise it with --time-limit")
            try:
                kind, *body = msgspec.msgpack.decode(self._pipe.recv_bytes())
            except (EOFError, OSError):
                raise errors.ModelError(f"{what}: {self._death()}") from None
            if kind == "progress":
                self._progress(*body)
            elif kind == "result":
                return _decode(body[0], returns)
            elif kind == "error":
                raise getattr(errors, body[0])(body[1])
            else:
                raise RuntimeError(f"{what} failed in its process:\n{body[0]}")

    def _start(self) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed by _stop)
        self._pipe, theirs = Pipe()
        lifeline, self._lifeline = os.pipe()
        environment = {
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "TF_ENABLE_ONEDNN_OPTS": "1",  # TensorFlow leaves it off on CPUs without AVX-512, where it trains twice as fast, too
            "CUDA_VISIBLE_DEVICES": "-1",
            "KERAS_BACKEND": "tensorflow",
        }
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", "toolchain.worker", str(theirs.fileno()), str(lifeline)],  # -P: no modules from this folder
            pass_fds=[theirs.fileno(), lifeline],
            process_group=0,  # what the child starts ends with it
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env=environment | dict(os.environ),
        )
        theirs.close()
        os.close(lifeline)

    def _stop(self) -> None:
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()
            self._pipe.close()
            os.close(self._lifeline)
            self._log.close()
            self._child = None

    def _death(self) -> str:
        """Why the child is gone, with the last lines it printed."""
        assert self._child is not None
        code = self._child.wait()
        self._log.seek(0)
        tail = self._log.read().decode(errors="replace").strip().splitlines()[-3:]
        self._stop()
        cause = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        return f"the process crashed ({cause}); its last words: {' | '.join(tail) or 'none'}"


def _serve(pipe: Connection) -> None:
    def progress(what: str, done: int, total: int) -> None:
        pipe.send_bytes(msgspec.msgpack.encode(("progress", what, done, total)))

    while True:
        try:
            function, argument = msgspec.msgpack.decode(pipe.recv_bytes())
        except EOFError:
            return
        try:
            module, _, name = function.partition(":")
            with storage_errors():
                job = getattr(importlib.import_module(module), name)
                result = job(_decode(argument, next(iter(get_type_hints(job).values()))), progress)
            answer: tuple[Any, ...] = ("result", msgspec.to_builtins(result, enc_hook=str))
        except errors.ToolchainError as err:
            known = next(kind.__name__ for kind in type(err).__mro__ if hasattr(errors, kind.__name__))
            answer = ("error", known, str(err))
        except MemoryError:
            answer = ("error", "ModelError", "not enough memory")
        except Exception:
            answer = ("bug", traceback.format_exc())
        pipe.send_bytes(msgspec.msgpack.encode(answer))


def _die_with(lifeline: int) -> None:
    """End this process and all it started when the parent is gone, and with it the other end of `lifeline`.

    On Linux the kernel does it, whatever is being computed: native code that keeps Python's lock would keep a thread waiting.
    """
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC)
    os.read(lifeline, 1)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _bound_memory() -> None:
    """No more than this machine has; and where memory runs out, this process goes before any other of the user's."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (memory, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def main() -> None:
    """Serve the parent on the connection whose file descriptor is the first argument."""
    threading.Thread(target=_die_with, args=(int(sys.argv[2]),), daemon=True).start()
    _bound_memory()
    with contextlib.closing(Connection(int(sys.argv[1]))) as pipe:
        _serve(pipe)


if __name__ == "__main__":
    main()
