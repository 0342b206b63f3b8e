import re
import subprocess

import numpy as np
import pytest

from toolchain.guests.compiler import build
from toolchain.release.golden_header import header
from toolchain.release.manifest import Golden, TensorFacts

KINDS = {
    "int8": np.array([[-128, 127, 0]], np.int8),
    "uint8": np.array([[0, 255]], np.uint8),
    "int64": np.array([[-(2**63), 2**63 - 1, -1]], np.int64),
    "float32": np.array([[0.1, -3.4028235e38, 1e-45, np.inf, -np.inf, 1.0]], np.float32),
    "bool": np.array([[True, False]]),
}


MAIN = b"""#include <stdio.h>
#include "golden.h"
int main(void) { fwrite(golden_m_output, 1, sizeof golden_m_output, stdout); return 0; }
"""


@pytest.mark.parametrize("dtype", KINDS)
def test_a_compiler_reads_back_the_values(dtype, compiled_once):
    pytest.importorskip("ziglang")
    array = KINDS[dtype]
    tensor = TensorFacts("*/ int x; /*", (1, array.shape[1]), dtype)
    golden = Golden(("i",), ("o",), 1, "litert 2.3.0 */", 2.0, 3.0, "kernels */ differ", 1, 1)
    made = header("m", golden, [tensor], [tensor], ([array], [array]))
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-Wno-unused-const-variable", "main.c"]
    program = build(flags, {"main.c": MAIN, "golden.h": made}, "main")
    assert subprocess.run([program], check=True, capture_output=True).stdout == array.tobytes()
    assert re.search(rb"GOLDEN_M_TOLERANCE 2(\.0f)?\n", made)
    assert re.search(rb"GOLDEN_M_TOLERANCE_OTHER_KERNELS 3(\.0f)?\n", made)


def test_a_large_input_is_shown_in_part_and_half_floats_not_at_all():
    array = np.zeros((8, 40_000), np.int8)
    tensor, golden = TensorFacts("x", (1, 40_000), "int8"), Golden(("i",), ("o",), 8, "litert", 1.0, 1.0, "", 1, 1)
    made = header("m", golden, [tensor], [tensor], ([array], [array])).decode()
    assert "GOLDEN_M_EXAMPLES 2\n" in made
    assert "2 of 8 examples; the others stand in the .npy files" in made
    half = TensorFacts("x", (1, 2), "float16")
    assert header("m", golden, [half], [half], ([array], [array])) is None
