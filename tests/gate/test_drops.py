import math

import msgspec
import pytest
from made_reports import DATA, RIGHT, artifact, lost, model, run

from toolchain.errors import ToolchainError
from toolchain.gate.drops import SETTLED, against_baseline, against_original, enough
from toolchain.gate.evidence import Evidence
from toolchain.measure.paired import difference

MIXED = "1" * 500 + "0" * 500


def test_against_the_original_examples_are_paired():
    row = artifact(right=lost(9, 2))
    found = against_original(run(row), row)
    assert (found.value, found.interval) == difference(9, 2, 1000)
    assert found.said == "example by example against the original: of 1,000, 9 lost the right answer and 2 gained it"


def test_against_a_baseline_of_the_same_examples_they_are_paired_too():
    old, new = artifact(right=lost(12)), artifact(right=lost(6, 3))  # the new one has back 6 of the 12 and gains 3
    found = against_baseline(run(new), new, run(old), old)
    assert (found.value, found.interval) == difference(0, 9, 1000)
    back = against_baseline(run(old), old, run(new), new)
    assert (back.value, back.interval) == difference(9, 0, 1000)
    assert "against the baseline: of 1,000, 9 lost the right answer" in back.said


@pytest.mark.parametrize("change", [{"digest": "other"}, {"seed": 1}, {"train": 2999}, {"validation": 501}])
def test_other_examples_are_not_paired_and_the_interval_is_wider(change):
    old, new = artifact(right=lost(12)), artifact(right=lost(6, 3))
    other = run(old, data=msgspec.structs.replace(DATA, **change))
    found = against_baseline(run(new), new, other, old)
    paired = against_baseline(run(new), new, run(old), old)
    assert found.value == pytest.approx(paired.value)
    assert found.interval[0] < paired.interval[0] < paired.interval[1] < found.interval[1]
    assert "not paired: from the two intervals" in found.said


def test_without_single_answers_two_intervals_are_compared():
    row = artifact(accuracy=0.95, accuracy_interval=(0.92, 0.98), answers=None)
    found = against_original(run(row, model=model(0.99, "top1", (0.95, 0.99))), row)
    assert found.value == pytest.approx(0.04)
    assert found.interval == (pytest.approx(0.04 - 0.05), pytest.approx(0.04 + 0.03))  # 3-4-5, and 0.03 beside nothing
    assert "top1 0.95 against the original's 0.99, not paired" in found.said


def test_a_baseline_that_kept_no_single_answers_is_compared_by_its_interval():
    old, new = artifact(right=lost(12), answers=None), artifact(right=lost(6))
    for row, other in ((new, old), (old, new)):
        found = against_baseline(run(row), row, run(other), other)
        assert abs(found.value) == pytest.approx(0.006)
        assert "not paired" in found.said


def test_the_area_under_a_curve_is_compared_by_its_intervals():
    row = artifact(right=MIXED, metric="auc", accuracy=0.8, accuracy_interval=(0.76, 0.84))
    found = against_original(run(row, model=model(0.9, "auc", (0.87, 0.92))), row)
    assert found.value == pytest.approx(0.1)
    assert found.interval[0] == pytest.approx(0.05)
    assert found.said.startswith("AUC 0.8 against the original's 0.9, not paired")


def test_an_error_grows_relative_to_what_it_was():
    row = artifact(right=None, metric="mean_absolute_error", accuracy=2.2, accuracy_interval=(2.16, 2.24), accuracy_examples=50)
    found = against_original(run(row, model=model(2.0, "mean_absolute_error", (1.97, 2.03))), row)
    assert found.value == pytest.approx(0.1)
    assert found.interval == (pytest.approx(0.1 - 0.025), pytest.approx(0.1 + 0.025))  # 0.05 (3-4-5) of 2.0
    assert "relative to the original's" in found.said


def test_without_labels_other_answers_count_as_lost():
    row = artifact(right=None, agreement=0.98)
    found = against_original(run(row, model=model(None, None, None)), row)
    assert found.value == pytest.approx(0.02)
    assert found.interval[0] < 0.02 < found.interval[1]
    assert found.said.startswith("no labels: 20 of 1,000 answers are other than the original's")


def test_answers_to_random_inputs_are_no_evidence():
    row = artifact(right=None, agreement=1.0)
    found = against_original(run(row, data=None, model=model(None, None, None)), row)
    assert found.value is None
    assert "run with --data" in found.said


def test_values_without_labels_are_not_known_rather_than_passed():
    row = artifact(right=None, agreement=None)
    found = against_original(run(row, model=model(None, None, None)), row)
    assert found.value is None
    assert found.said == "there are no labels, and outputs that are no probabilities are no answers; run with --data that has labels"


@pytest.mark.parametrize("agreement", [-0.1, 1.5, math.nan, math.inf])
def test_a_share_that_cannot_be_is_refused(agreement):
    row = artifact(right=None, agreement=agreement)
    with pytest.raises(ToolchainError, match="cannot be; run again"):
        against_original(run(row, model=model(None, None, None)), row)


def test_scores_of_two_kinds_are_not_compared():
    row = artifact(right=MIXED, metric="auc")
    assert against_original(run(row), row).value is None


def test_intervals_narrow_with_the_root_of_the_examples():
    # 0.02 above a limit of 0.01 is 0.01; the interval reaches 0.02 down, twice as far: four times the examples
    assert enough(Evidence(0.02, "", (0.0, 0.04), 500), 0.01) == "about 2,000 test examples would decide it"
    assert enough(Evidence(0.01 + 1e-6, "", (0.0, 0.04), 500), 0.01) == f"more than {SETTLED:,} test examples would decide it"
    assert enough(Evidence(0.02, "", (0.0, 0.04)), 0.01) == "more test examples decide it"


def test_the_made_answers_are_what_they_say():
    assert RIGHT.count("1") == 990
    assert lost(9, 2).count("1") == 983
