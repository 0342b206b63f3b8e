import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import zoo
from hypothesis import given
from hypothesis import strategies as st

from toolchain.channels import ChannelGraph
from toolchain.channels.graph import Group
from toolchain.channels.selection import Choice, kept
from toolchain.errors import StageError


@given(st.integers(1, 200), st.floats(0, 200), st.integers(1, 16), st.floats(0, 1))
def test_widths_are_rounded_up_to_the_edge_of_a_step_within_floor_and_width(size, wanted, round_to, floor):
    group = Group("g", ("g",), tuple(range(1, size + 1)), size)
    found = kept(group, wanted, Choice(ratio=0.5, round_to=round_to, floor=floor))
    assert 1 <= found <= size
    assert found == size or found % round_to == 0
    assert found >= min(size, wanted) - 1e-9
    assert found == size or found - max(wanted, floor * size, 1) < round_to


def test_bundles_count_with_all_their_channels():
    group = Group("g", ("g",), tuple(range(1, 9)), 32)  # 8 classes of 4 channels: steps of 2 classes are 8 channels
    assert kept(group, 3, Choice(ratio=0.5, round_to=8)) == 4


@pytest.fixture
def graph(keras):
    model = zoo.small(keras)["residual"]()
    zoo.randomize(model, 1)
    return ChannelGraph(model)


@pytest.mark.tensorflow
def test_a_ratio_takes_its_share_of_every_group(graph):
    plan = graph.plan(0.5, scope="layer", round_to=1, floor=0.0)
    assert [(change.before, change.after) for change in plan.changes] == [(g.width, g.width // 2) for g in graph.groups]


@pytest.mark.tensorflow
@pytest.mark.parametrize("target", [{"macs": 0.5}, {"params": 0.4}, {"bytes": 3000}])
def test_a_budget_is_met_and_not_by_much_more_than_needed(graph, target):
    plan = graph.plan(target=target, round_to=1)
    ((name, limit),) = target.items()
    before, after = (plan.macs_before, plan.macs_after) if name == "macs" else (plan.params_before, plan.params_after)
    goal = limit * before if limit < 1 else limit
    assert after <= goal
    assert after > 0.7 * goal


@pytest.mark.tensorflow
def test_what_is_kept_stays_and_what_cannot_be_met_is_said(graph):
    first = graph.groups[0]
    plan = graph.plan(0.6, round_to=1, keep=(first.layers[0],))
    assert not set(plan.dead) & set(first.classes)
    with pytest.raises(StageError, match=r"macs = 0.001 is out of reach: floors, rounding and frozen channels leave"):
        graph.plan(target={"macs": 0.001})
    with pytest.raises(StageError, match="choose from macs, params, bytes"):
        graph.plan(target={"flops": 0.5})
    with pytest.raises(StageError, match="either a ratio of channels or a target"):
        graph.plan()


@pytest.mark.tensorflow
def test_the_seed_decides_a_random_plan(graph):
    plans = [graph.plan(0.5, criterion="random", seed=seed).dead for seed in (0, 0, 1)]
    assert plans[0] == plans[1] != plans[2]
