import numpy as np
import pytest
from cases import EVERY, joined
from graphs import Net, mismatches
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.usefixtures("compiled_once")


@pytest.mark.parametrize("kind", EVERY)
def test_an_operator_answers_as_the_reference_kernel(kind):
    @settings(
        deadline=None, max_examples=6, suppress_health_check=list(HealthCheck), phases=[Phase.generate], database=None, derandomize=True
    )
    @given(st.lists(EVERY[kind], min_size=8, max_size=16))
    def check(cases):
        assert mismatches(joined(cases)) == {}

    check()


def test_a_products_factor_is_a_float32():
    """In double precision it is not 1/128, and sums of 64, 192, ... would not be ties."""
    net = Net()
    a, b = net.input((1, 16, 16, 16), 0.32033678889274597), net.input((1, 16, 16, 16), 0.4772097170352936)
    net.operator("MUL", [a, b], net.output((1, 16, 16, 16), np.float32(0.32033678889274597) * np.float32(0.4772097170352936) * 128), "Mul")
    assert mismatches(net) == {}


@pytest.mark.parametrize(("x_scale", "ratio"), [(2.0**-10, 2.0**13), (0.1, 2.0**13), (0.1, 4_100_003.7)])
def test_sums_near_ties_are_rounded_as_in_double_precision(x_scale, ratio):
    """Biases make every output a sum close to a half of the output's scale, or exactly there; 31 bits of the factor are too few."""
    scale, outputs = 0.0117, 4000
    product = float(np.float32(x_scale)) * float(np.float32(scale))
    y_scale = float(np.float32(product) * np.float32(ratio))
    halves = np.random.default_rng(0).integers(-120, 120, outputs) + 0.5
    net = Net()
    x = net.input((1, 2), x_scale)
    weights = net.constant(np.zeros((outputs, 2)), np.int8, scale=scale)
    bias = net.constant(np.rint(halves * y_scale / product).astype(np.int32))
    net.operator("FULLY_CONNECTED", [x, weights, bias], net.output((1, outputs), y_scale), "FullyConnected", 4)
    assert mismatches(net, 1) == {}
