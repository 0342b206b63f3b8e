import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.errors import TargetError
from toolchain.sourced import flatten, resolve

FACTS = {"cpu": {"core": "m4", "clock_hz": 1}, "kernels": {"dsp": {"on": ["dsp"]}}, "operators": ["ADD"]}


def test_the_most_specific_source_counts():
    sources = {"cpu": "board file", "cpu.clock_hz": "memory", "kernels": "a README", "operators": "a header"}
    assert resolve(FACTS, sources, "x") == {
        "cpu.core": "board file",
        "cpu.clock_hz": "memory",
        "kernels.dsp.on": "a README",
        "operators": "a header",
    }


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ({"cpu.core": "a", "kernels": "b", "operators": "c"}, r'x: cpu.clock_hz has no source; add it to \[sources\]: "cpu.clock_hz" = '),
        ({"cpu": "a", "kernels": "b"}, r"x: operators has no source; add it to \[sources\]: operators = "),
        ({"cpu": "a", "cpu.clock": "b"}, "there is no fact 'cpu.clock'; did you mean 'cpu.clock_hz'?"),
        ({"cpu": " ", "kernels": "b", "operators": "c"}, "sources: 'cpu' is empty"),
    ],
)
def test_a_fact_without_a_source_and_a_source_of_nothing_are_refused(sources, message):
    with pytest.raises(TargetError, match=message):
        resolve(FACTS, sources, "x")


tables = st.recursive(st.integers(), lambda inner: st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3), max_leaves=8)


@given(st.dictionaries(st.text("abc", min_size=1, max_size=2), tables, min_size=1, max_size=4))
def test_one_source_for_each_table_is_enough(facts):
    paths = [path for path, _ in flatten(facts)]
    top = {path.partition(".")[0] for path in paths}
    assert resolve(facts, dict.fromkeys(top, "memory"), "x") == dict.fromkeys(paths, "memory")
