import msgspec
import pytest
from recommended import artifact, report

from toolchain.errors import ToolchainError
from toolchain.recommendation import loss
from toolchain.recommendation.loss import signed

DATA = report().data


@pytest.fixture
def model():
    return report().model


def test_right_answers_are_compared_example_by_example(model):
    # Agresti & Min: (9.5 - 2.5) / 1,002 = 0.006986; sqrt(12 - 49 / 1,002) / 1,002 = 0.0034502, times 1.959964: 0.0067624
    found = loss(artifact("a.tflite", lost=9, gained=2), model, DATA)
    assert found.drop == pytest.approx(0.007)
    assert found.interval == pytest.approx((0.000224, 0.013748), abs=1e-6)
    assert found.said == "\N{MINUS SIGN}0.70 points, 95 % interval \N{MINUS SIGN}1.37 to \N{MINUS SIGN}0.02"
    assert not found.bearable


def test_a_loss_within_chance_is_bearable(model):
    found = loss(artifact("a.tflite", lost=5, gained=2), model, DATA)
    assert found.interval[0] < 0
    assert found.bearable


def test_without_classes_the_metric_is_compared(model):
    regression = msgspec.structs.replace(model, metric="mean_absolute_error", accuracy=2.0, answers=None)
    row = msgspec.structs.replace(artifact("a.tflite"), metric="mean_absolute_error", accuracy=2.5, answers=None)
    found = loss(row, regression, DATA)
    assert (found.drop, found.interval, found.said, found.bearable) == (0.25, None, "+25.00 % of the error", False)
    found = loss(
        msgspec.structs.replace(row, metric="auc", accuracy=0.896), msgspec.structs.replace(model, metric="auc", answers=None), DATA
    )
    assert found.drop == pytest.approx(0.004)
    assert (found.said, found.bearable) == ("\N{MINUS SIGN}0.40 points of auc", True)


def test_without_labels_the_agreement_counts(model):
    bare = msgspec.structs.replace(model, accuracy=None, metric=None, answers=None)
    row = msgspec.structs.replace(artifact("a.tflite"), accuracy=None, answers=None, agreement=0.996)
    found = loss(row, bare, DATA)
    assert (found.drop, found.said, found.bearable) == (pytest.approx(0.004), "99.60% of its answers are the original's", True)
    assert not loss(msgspec.structs.replace(row, agreement=0.99), bare, DATA).bearable
    assert loss(msgspec.structs.replace(row, agreement=None), bare, DATA).drop is None


@pytest.mark.parametrize(("lost", "gained", "examples"), [(-1, 0, 1_000), (600, 500, 1_000), (0, 0, 0)])
def test_counts_that_cannot_be_are_refused(model, lost, gained, examples):
    row = artifact("a.tflite", examples=1_000)
    answers = msgspec.structs.replace(row.answers, lost=lost, gained=gained, support=(examples,))
    with pytest.raises(ToolchainError, match="cannot be; run again"):
        loss(msgspec.structs.replace(row, answers=answers), model, DATA)


def test_answers_to_random_inputs_are_no_comparison(model):
    bare = msgspec.structs.replace(model, accuracy=None, metric=None, answers=None)
    row = msgspec.structs.replace(artifact("a.tflite"), accuracy=None, metric=None, answers=None, agreement=1.0)
    found = loss(row, bare, None)
    assert (found.drop, found.said, found.bearable) == (None, "not compared on real data", False)


@pytest.mark.parametrize("metric", ["auc", "mean_absolute_error"])
def test_answers_by_class_are_no_measure_of_another_metric(model, metric):
    row = msgspec.structs.replace(artifact("a.tflite", lost=9, gained=2), metric=metric, accuracy=0.81)
    found = loss(row, msgspec.structs.replace(model, metric=metric), DATA)
    assert (abs(found.drop), found.interval) == (pytest.approx(0.09 if metric == "auc" else 0.1), None)
    assert loss(row, model, DATA).drop is None, "of two metrics there is no difference"


def test_an_interval_that_reaches_far_is_told_and_large_losses_in_it_are_not_borne(model):
    # 2 of 20 are lost: (2.5 - 0.5) / 22 = 0.0909; sqrt(3 - 4 / 22) / 22 = 0.0763065, times 1.959964: 0.149558
    found = loss(artifact("a.tflite", lost=2, examples=20), model, DATA)
    assert found.interval == pytest.approx((-0.058649, 0.240467), abs=1e-6)
    assert found.said.endswith("; the test is too small to rule out a loss of 24.0 points")
    assert not found.bearable
    # none is lost: 0 +- 1.959964 / 22
    same = loss(artifact("a.tflite", examples=20), model, DATA)
    assert same.said.endswith("; the test is too small to rule out a loss of 8.9 points")
    assert same.bearable
    assert "too small" not in loss(artifact("a.tflite"), model, DATA).said


@pytest.mark.parametrize(
    ("value", "said"), [(0.0, "0.00"), (-0.001, "0.00"), (0.004, "0.00"), (0.7, "+0.70"), (-1.368, "\N{MINUS SIGN}1.37")]
)
def test_changes_carry_their_sign_and_zero_has_none(value, said):
    assert signed(value) == said
