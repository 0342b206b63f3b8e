from hypothesis import given
from hypothesis import strategies as st

from toolchain.c_source.arena import ALIGNMENT, Need, plan

SPANS = st.tuples(st.integers(1, 4000), st.integers(0, 20), st.integers(0, 8))


def lower_bound(needs: list[Need]) -> int:
    """Bytes that no plan can go below: the most that is needed at one step."""
    steps = {need.first for need in needs}
    return max((sum(need.bytes for need in needs if need.first <= step <= need.last) for step in steps), default=0)


@given(st.lists(SPANS, max_size=25))
def test_what_is_needed_at_the_same_time_never_overlaps(spans):
    needs = [Need(f"b{i}", size, first, first + length) for i, (size, first, length) in enumerate(spans)]
    arena = plan(needs)
    for i, a in enumerate(needs):
        assert arena.offsets[a.name] % ALIGNMENT == 0
        assert arena.offsets[a.name] + a.bytes <= arena.bytes
        for b in needs[i + 1 :]:
            if a.first <= b.last and b.first <= a.last:
                low, high = sorted((a, b), key=lambda need: arena.offsets[need.name])
                assert arena.offsets[low.name] + low.bytes <= arena.offsets[high.name]
    assert arena.bytes >= lower_bound(needs)


def test_a_chain_of_layers_takes_two_buffers():
    needs = [Need("a", 64, 0, 1), Need("b", 32, 1, 2), Need("c", 64, 2, 3)]
    assert plan(needs).bytes == lower_bound(needs) == 96


def test_nothing_takes_nothing():
    assert plan([]).bytes == 0
