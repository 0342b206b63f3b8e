"""What a firmware engineer's compilers and sanitizers say about every kernel."""

import shutil
import subprocess
import sys

import pytest
from cases import EVERY, joined
from graphs import packaged
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from toolchain.c_source.host import WARNINGS

ARM = "arm-none-eabi-gcc"
ZIG = [sys.executable, "-m", "ziglang", "cc"]
COMPILERS = {
    "cc": ["cc"],
    "gcc-m4": [ARM, "-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"],
    "gcc-m55": [ARM, "-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard"],
    "gcc-m0": [ARM, "-mcpu=cortex-m0plus", "-mthumb"],
    "clang": ZIG,
    "clang-m4": [*ZIG, "-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m4"],
    "clang-m55": [*ZIG, "-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m55+mve_fp+dsp"],
}

RUN = """
#include <stdlib.h>
#include <string.h>
#include "net.h"
int main(void) {{
  for (int round = 0; round < 20; ++round) {{
{allocate}
    net_run({arguments});
{release}
  }}
  return 0;
}}
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """Every kind of operator, six times each, with random settings; hypothesis draws the smallest first, so the last is taken."""
    folder = tmp_path_factory.mktemp("package")
    found = []

    @seed(7)
    @settings(deadline=None, max_examples=4, suppress_health_check=list(HealthCheck), phases=[Phase.generate], database=None)
    @given(st.tuples(*[st.lists(kind, min_size=6, max_size=6) for kind in EVERY.values()]))
    def draw(drawn):
        found[:] = [case for kind in drawn for case in kind]

    draw()
    made = packaged(joined(found), str(folder))
    made.write(folder)
    return made, folder


@pytest.mark.parametrize("name", COMPILERS)
def test_it_compiles_without_a_warning(name, package):
    made, folder = package
    compiler = COMPILERS[name]
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"{compiler[0]} is not installed")
    for source in ("net.c", *made.kernels):
        command = [*compiler, "-O2", *WARNINGS, "-c", source, "-o", f"{source}.{name}.o"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[:2000]


def test_sanitizers_find_nothing_at_any_address(package):
    """Inputs and outputs in blocks of their own, int8 ones at odd addresses, so that a byte too far is seen."""
    compiler = next((name for name in ("clang", "gcc") if shutil.which(name) and _sanitizes(name)), None)
    if compiler is None:
        pytest.skip("no clang or gcc with sanitizers; run: apt-get install gcc")
    made, folder = package
    allocate, release, arguments = [], [], []
    for index, port in enumerate(made.ports):
        odd = 1 if port.type != "float" else 4
        size = f"{port.macro}_SIZE * sizeof({port.type})"
        allocate.append(f"    char *p{index} = malloc({size} + {odd});")
        if not port.is_output:
            fill = f"    for (unsigned i = 0; i < {size}; ++i) p{index}[{odd} + i] = (char)rand();"
            allocate.append(fill if port.type != "float" else f"    memset(p{index} + {odd}, round, {size});")
        release.append(f"    free(p{index});")
        arguments.append(f"({'' if port.is_output else 'const '}{port.type} *)(void *)(p{index} + {odd})")
    text = RUN.format(allocate="\n".join(allocate), release="\n".join(release), arguments=", ".join(arguments))
    (folder / "run.c").write_text(text)
    flags = ["-O1", "-g", "-std=c99", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    subprocess.run([compiler, *flags, "run.c", "net.c", *made.kernels, "-o", "run"], cwd=folder, check=True)
    done = subprocess.run(["./run"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]


def _sanitizes(compiler: str) -> bool:
    program = ["-fsanitize=address,undefined", "-x", "c", "-", "-o", "/dev/null"]
    return subprocess.run([compiler, *program], input=b"int main(void){return 0;}", capture_output=True, check=False).returncode == 0


def test_the_example_agrees_with_the_reference_on_the_users_own_compiler(package):
    if shutil.which("make") is None or shutil.which("cc") is None:
        pytest.skip("no make or cc")
    done = subprocess.run(["make", "test"], cwd=package[1], capture_output=True, text=True, check=False)
    assert "\n0 values differ\n" in done.stdout, done.stdout + done.stderr[:1000]
