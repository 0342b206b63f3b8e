import msgspec
import pytest
import synthetic

from toolchain.page.classes import ALL, WORST, classes
from toolchain.report import Answers, Changed

REPORT = synthetic.report(3, 3)


def answers(hits, *, support=100, changed=(), lost=0, gained=0) -> Answers:
    """Of each class, `hits` right ones; the mistakes are answered with the next class."""
    count = len(hits)
    confusion = [[0] * count for _ in hits]
    for label, right in enumerate(hits):
        confusion[label][label] = right
        confusion[label][(label + 1) % count] = support - right
    return Answers((support,) * count, tuple(hits), tuple(map(tuple, confusion)), "", lost, gained, lost + gained, tuple(changed))


def report(original, *given, labels=()):
    rows = tuple(msgspec.structs.replace(REPORT.artifacts[0], name=f"{n}.tflite", answers=one) for n, one in enumerate(given))
    return msgspec.structs.replace(
        REPORT,
        artifacts=rows,
        model=msgspec.structs.replace(REPORT.model, answers=original),
        data=msgspec.structs.replace(REPORT.data, labels=labels),
    )


def test_a_lost_class_is_named_in_words():
    section = classes(report(answers([100, 90, 95]), answers([99, 70, 96], lost=22, gained=1)))
    # Newcombe's method 10 for 70 and 90 of 100: Wilson 0.6042 to 0.7811 and 0.8256 to 0.9448,
    # -0.2 - sqrt(0.0958^2 + 0.0448^2) = -0.3058, -0.2 + sqrt(0.0811^2 + 0.0744^2) = -0.0900
    (loss,) = section.files[0].losses
    assert loss == "class 1 lost 20.0 points (95 % interval 9.0 to 30.6; 90 of 100 right before, 70 now)"
    assert [one.index for one in section.files[0].changes] == [1, 0, 2], "the worst first"
    points = section.change.spec["data"]["values"]
    assert [(row["class"], row["state"], round(row["points"])) for row in points] == [
        (1, "lost", -20),
        (0, "neither", -1),
        (2, "neither", 1),
    ]


def test_classes_have_their_names_where_the_data_know_them():
    assert classes(report(answers([9, 9]), answers([9, 9]), labels=("cat", "dog"))).names == ("cat", "dog")
    assert classes(report(answers([9, 9]), answers([9, 9]), labels=("cat",))).names == ("class 0", "class 1")


def test_the_file_that_is_recommended_is_shown_first():
    section = classes(report(answers([90, 90]), answers([80, 90], lost=10), answers([90, 90]), answers([70, 90], lost=20)))
    assert section.choice.chosen == "1"
    assert section.choice.options[1] == ("1", "1.tflite")


def test_changed_examples_say_what_became_of_them():
    found = (Changed(0, 1, 1, 0), Changed(1, 1, 0, 1), Changed(77, 2, 0, 1), Changed(3, 9, 9, -4))
    section = classes(report(answers([9, 9, 9]), answers([9, 9, 9], changed=found)))
    assert [(one.kind, one.picture, one.answer) for one in section.files[0].examples] == [
        ("lost", True, "class 0"), ("gained", True, "class 1"), ("wrong", False, "class 1"), ("lost", True, "-4"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "uri", ["https://example.org/x.png", "data:image/svg+xml;base64,AAAA", 'data:image/png;base64,A"', "javascript:alert(1)"]
)
def test_only_pictures_that_lie_in_the_report_are_shown(uri):
    given = report(answers([9, 9]), answers([9, 9], changed=(Changed(5, 0, 0, 1),)))
    section = classes(msgspec.structs.replace(given, pictures={"5": uri}))
    assert section.pictures == {}
    assert not section.files[0].examples[0].picture


def test_of_many_classes_the_worst_are_shown_and_no_matrix():
    few, many = [90] * ALL, [90] * (ALL + 1)
    assert len(classes(report(answers(few), answers(few))).matrices) == 2
    section = classes(report(answers(many), answers([*many[:-2], 60, 80])))
    assert section.matrices == ()
    assert (len(section.listed), section.left_out) == (WORST, ALL + 1 - WORST)
    assert {ALL - 1, ALL} <= set(section.listed)
    assert len(section.change.spec["data"]["values"]) == WORST


def test_the_matrix_has_its_cells_and_one_scale_for_the_mistakes_of_both():
    section = classes(report(answers([100, 90]), answers([100, 80])))
    original, chosen = (matrix.spec["data"]["values"][0] for matrix in section.matrices)
    assert [(row["label"], row["answer"], row["count"]) for row in (original, chosen)] == [
        ([0, 1, 1], [0, 0, 1], [100, 10, 90]), ([0, 1, 1], [0, 0, 1], [100, 20, 80]),
    ]  # fmt: skip
    assert (original["shade"][1], chosen["shade"][1]) == (pytest.approx(0.55), pytest.approx(0.9)), "0.2 + 0.7 times 10 or 20 of 20 in 100"


def test_what_does_not_compare_is_left_out():
    assert classes(report(None, answers([9, 9]))) is None
    assert classes(report(answers([9, 9]), None)) is None
    assert classes(report(answers([9, 9]), answers([9, 9, 9]))) is None, "other classes"
    mixed = classes(report(answers([9, 9]), answers([9, 9, 9]), answers([9, 9])))
    assert [file.name for file in mixed.files] == ["1.tflite"]


def test_without_counts_there_is_no_matrix():
    bare = msgspec.structs.replace(answers([9, 9]), confusion=())
    assert classes(report(bare, bare)).matrices == ()
    assert classes(report(answers([9, 9]), bare)).matrices == ()
    assert classes(report(bare, answers([9, 9]))).matrices == ()
