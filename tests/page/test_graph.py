import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.page.graph import WIDTH, Lane, draw, lanes
from toolchain.report import LayerReport


def layer(index, *reads, name="", macs=0, **facts):
    return LayerReport(index, name or f"layer_{index}", "CONV_2D", reads, (1, 8, 8, 4), 0, 0, macs, None, None, **facts)


class TestLanes:
    def test_a_chain_has_none(self):
        assert lanes([[], [0], [1], [2]]) == []

    def test_a_shortcut_around_two_layers_has_one(self):
        assert lanes([[], [0], [1], [2, 0]]) == [Lane(0, 0, (3,))]

    def test_two_branches_that_are_joined(self):
        """0 feeds 1 and 2, which are joined in 3: 0 passes 1 while 1 passes 2."""
        assert lanes([[], [0], [0], [1, 2]]) == [Lane(0, 0, (2,)), Lane(1, 1, (3,))]

    def test_many_inputs_come_in_by_length_from_the_inside(self):
        assert lanes([[], [0], [1], [2], [0, 1, 2, 3]]) == [Lane(2, 0, (4,)), Lane(1, 1, (4,)), Lane(0, 2, (4,))]

    def test_several_readers_share_the_lane_of_their_source(self):
        assert lanes([[], [0], [1, 0], [2, 0]]) == [Lane(0, 0, (2, 3))]

    def test_a_lane_begins_where_another_of_its_column_ends(self):
        assert lanes([[], [0], [1, 0], [2], [3, 2]]) == [Lane(0, 0, (2,)), Lane(2, 0, (4,))]


def segments(graph):
    """The vertical part of every connection: its x, where it begins and where it ends."""
    for edge in graph.edges:
        if straight := re.fullmatch(r"M(\d+) (\d+)V(\d+)", edge.path):
            yield edge, *map(float, straight.groups())
        else:
            start, x, bend, end = re.fullmatch(r"M168 (\d+)H(\d+)q(\d) .*V([\d.]+)q.*H168", edge.path).groups()
            yield edge, float(x) + float(bend), float(start), float(end) + float(bend)


@given(st.lists(st.sets(st.integers(1, 12), max_size=4), min_size=1, max_size=14))
def test_every_connection_is_drawn_and_no_two_sources_share_a_part_of_a_lane(steps):
    layers = [layer(index, *sorted({max(index - step, -1) for step in back} or {index - 1})) for index, back in enumerate(steps)]
    graph = draw(layers)
    assert {(edge.source, edge.target) for edge in graph.edges} == {(read, one.index) for one in layers for read in one.reads}
    drawn = list(segments(graph))
    top = {box.index: box.y for box in graph.boxes}
    for edge, x, start, end in drawn:
        assert top[edge.source] < start < top[edge.source] + 26, "begins at its source"
        assert top[edge.target] <= end < top[edge.target] + 18, "ends at its target"
        assert x < graph.width
        for other, column, begin, stop in drawn:
            if other.source != edge.source and column == x:
                assert end <= begin or stop <= start, (edge, other)


def test_lines_that_enter_one_box_do_not_cross():
    """The inner one ends higher; it would otherwise be crossed by the outer one's way to the box."""
    graph = draw([layer(0, -1), layer(1, 0), layer(2, 1), layer(3, 0, 1, 2)])
    ends = {edge.source: (x, end) for edge, x, _, end in segments(graph) if edge.target == 3}
    assert ends[1][0] < ends[0][0]
    assert ends[1][1] < ends[0][1]


def test_boxes_are_filled_by_the_share_of_macs_and_framed_by_what_quantization_costs():
    graph = draw([layer(0, -1, macs=50, own_db=30.0), layer(1, 0, macs=200, own_db=29.9), layer(2, 1, own_db=11.9)])
    assert [(box.filled, box.state) for box in graph.boxes] == [(0, ""), (WIDTH / 4, ""), (WIDTH, "fair"), (0, "poor")]
    assert "less than 30 dB, in red less than 12 dB" in graph.caption
    assert "Framed" not in draw([layer(0, -1)]).caption


def test_a_box_has_the_first_layers_name_and_tells_the_rest():
    graph = draw([layer(0, -1, name="conv + norm + relu", macs=1234, own_db=40.0), layer(1, 0, name="block_13_depthwise_separable_conv")])
    assert [box.label for box in graph.boxes] == ["input", "conv", "block_13_depth…ble_conv"]
    assert graph.boxes[1].title == "0 conv + norm + relu, CONV_2D, 1 x 8 x 8 x 4, 1,234 MACs, alone 40.0 dB"


def test_operators_that_only_unpack_weights_are_left_out():
    graph = draw([layer(0), layer(1), layer(2, 0, -1), layer(3, 1, 2)])
    assert [box.index for box in graph.boxes] == [-1, 2, 3]
    assert [(edge.source, edge.target) for edge in graph.edges] == [(-1, 2), (2, 3)]
    assert graph.caption.endswith("Left out: 2 that only unpack weights.")


@pytest.mark.parametrize("foreign", [5, 1, -7])
def test_what_no_file_reads_is_not_drawn(foreign):
    graph = draw([layer(0, -1), layer(1, foreign, 0, 0)])
    assert [(edge.source, edge.target) for edge in graph.edges] == [(-1, 0), (0, 1)]


def test_without_knowing_what_operators_read_there_is_no_graph():
    assert draw([]) is None
    assert draw([layer(0), layer(1)]) is None
