import pytest
from cases import EVERY, joined
from graphs import mismatches
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.usefixtures("compiled_once")


@pytest.mark.parametrize("kind", EVERY)
def test_an_operator_answers_as_the_reference_kernel(kind):
    @settings(deadline=None, max_examples=6, suppress_health_check=list(HealthCheck), phases=[Phase.generate], database=None)
    @given(st.lists(EVERY[kind], min_size=8, max_size=16))
    def check(cases):
        assert mismatches(joined(cases)) == {}

    check()
