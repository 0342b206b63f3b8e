"""Which layer is named, from tables of numbers."""

from toolchain.fidelity.findings import LayerError, Own, Reason
from toolchain.fidelity.layers import blame, short
from toolchain.fidelity.sites import INPUT


def table(*rows: tuple[float | None, float | None], names="abcdefgh", operator="CONV_2D"):
    """Layers in a line with their accumulated and own SQNR."""
    found, before = (
        [LayerError("x", INPUT, "t", (3,), 54.0, None, None, Own(54.0, None, None, 54.0, None), 0.0, Reason("scale", "s"))],
        54.0,
    )
    for name, (level, own) in zip(names, rows, strict=False):
        made = None if own is None else Own(own, None, None, own, None)
        found.append(LayerError(name, operator, "t", (3,), level, None, before, made, 0.0, Reason("saturation", f"because of {name}", 4)))
        before = level
    return found


def test_the_first_of_those_that_are_alike_is_named_and_the_others_listed():
    found = blame(table((40, 41), (12, 12), (35, 44), (10, 11), (9, 40)))
    assert (found.layer, found.others) == ("b", ("d",))
    assert (found.reason.kind, found.reason.channel) == ("saturation", 4)
    assert found.reason.text.startswith("SQNR falls from 40.0 dB at its inputs to 12.0 dB; alone it has 12.0 dB")
    assert found.reason.text.endswith("because of b")


def test_a_mild_early_layer_does_not_take_the_blame_of_a_terrible_one():
    found = blame(table((40, 41), (26, 26), (25, 44), (24, 41), (1, 1), (1, 45)))
    assert (found.layer, found.others) == ("e", ("b",))


def test_noise_that_grows_steadily_has_no_layer():
    found = blame(table((40, 40), (37, 39), (35, 38), (33, 40), (31, 37), (29, 40)))
    assert (found.layer, found.reason.kind) == (None, "accumulated")
    assert "from 54.0 dB at x to 29.0 dB at f" in found.reason.text
    assert "e is lowest with 37.0 dB" in found.reason.text


def test_a_layer_that_adds_nothing_to_what_is_there_is_not_named():
    found = blame(table((40, 45), (38, 44), (20, 42), (19, 25), (19, 44)))
    assert found.layer is None, "d is weak alone, but the error does not jump there"


def test_where_every_layer_is_poor_the_first_is_named():
    assert blame(table((3, 3), (2, 2), (1, 1), (-1, -1), (-5, -5))).layer == "a"


def test_exact_files_and_files_that_cannot_be_judged():
    exact = [LayerError("a", "CONV_2D", "t", (3,), None, None, None, Own(None, None, None, None, None), None, None)]
    assert blame(exact).reason == Reason("none", "no layer is off: exact everywhere")
    assert blame([*exact, *table((130, 131))[1:]]).reason == Reason("none", "no layer is off: at least 130.0 dB everywhere")
    assert blame(table()).reason.kind == "unknown"
    assert blame([]).reason.text == "no tensor of the file is one of the model's"


def test_layers_in_other_scales_are_nobodys_fault_where_the_output_is_right():
    found = blame(table((1, 1), (2, 2), (90, 95)))
    assert (found.layer, found.reason.kind) == (None, "none")
    assert "compare with final.keras" in found.reason.text


def test_a_file_in_which_most_layers_have_no_tensor_is_not_judged():
    rows = table((20, 20), (10, 10))
    assert blame(rows, missing=len(rows)).layer is not None
    assert blame(rows, missing=len(rows) + 1).reason.kind == "unknown"


def test_names_of_converters():
    assert short("m/conv/BiasAdd;m/norm/x;m/conv/Conv2D") == "m/conv/BiasAdd"
    assert short("m/conv/BiasAdd/ReadVariableOp/resource;m/conv") == "m/conv/BiasAdd"
