import math

import numpy as np
import pytest
from graphs import Net, packaged

from toolchain.c_source.host import Host
from toolchain.c_source.reference import differing
from toolchain.c_source.softmax import LONGEST, exponentials
from toolchain.errors import ModelError

pytestmark = pytest.mark.usefixtures("compiled_once")


def net_of(shape, scale: float, beta: float) -> Net:
    net = Net()
    net.operator("SOFTMAX", [net.input(shape, scale)], net.output(shape, 1 / 256, -128), "Softmax", beta=beta)
    return net


def test_exponentials_are_those_of_31_bits():
    found = exponentials(0.25)
    assert found[0] == 2**31 - 1
    assert all(abs(found[d] / 2**31 - math.exp(-d / 4)) < 1e-6 for d in range(125))
    assert not found[125:].any(), "beyond 31 the reference kernel counts nothing"


def test_a_share_near_a_half_is_rounded_as_by_the_reference_kernel(tmp_path):
    """exp(0) is 251.50024 of 256 parts here, and the fixed-point sum makes it 251: float arithmetic answers 252."""
    package = packaged(net_of((1, 4), 0.2514757812023163, 2.0), str(tmp_path))
    row = [np.array([[2, -95, -15, 10]], np.int8)]
    answers = Host(package).run(row)
    assert answers[0].ravel().tolist()[3] == 251 - 128
    assert differing(package.program, [row], [answers]) == {}


def test_rows_and_scales_beyond_the_kernel_are_refused(tmp_path):
    with pytest.raises(ModelError, match="SOFTMAX: 4096 values in a row; at most 4095"):
        packaged(net_of((1, LONGEST + 1), 0.1, 1.0), str(tmp_path))
    with pytest.raises(ModelError, match="SOFTMAX: inputs of scale"):  # LiteRT itself ends the process there
        packaged(net_of((1, 4), 1e-8, 1.0), str(tmp_path))


def test_a_long_row_of_equals_stays_within_the_kernel(tmp_path):
    """Of more than 511 equal values none is half a step; LiteRT's kernel asserts there, so it is no yardstick."""
    package = packaged(net_of((1, 511), 0.1, 1.0), str(tmp_path))
    row = [np.zeros((1, 511), np.int8)]
    assert differing(package.program, [row], [Host(package).run(row)]) == {}
