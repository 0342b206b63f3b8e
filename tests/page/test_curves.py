import pytest

from toolchain.page.curves import EVERY, sensitivity
from toolchain.sensitivity import GroupSensitivity, Point, Sensitivity


def measured(*groups, metric="top1", score=0.9) -> Sensitivity:
    return Sensitivity("net.keras", "0" * 64, "contribution", metric, score, 1_000, "30 of 30", groups)


CONV = GroupSensitivity("conv", ("conv",), 8, (Point(0.25, 6, 0.88, 900), Point(0.5, 4, 0.8, 700)))
HEAD = GroupSensitivity("head", ("head", "skip"), 4, (Point(0.5, 2, 0.3, 950),))


def test_a_curve_begins_at_the_whole_model():
    section = sensitivity(measured(CONV, HEAD))
    points = section.chart.spec["data"]["values"]
    assert [(row["group"], row["gone"], row["score"]) for row in points] == [
        ("0", 0.0, 0.9), ("0", 0.25, 0.88), ("0", 0.5, 0.8), ("1", 0.0, 0.9), ("1", 0.5, 0.3),
    ]  # fmt: skip
    assert points[2]["tip"] == {
        "title": "conv: 50% gone", "channels": "4 of 8 left", "top1": "80.00%", "change": "-10.00%", "MACs of the model": "700",
    }  # fmt: skip


def test_the_list_names_the_most_sensitive_group_first():
    section = sensitivity(measured(CONV, HEAD))
    assert list(section.choice.options) == [(EVERY, "all"), ("1", "head"), ("0", "conv")]
    assert section.ratios == (0.25, 0.5)


@pytest.mark.parametrize("found", [None, measured(), measured(GroupSensitivity("conv", ("conv",), 8, ()))])
def test_nothing_measured_is_no_section(found):
    assert sensitivity(found) is None
