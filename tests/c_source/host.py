"""Compiles a generated package for this machine and runs it: every operator's answer, for comparison."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import numpy as np

from toolchain.c_source.package import Package
from toolchain.c_source.program import compile_file
from toolchain.runners.litert_layers import Layers
from toolchain.tflite_file import DTYPES

WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror"]
PROBE = """
#include <string.h>
unsigned char kept[{bytes}];
static unsigned at;
void restart(void) {{ at = 0; }}
void probe(const void *values, unsigned bytes) {{ memcpy(kept + at, values, bytes); at += bytes; }}
"""


class Built:
    """One package as a shared library."""

    def __init__(self, file: Path, folder: Path, flags: tuple[str, ...] = ("-O2",)) -> None:
        self.file, self.program = file, compile_file(file)
        package = Package(self.program, "net")
        package.write(folder)
        self._sizes = [(step.index, step.operator, self.program.tensors[step.operator.outputs[0]]) for step in self.program.steps]
        total = sum(t.elements * DTYPES[t.dtype]().itemsize for _, _, t in self._sizes) + 8
        (folder / "probe.c").write_text(PROBE.format(bytes=total))
        (folder / "probe.h").write_text(
            "void probe(const void *values, unsigned bytes);\n#define SCT_LAYER_DONE(index, values, bytes) probe(values, bytes)\n"
        )
        sources = [str(folder / name) for name in ("net.c", *package.kernels)]
        compiler = [sys.executable, "-m", "ziglang", "cc", "-shared", "-fPIC", *flags]
        subprocess.run(
            [*compiler, *WARNINGS, "-include", str(folder / "probe.h"), *sources, str(folder / "probe.c"), "-o", str(folder / "net.so")],
            check=True,
        )
        self._library = ctypes.CDLL(str(folder / "net.so"))
        self._kept = (ctypes.c_ubyte * total).in_dll(self._library, "kept")

    def run(self, row: list[np.ndarray]) -> list[np.ndarray]:
        """The answer of every step."""
        outputs = [np.empty(t.shape, DTYPES[t.dtype]) for t in self.program.outputs]
        self._library.restart()
        self._library.net_run(*(x.ctypes.data_as(ctypes.c_void_p) for x in (*map(np.ascontiguousarray, row), *outputs)))
        found, at, raw = [], 0, bytes(self._kept)
        for _, _, tensor in self._sizes:
            dtype = np.dtype(DTYPES[tensor.dtype])
            found.append(np.frombuffer(raw, dtype, tensor.elements, at).reshape(tensor.shape))
            at += tensor.elements * dtype.itemsize
        return found


def differing(file: Path, folder: Path, rows: list[list[np.ndarray]], flags: tuple[str, ...] = ("-O2",)) -> dict[str, int]:
    """How many values of each operator differ from LiteRT's reference kernels, where any do."""
    built, layers = Built(file, folder, flags), Layers(file)
    found: dict[str, int] = {}
    for row in rows:
        layers.run(row)
        for (index, op, tensor), answer in zip(built._sizes, built.run(row), strict=True):
            if count := int((answer != layers.tensor(tensor.index)).sum()):
                found[f"{index} {op.name}"] = found.get(f"{index} {op.name}", 0) + count
    return found


def random_rows(file: Path, count: int, seed: int = 0) -> list[list[np.ndarray]]:
    """Inputs over the whole range of their type."""
    rng, program = np.random.default_rng(seed), compile_file(file)

    def values(t):
        if t.dtype == "FLOAT32":
            return rng.uniform(-2, 2, t.shape).astype(np.float32)
        limits = np.iinfo(DTYPES[t.dtype])
        return rng.integers(limits.min, limits.max + 1, t.shape).astype(DTYPES[t.dtype])

    return [[values(t) for t in program.inputs] for _ in range(count)]
