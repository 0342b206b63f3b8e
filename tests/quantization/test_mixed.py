from hypothesis import given
from hypothesis import strategies as st

from toolchain.quantization import mixed
from toolchain.quantization.mixed import Harm, Trial
from toolchain.tflite_file import TfliteFile

WEIGHT = {"int16": 2, "float32": 4}


def attempt_of(noise, residue):
    """Drops add up: a layer costs its `noise` in int8, a share `residue` of it in int16, none in float."""

    def attempt(wide):
        drop = sum(value * {"int16": residue, "float32": 0.0}.get(wide.get(name), 1.0) for name, value in noise.items())
        return Trial(dict(wide), sum(WEIGHT.get(wide.get(name), 1) for name in noise), Harm(drop, drop), 0)

    return attempt


def test_nothing_is_widened_where_int8_suffices():
    trials = mixed.search(["a", "b"], ["int16"], 0.5, attempt_of({"a": 0.2, "b": 0.1}, 0.0))
    assert [trial.wide for trial in trials] == [{}]


def test_the_fewest_of_the_worst_are_widened():
    noise = {"a": 8.0, "b": 4.0, "c": 2.0, "d": 1.0, "e": 0.5}
    trials = mixed.search(list(noise), ["int16", "float32"], 2.0, attempt_of(noise, 0.0))
    best, met = mixed.chosen(trials, 2.0)
    assert met
    assert best.wide == {"a": "int16", "b": "int16", "c": "int16"}


def test_the_search_is_short():
    """Nine of 32 layers: 1, 2, 4, 8, 16 of them, then 12, 10, 9, and one look at each of the nine."""
    noise = dict.fromkeys("abcdefghi", 10.0) | {str(i): 0.0 for i in range(23)}
    trials = mixed.search(list(noise), ["int16"], 5.0, attempt_of(noise, 0.0))
    assert mixed.chosen(trials, 5.0)[0].wide == dict.fromkeys("abcdefghi", "int16")
    assert len(trials) == 1 + 5 + 3 + 9


def test_float_comes_where_int16_does_not_suffice_and_is_taken_back_where_it_is_not_needed():
    noise = {"a": 8.0, "b": 4.0}
    trials = mixed.search(list(noise), ["float32", "int16"], 2.5, attempt_of(noise, 0.5))
    best, met = mixed.chosen(trials, 2.5)
    assert met
    assert best.wide == {"a": "float32", "b": "int16"}


def test_a_budget_out_of_reach_gives_what_lost_least():
    noise = {"a": 8.0, "b": 4.0}
    best, met = mixed.chosen(mixed.search(list(noise), ["int16"], 1.0, attempt_of(noise, 0.5)), 1.0)
    assert not met
    assert best.wide == {"a": "int16", "b": "int16"}


@given(st.lists(st.floats(0, 10), min_size=1, max_size=12), st.floats(0, 20))
def test_with_float_allowed_every_budget_is_met_by_no_more_than_needed(values, budget):
    noise = {str(i): value for i, value in enumerate(sorted(values, reverse=True))}
    attempt = attempt_of(noise, 0.25)
    best, met = mixed.chosen(mixed.search(list(noise), ["int16", "float32"], budget, attempt), budget)
    assert met
    assert best.harm.drop <= budget
    if best.wide and set(best.wide.values()) == {"int16"}:
        for name in best.wide:
            assert attempt({k: v for k, v in best.wide.items() if k != name}).harm.drop > budget


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 20)), min_size=1, max_size=20))
def test_no_trial_beats_one_on_the_front(points):
    trials = [Trial({}, cost, Harm(0.0, drop), 0) for cost, drop in points]
    front = mixed.front(trials)
    for kept in front:
        assert not any(t.cost <= kept.cost and t.harm.drop < kept.harm.drop for t in trials)
    for trial in trials:
        assert any(kept.cost <= trial.cost and kept.harm.drop <= trial.harm.drop for kept in front)


def test_layers_lead_what_passes_their_values_on(tiny_float):
    found = mixed.layers(TfliteFile.read(tiny_float))
    kinds = [layer.kind for layer in found]
    assert "RESHAPE" not in kinds
    types = mixed.assignment(found, {found[0].name: "int16"}, "int8")
    assert len(types) == len(TfliteFile.read(tiny_float).operators)
    assert types[found[0].name] == "int16"
    assert set(list(types.values())[1:]) == {"int8"}


def test_the_cost_of_a_float_file_is_four_times_that_of_its_integer_twin(tiny_float, tiny_int8):
    assert mixed.cost(TfliteFile.read(tiny_float)) == 4 * mixed.cost(TfliteFile.read(tiny_int8))
