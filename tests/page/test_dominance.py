from hypothesis import given
from hypothesis import strategies as st

from toolchain.page.dominance import Option, dominator

BASE = Option("base", 100, 2.0, 0.9)


def beaten_by(**changes):
    other = Option(**({"name": "other", "bytes": 100, "cost": 2.0, "quality": 0.9} | changes))
    return dominator(BASE, [BASE, other]) is other


def test_better_in_one_and_as_good_in_the_others_makes_a_file_needless():
    assert beaten_by(bytes=99)
    assert beaten_by(cost=1.9)
    assert beaten_by(quality=0.91)
    assert beaten_by(bytes=1, cost=1.0, quality=1.0)


def test_worse_in_one_or_equal_in_all_does_not():
    assert not beaten_by()
    assert not beaten_by(bytes=50, cost=1.0, quality=0.89)
    assert not beaten_by(bytes=101, quality=0.99)
    assert not beaten_by(cost=2.1, quality=0.99)


def test_what_does_not_fit_makes_nothing_needless_and_what_may_fit_only_its_like():
    assert not beaten_by(bytes=1, fits=False)
    assert not beaten_by(bytes=1, fits=None)
    uncertain = Option("may fit", 100, 2.0, 0.9, fits=None)
    assert dominator(uncertain, [Option("smaller", 50, 2.0, 0.9, fits=None)]) is not None
    assert dominator(uncertain, [Option("smaller", 50, 2.0, 0.9)]) is not None


def test_an_unknown_time_compares_with_no_known_one_and_does_not_count_where_both_are_unknown():
    assert not beaten_by(bytes=1, cost=None)
    assert not beaten_by(bytes=1, quality=None)
    untimed = Option("untimed", 100, None, 0.9)
    assert dominator(untimed, [BASE]) is None
    assert dominator(untimed, [Option("smaller", 99, None, 0.9)]) is not None


def test_three_files_by_hand():
    small, good, neither = Option("small", 10, 1.0, 0.80), Option("good", 40, 1.0, 0.95), Option("neither", 40, 1.5, 0.80)
    found = {one.name: dominator(one, [small, good, neither]) for one in (small, good, neither)}
    assert found == {"small": None, "good": None, "neither": small}


OPTIONS = st.lists(
    st.builds(
        Option, st.text(max_size=3), st.integers(1, 5), st.sampled_from([None, 1.0, 2.0, 3.0]), st.sampled_from([0.1, 0.5, 0.9]),
        st.sampled_from([True, False, None]),
    ),
    max_size=8,
)  # fmt: skip


@given(OPTIONS)
def test_what_makes_another_needless_is_not_made_needless_by_it(options):
    for option in options:
        by = dominator(option, options)
        if by is not None:
            assert dominator(by, [option]) is None
            assert dominator(option, [option]) is None
