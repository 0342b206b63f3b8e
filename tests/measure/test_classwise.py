import msgspec
import pytest

from toolchain.measure.classwise import changes
from toolchain.report import Answers


def answers(support, hits) -> Answers:
    return Answers(support=support, hits=hits, confusion=(), right="", lost=0, gained=0, differing=0, changed=())


def test_the_interval_is_that_of_the_papers_table():
    # Newcombe 1998, table II (b): 9/10 - 3/10, method 10: 0.1705 to 0.8090
    (better,) = changes(answers((10,), (3,)), answers((10,), (9,)))
    assert better.change == pytest.approx(0.6)
    assert better.interval == pytest.approx((0.1705, 0.8090), abs=1e-4)
    assert (better.gained, better.lost) == (True, False)
    (worse,) = changes(answers((10,), (9,)), answers((10,), (3,)))
    assert worse.interval == pytest.approx((-0.8090, -0.1705), abs=1e-4)
    assert (worse.gained, worse.lost) == (False, True)


def test_classes_without_examples_are_left_out_and_the_others_keep_their_number():
    found = changes(answers((10, 0, 20), (9, 0, 20)), answers((10, 0, 20), (9, 0, 19)))
    assert [(one.index, one.support, one.before, one.after) for one in found] == [(0, 10, 9, 9), (2, 20, 20, 19)]
    assert found[1].change == pytest.approx(-0.05)
    assert not found[1].lost, "one of twenty may be chance"


@pytest.mark.parametrize(
    ("support", "hits"), [((10, 10), (9,)), ((10,), (11,)), ((10,), (-1,)), ((11,), (9,)), ((10, 10), (9, 9))], ids=str
)
def test_answers_to_other_examples_or_impossible_ones_do_not_compare(support, hits):
    assert changes(answers((10,), (9,)), answers(support, hits)) == ()


def test_a_change_is_a_frozen_number():
    (one,) = changes(answers((10,), (9,)), answers((10,), (9,)))
    assert msgspec.json.decode(msgspec.json.encode(one))["change"] == 0
