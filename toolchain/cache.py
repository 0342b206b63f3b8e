"""Finished steps, by the digest of all that went into them. A step is there whole or not at all.

The key is the chain of inputs: the first file's digest, every step's settings, the seed, the versions of the frameworks
and the toolchain's own source. Output bytes are no part of it: saving one model twice gives different files.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import platformdirs

from toolchain.errors import StorageError
from toolchain.files import SCRATCH, digest, storage_errors, written

FRAMEWORKS = (
    "tensorflow", "tf-keras", "keras", "tensorflow-model-optimization", "tf2onnx", "onnx", "onnxruntime", "ai-edge-litert",
    "litert-quantizer", "tflite-micro", "ziglang", "unicorn", "ethos-u-vela", "numpy",
)  # fmt: skip


T = TypeVar("T")


class Cache:
    """A folder of finished steps; `$SECATEUR_CACHE`, or the user's cache folder."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or Path(os.environ.get("SECATEUR_CACHE") or platformdirs.user_cache_path("secateur"))

    @property
    def tools(self) -> Path:
        """Where compilers and emulators keep what they need again."""
        return self.root / "tools"

    def folder(self, key: str) -> Path:
        """Where the step with this key lies or would lie."""
        return self.root / key[:2] / key

    def load(self, key: str, kind: type[T]) -> T | None:
        """The result of a finished step; None when there is none, or when it was damaged."""
        try:
            with storage_errors():
                return msgspec.json.decode((self.folder(key) / "result.json").read_bytes(), type=kind, dec_hook=_path)
        except (FileNotFoundError, msgspec.DecodeError, ValueError, RecursionError):
            return None

    def make(self, key: str, work: Callable[[Path], T]) -> T:
        """Run `work` on an empty folder and keep the folder with its result. Raises StorageError, and what `work` raises."""
        with written(self.folder(key)) as scratch:
            scratch.mkdir()
            result = work(scratch)
            (scratch / "result.json").write_bytes(msgspec.json.encode(result, enc_hook=str))
        return result

    def size_bytes(self) -> int:
        """Bytes on disk; a run beside this may add and remove files meanwhile."""
        total = 0
        for path in self.root.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                facts = path.lstat()
                total += facts.st_size if stat.S_ISREG(facts.st_mode) else 0
        return total

    def clear(self) -> None:
        """Remove every finished step. Raises StorageError where that cannot be."""
        with storage_errors(self.root), contextlib.suppress(FileNotFoundError):
            if not all(len(item.name) == 2 or item == self.tools or item.name.startswith(SCRATCH) for item in self.root.iterdir()):
                raise StorageError(f"{self.root} holds files that are not the cache's; remove it by hand")
            shutil.rmtree(self.root)


def key(*parts: Any) -> str:
    """A digest of everything that decides a result."""
    return hashlib.sha256(msgspec.json.encode((versions(), parts), order="deterministic", enc_hook=str)).hexdigest()


@functools.cache
def versions() -> dict[str, str]:
    """Installed versions of what computes, and the digests of the toolchain's source and of what it knows about devices."""
    source = Path(__file__).parent
    found = {"toolchain": digest(source, "*.py"), "targets": digest(source.parent / "targets", "*.[jcht]*")}
    for name in FRAMEWORKS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _path(kind: type[Any], value: Any) -> Any:
    return kind(value)
