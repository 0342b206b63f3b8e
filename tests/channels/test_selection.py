import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import zoo
from hypothesis import given
from hypothesis import strategies as st

from toolchain.channels import ChannelGraph
from toolchain.channels.budget import Budget, staircase, whole
from toolchain.channels.graph import Group
from toolchain.channels.selection import rounded_up
from toolchain.errors import StageError


@given(st.integers(1, 200), st.floats(0, 200), st.integers(1, 16))
def test_widths_are_rounded_up_to_the_edge_of_a_step_within_the_width(size, least, round_to):
    found = rounded_up(Group("g", ("g",), tuple(range(1, size + 1)), size), max(least, 1), round_to)
    assert 1 <= found <= size
    assert found == size or found % round_to == 0
    assert found >= min(size, least) - 1e-9
    assert found == size or found - max(least, 1) < round_to


def test_bundles_count_with_all_their_channels():
    group = Group("g", ("g",), tuple(range(1, 9)), 32)  # 8 classes of 4 channels: steps of 2 classes are 8 channels
    assert rounded_up(group, 3, 8) == 4


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
def test_a_budget_can_be_met_by_an_equal_share_of_every_group(graph):
    plan = graph.plan(target={"macs": 0.5}, scope="layer", round_to=1)
    assert 0.4 * plan.macs_before < plan.macs_after <= 0.5 * plan.macs_before
    shares = [change.after / change.before for change in plan.changes]
    assert max(shares) - min(shares) <= 1 / min(change.before for change in plan.changes) + 1e-9


@pytest.mark.tensorflow
def test_of_equal_channels_the_dear_ones_go(keras):
    layers = keras.layers
    net = keras.Sequential(
        [keras.Input((16, 16, 8)), layers.Conv2D(16, 1), layers.MaxPooling2D(4), layers.Conv2D(16, 1), layers.Flatten(), layers.Dense(2)]
    )
    net.set_weights([np.ones_like(w) for w in net.get_weights()])
    # one channel costs 256 * 8 + 16 * 16 = 2,304 MACs in the first group and 16 * 16 + 16 * 2 = 288 in the second
    macs = ChannelGraph(net).plan(target={"macs": 0.6}, criterion="l1", round_to=1)
    assert [change.after for change in macs.changes] == [9, 16]
    # in weights: 8 + 1 + 16 = 25 against 16 + 1 + 32 = 49
    params = ChannelGraph(net).plan(target={"params": 0.7}, criterion="l1", round_to=1)
    assert params.changes[0].after > params.changes[1].after


@pytest.mark.tensorflow
def test_what_rounding_leaves_over_is_given_back(graph):
    """No group can be one step wider within the budget."""
    plan = graph.plan(target={"macs": 0.5}, criterion="l2", round_to=4)
    widths = {change.name: change.after for change in plan.changes}
    for group in graph.groups:
        if widths[group.name] < group.width:
            gone = [number for number in plan.dead if number in group.classes]
            more = [number for number in plan.dead if number not in gone[:4]]
            assert graph.count_macs(graph.alive(more)) > 0.5 * plan.macs_before


@pytest.mark.tensorflow
def test_what_is_kept_stays_and_what_cannot_be_met_is_said(graph):
    first = graph.groups[0]
    plan = graph.plan(0.6, round_to=1, keep=(first.layers[0],))
    assert not set(plan.dead) & set(first.classes)
    with pytest.raises(
        StageError, match=r"macs = 495 is out of reach: floors, rounding and frozen channels leave 428,064 of 494,640 \(86.5%\)"
    ):
        graph.plan(target={"macs": 0.001})
    with pytest.raises(StageError, match="choose from macs, params, bytes"):
        graph.plan(target={"flops": 0.5})
    with pytest.raises(StageError, match="either a ratio of channels or a target"):
        graph.plan()


@pytest.mark.tensorflow
def test_the_seed_decides_a_random_plan(graph):
    plans = [graph.plan(0.5, criterion="random", seed=seed).dead for seed in (0, 0, 1)]
    assert plans[0] == plans[1] != plans[2]


@pytest.mark.tensorflow
def test_milliseconds_climb_in_steps_of_channels(keras):
    layers = keras.layers
    graph = ChannelGraph(keras.Sequential([keras.Input((4, 4, 8)), layers.Conv2D(24, 1), layers.Flatten(), layers.Dense(8)]))
    cost = staircase(step=8, macs_per_s=1e6, layer_s=1e-4)
    # the convolution: 4 * 4 * 8 * 24 = 3,072 MACs; Dense: 384 * 8 = 3,072; 0.1 ms for each of the two layers
    assert cost(graph, whole(graph)) == pytest.approx(3.072 + 3.072 + 0.2)
    (group,) = graph.groups
    on_the_step, one_more = (cost(graph, graph.alive(group.classes[:gone])) for gone in (8, 7))
    assert on_the_step == pytest.approx(2.048 + 2.048 + 0.2)
    assert one_more == pytest.approx(3.072 + 272 * 8 / 1e3 + 0.2), (
        "17 channels are computed as 24; flattened, 17 * 16 = 272 is a multiple of 8"
    )
    plan = graph.plan(target=Budget(5.0, cost, "ms"), round_to=8)
    assert cost(graph, graph.alive(plan.dead)) <= 5.0
    assert plan.changes[0].after == 16
