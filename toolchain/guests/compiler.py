"""The C compiler that comes from PyPI (ziglang: clang for every target), and what it built before."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from toolchain.cache import Cache
from toolchain.errors import DependencyError, ToolchainError
from toolchain.optional import require

LIMIT_S = 300.0
"""A first compilation for a target builds its runtime library, too."""


def build(arguments: Sequence[str], sources: Mapping[str, bytes], output: str) -> Path:
    """Compile and link `sources` (by file name) with `zig cc`; the result is kept by its content.

    `arguments` name the sources relative to their folder. Returns the path of `output`. Raises DependencyError without
    ziglang, ToolchainError with the compiler's first complaint.
    """
    require("ziglang", "emulate")
    store = Cache()
    identity = (importlib.metadata.version("ziglang"), arguments, sorted(sources.items()), output)
    key = hashlib.sha256(msgspec.msgpack.encode(identity)).hexdigest()

    def compile_in(folder: Path) -> str:
        for name, content in sources.items():
            (folder / name).write_bytes(content)
        zig_caches = {"ZIG_GLOBAL_CACHE_DIR": str(store.tools / "zig"), "ZIG_LOCAL_CACHE_DIR": str(store.tools / "zig")}
        command = [sys.executable, "-m", "ziglang", "cc", *arguments, "-o", output]
        try:
            done = subprocess.run(command, cwd=folder, env=os.environ | zig_caches, capture_output=True, timeout=LIMIT_S, check=False)
        except subprocess.TimeoutExpired:
            raise ToolchainError(f"the C compiler did not end within {LIMIT_S:.0f} s") from None
        if done.returncode:
            complaint = next((line for line in done.stderr.decode(errors="replace").splitlines() if "error" in line), "no message")
            raise ToolchainError(f"the C compiler failed: {complaint[:300]}")
        return output

    if store.load(key, str) is None:
        store.make(key, compile_in)
    return store.folder(key) / output


def missing() -> str | None:
    """The command that installs the compiler, where it is missing."""
    try:
        require("ziglang", "emulate")
    except DependencyError as err:
        return str(err)
    return None
