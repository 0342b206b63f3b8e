import xml.etree.ElementTree as ET

import pytest

from toolchain import plots
from toolchain.fidelity.findings import Blame, FileLayers, Ladder, LayerError, Reason
from toolchain.fidelity.noise import LOST
from toolchain.sensitivity import GroupSensitivity, Point, Sensitivity

HOSTILE = "</title><script>alert(1)</script>"


def layer(name, level) -> LayerError:
    return LayerError(name, "CONV_2D", name, (1, 2), level, None, None, None, None, None)


def file(name, levels, blamed=None) -> FileLayers:
    layers = tuple(layer(f"layer_{place}", level) for place, level in enumerate(levels))
    return FileLayers(name, 10, layers, Blame(blamed, Reason("saturation", "")), (), (), (), ())


def ladder(*files) -> Ladder:
    return Ladder("my.keras", "10 of 10", (), (), files, (), ())


def sensitivity(*names) -> Sensitivity:
    groups = tuple(GroupSensitivity(name, (name,), 8, (Point(0.5, 4, 0.8, 70), Point(0.75, 2, 0.5, 60))) for name in names)
    return Sensitivity("my.keras", "0" * 64, "contribution", "top1", 0.9, 100, "30 of 30 in shapes", groups)


def marks(drawn: bytes, kind: str) -> int:
    return sum(one.get("aria-roledescription") == kind for one in ET.fromstring(drawn).iter())


def texts(drawn: bytes) -> list[str]:
    return [one.text for one in ET.fromstring(drawn).iter() if one.tag.endswith("text")]


def test_a_line_a_group_with_a_mark_for_every_ratio():
    drawn = plots.sensitivity(sensitivity("conv", "head"))
    assert marks(drawn, "line mark") == 2
    assert marks(drawn, "point") == 6, "the whole model and two ratios of each"
    assert {"conv (8)", "head (8)", "my.keras: channels chosen by contribution", "top1 on 30 of 30 in shapes"} <= set(texts(drawn))


def test_more_groups_than_colours_are_told_apart_by_their_dashes():
    drawn = plots.sensitivity(sensitivity(*(f"group_{n}" for n in range(12))))
    looks = [
        (one.get("stroke"), one.get("stroke-dasharray"))
        for one in ET.fromstring(drawn).iter()
        if one.get("aria-roledescription") == "line mark"
    ]
    assert len(set(looks)) == 12


def test_the_layer_to_blame_has_a_circle_and_its_reason():
    drawn = plots.error_along_depth(ladder(file("a.tflite", [50.0, None, 20.0, LOST], "layer_2"), file("b.onnx", [48.0, 45.0])))
    assert marks(drawn, "point") == 4 + 1, "an exact layer and one whose answer is lost have no mark; one has a circle, too"
    assert texts(drawn).count("saturation") == 1
    assert {"a.tflite", "b.onnx", "layer_0", "layer_2", "SQNR, dB"} <= set(texts(drawn))


@pytest.mark.parametrize(
    "drawn", [lambda: plots.sensitivity(sensitivity()), lambda: plots.error_along_depth(ladder(file("exact.tflite", [None])))]
)
def test_nothing_to_draw_is_an_empty_plot(drawn):
    assert marks(drawn(), "point") == 0


def test_the_same_numbers_are_the_same_bytes():
    found, climbed = sensitivity("conv"), ladder(file("a.tflite", [50.0, 40.0]))
    assert plots.sensitivity(found) == plots.sensitivity(found)
    assert plots.error_along_depth(climbed) == plots.error_along_depth(climbed)


def test_names_stay_text_and_no_part_of_an_expression():
    for name in (HOSTILE, "'] + alert(1) + ['", "{{7*7}}"):
        assert f"{name} (8)" in texts(plots.sensitivity(sensitivity(name)))
        drawn = plots.error_along_depth(ladder(file(name, [50.0])))
        assert name in texts(drawn)
        assert not any(one.tag.endswith("script") for one in ET.fromstring(drawn).iter())
