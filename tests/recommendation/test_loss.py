import msgspec
import pytest
from recommended import artifact, report

from toolchain.recommendation import loss
from toolchain.recommendation.loss import signed


@pytest.fixture
def model():
    return report().model


def test_right_answers_are_compared_example_by_example(model):
    # Agresti & Min: (9.5 - 2.5) / 1,002 = 0.006986; sqrt(12 - 49 / 1,002) / 1,002 = 0.0034502, times 1.959964: 0.0067624
    found = loss(artifact("a.tflite", lost=9, gained=2), model)
    assert found.drop == pytest.approx(0.007)
    assert found.interval == pytest.approx((0.000224, 0.013748), abs=1e-6)
    assert found.said == "\N{MINUS SIGN}0.70 points, 95 % interval \N{MINUS SIGN}1.37 to \N{MINUS SIGN}0.02"
    assert not found.bearable


def test_a_loss_within_chance_is_bearable(model):
    found = loss(artifact("a.tflite", lost=5, gained=2), model)
    assert found.interval[0] < 0
    assert found.bearable


def test_without_classes_the_metric_is_compared(model):
    regression = msgspec.structs.replace(model, metric="mean_absolute_error", accuracy=2.0, answers=None)
    row = msgspec.structs.replace(artifact("a.tflite"), metric="mean_absolute_error", accuracy=2.5, answers=None)
    found = loss(row, regression)
    assert (found.drop, found.interval, found.said, found.bearable) == (0.25, None, "+25.00 % of the error", False)
    found = loss(msgspec.structs.replace(row, metric="auc", accuracy=0.896), msgspec.structs.replace(model, metric="auc", answers=None))
    assert found.drop == pytest.approx(0.004)
    assert (found.said, found.bearable) == ("\N{MINUS SIGN}0.40 points of auc", True)


def test_without_labels_the_agreement_counts(model):
    bare = msgspec.structs.replace(model, accuracy=None, metric=None, answers=None)
    row = msgspec.structs.replace(artifact("a.tflite"), accuracy=None, answers=None, agreement=0.996)
    found = loss(row, bare)
    assert (found.drop, found.said, found.bearable) == (pytest.approx(0.004), "99.60% of its answers are the original's", True)
    assert not loss(msgspec.structs.replace(row, agreement=0.99), bare).bearable
    assert loss(msgspec.structs.replace(row, agreement=None), bare).drop is None


@pytest.mark.parametrize(("lost", "gained", "examples"), [(-1, 0, 1_000), (600, 500, 1_000), (0, 0, 0)])
def test_counts_that_cannot_be_are_not_believed(model, lost, gained, examples):
    row = msgspec.structs.replace(artifact("a.tflite", examples=1_000), accuracy=0.8)
    answers = msgspec.structs.replace(row.answers, lost=lost, gained=gained, support=(examples,))
    assert loss(msgspec.structs.replace(row, answers=answers), model).interval is None


@pytest.mark.parametrize(
    ("value", "said"), [(0.0, "0.00"), (-0.001, "0.00"), (0.004, "0.00"), (0.7, "+0.70"), (-1.368, "\N{MINUS SIGN}1.37")]
)
def test_changes_carry_their_sign_and_zero_has_none(value, said):
    assert signed(value) == said
