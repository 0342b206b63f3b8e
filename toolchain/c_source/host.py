"""A package compiled for this machine and executed in this process: every operator's answer, without an emulator."""

from __future__ import annotations

import ctypes
import tempfile
from pathlib import Path

import numpy as np

from toolchain.c_source.package import Package
from toolchain.c_source.program import nbytes
from toolchain.data import Array
from toolchain.guests import compiler
from toolchain.tflite_file import DTYPES

WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror")
"""What a package compiles with, everywhere."""

PROBE = """
#include <string.h>
unsigned char sct_kept[{bytes}];
static unsigned place;
void sct_restart(void) {{ place = 0; }}
void sct_probe(const void *values, unsigned bytes) {{ memcpy(sct_kept + place, values, bytes); place += bytes; }}
"""
HEADER = "void sct_probe(const void *values, unsigned bytes);\n#define SCT_LAYER_DONE(index, values, bytes) sct_probe(values, bytes)\n"


class Host:
    """One package as a shared library. Run it in a child process: what it does is what the file says."""

    def __init__(self, package: Package) -> None:
        """Raises DependencyError without a compiler, ToolchainError where the package does not compile without a warning."""
        self._program, self._name = package.program, package.name
        self._tensors = [self._program.tensors[step.operator.outputs[0]] for step in self._program.steps]
        with tempfile.TemporaryDirectory() as scratch:
            package.write(Path(scratch))
            kept = (f"{package.name}.c", *package.kernels)
            files = {path.name: path.read_bytes() for path in Path(scratch).iterdir() if path.suffix == ".h" or path.name in kept}
        self._bytes = sum(map(nbytes, self._tensors))
        files |= {"sct_probe.c": PROBE.format(bytes=self._bytes).encode(), "sct_probe.h": HEADER.encode()}
        arguments = ["-O2", "-shared", "-fPIC", *WARNINGS, "-include", "sct_probe.h", *kept, "sct_probe.c"]
        self._library = ctypes.CDLL(str(compiler.build(arguments, files, "package.so")))

    def run(self, row: list[Array]) -> tuple[Array, ...]:
        """The answer of every step to inputs as stored."""
        outputs = [np.empty(tensor.shape, DTYPES[tensor.dtype]) for tensor in self._program.outputs]
        values = [*map(np.ascontiguousarray, row), *outputs]
        self._library.sct_restart()
        self._library[f"{self._name}_run"](*(x.ctypes.data_as(ctypes.c_void_p) for x in values))
        raw, place, found = bytes((ctypes.c_ubyte * self._bytes).in_dll(self._library, "sct_kept")), 0, []
        for tensor in self._tensors:
            found.append(np.frombuffer(raw, DTYPES[tensor.dtype], tensor.elements, place).reshape(tensor.shape))
            place += nbytes(tensor)
        return tuple(found)
