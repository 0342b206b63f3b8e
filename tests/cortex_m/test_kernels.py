"""Every operator on emulated cores: the DSP extension's kernels, Helium's, and plain C, on odd shapes that networks rarely have."""

import shutil
import tempfile

import pytest
from c_source.cases import EVERY, joined
from c_source.graphs import packaged
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from toolchain.c_source.reference import differing, random_rows
from toolchain.cortex_m.cores import CORES
from toolchain.cortex_m.execution import execute
from toolchain.cortex_m.image import build

pytestmark = pytest.mark.usefixtures("compiled_once")
MIXED = st.tuples(*[st.lists(kind, min_size=2, max_size=2) for kind in EVERY.values()], st.lists(EVERY["conv"], min_size=6, max_size=6))


def agrees(core: str, graphs: int) -> None:
    """Random graphs with every kind of operator twice, and convolutions of every remainder, layer by layer.

    The first graph that hypothesis draws has one element everywhere.
    """
    machine = "unicorn" if CORES[core].unicorn else "qemu"
    if machine == "qemu" and shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not installed; run: apt-get install qemu-system-arm")

    @settings(
        deadline=None,
        max_examples=1 + graphs,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
        database=None,
        derandomize=True,
    )
    @given(MIXED)
    def check(drawn):
        with tempfile.TemporaryDirectory() as folder:
            package = packaged(joined(case for kind in drawn for case in kind), folder)
            rows = random_rows(package.program, 2)
            found = execute(package.program, build(package, CORES[core]), rows, 2, machine)
            assert differing(package.program, rows, found.layers) == {}

    check()


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m55"])
def test_every_operator_on_a_core(core):
    agrees(core, 1)


@pytest.mark.prove
@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55"])
def test_many_graphs_on_every_core(core):
    agrees(core, 5)
