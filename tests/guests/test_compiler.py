import ctypes
import sys

import pytest

from toolchain.errors import DependencyError, ToolchainError
from toolchain.guests import compiler

pytestmark = pytest.mark.usefixtures("compiled_once")
SHARED = ["-shared", "-fPIC", "one.c"]


def test_a_library_is_built_once(monkeypatch):
    source = {"one.c": b"int one(void) { return 1; }"}
    built = compiler.build(SHARED, source, "one.so")
    assert ctypes.CDLL(str(built)).one() == 1
    monkeypatch.setattr(compiler.subprocess, "run", None)  # nothing is compiled again
    assert compiler.build(SHARED, source, "one.so") == built


def test_other_content_is_built_anew():
    first, second = (compiler.build(SHARED, {"one.c": f"int one(void) {{ return {n}; }}".encode()}, "one.so") for n in (2, 3))
    assert [ctypes.CDLL(str(path)).one() for path in (first, second)] == [2, 3]


def test_the_compilers_complaint_is_passed_on():
    with pytest.raises(ToolchainError, match=r"the C compiler failed: one.c:1:1: error: unknown type name 'in'"):
        compiler.build(SHARED, {"one.c": b"in one;"}, "one.so")


def test_a_missing_compiler_is_missed_with_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "ziglang", None)
    assert "pip install 'secateur[emulate]'" in compiler.missing()
    with pytest.raises(DependencyError, match="ziglang is not installed"):
        compiler.build(SHARED, {"one.c": b""}, "one.so")
