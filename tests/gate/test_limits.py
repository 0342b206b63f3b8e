import msgspec
import pytest

from toolchain import recipe
from toolchain.errors import RecipeError
from toolchain.gate.limits import BaselineLimits, Limits, asked, from_tables

PLAIN = '[[export]]\nuse = "tflite"\nscheme = "float32"\n'


def written(tmp_path, text):
    (tmp_path / "mine.toml").write_text(text)
    return str(tmp_path / "mine.toml")


def test_one_table_or_several(tmp_path):
    one = recipe.load(written(tmp_path, PLAIN + "[gate]\nmax_bytes = 5\n[gate.baseline]\nmax_bytes = 1.02\n"))
    assert one.gate == (Limits(max_bytes=5, baseline=BaselineLimits(max_bytes=1.02)),)
    two = recipe.load(written(tmp_path, PLAIN + '[[gate]]\nfiles = "*.tflite"\nmax_bytes = 5\n[[gate]]\nmust_fit = true\n'))
    assert two.gate == (Limits(files="*.tflite", max_bytes=5), Limits(must_fit=True))
    assert recipe.load(written(tmp_path, PLAIN)).gate == ()


def test_a_file_may_hold_limits_and_nothing_else(tmp_path):
    assert recipe.load_gate(written(tmp_path, "[gate]\nmax_bytes = 5\n")) == (Limits(max_bytes=5),)
    assert recipe.load_gate(written(tmp_path, PLAIN)) == ()
    with pytest.raises(RecipeError, match=r"no \[\[export\]\]"):
        recipe.load(written(tmp_path, "[gate]\nmax_bytes = 5\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[gate]\nmax_byte = 5", "no key 'max_byte'; did you mean 'max_bytes'?"),
        ("[gate]\nmax_bytes = -1", r"gate\[0\].max_bytes = -1"),
        ("[gate]\nmax_accuracy_drop = 1.5", r"gate\[0\].max_accuracy_drop = 1.5"),
        ('[gate]\nmax_bytes = 1\nundecided = "maybe"', "choose from pass, fail"),
        ("[gate]\n[gate.baseline]\nmust_fit = true", r"gate\[0\].baseline: no key 'must_fit'; choose from max_accuracy_drop"),
        ("[gate]", r"gate\[0\] limits nothing; give one of max_accuracy_drop"),
        ('[gate]\nfiles = "*"\nmust_fit = false', r"gate\[0\] limits nothing"),
        ("[gate]\n[gate.baseline]", r"gate\[0\] limits nothing"),
        ("[[gate]]\nmax_bytes = 1\n[[gate]]", r"gate\[1\] limits nothing"),
        ("gate = 5", r"gate is no table; write \[gate\]"),
        ("gate = [5]", "gate is no table"),
    ],
)
def test_a_wrong_gate_is_refused(tmp_path, text, message):
    for load in (recipe.load, recipe.load_gate):
        with pytest.raises(RecipeError, match=message):
            load(written(tmp_path, text + "\n" + PLAIN if text.startswith("gate") else PLAIN + text))


def test_set_writes_into_every_table(tmp_path):
    path = written(tmp_path, PLAIN + "[[gate]]\nmax_bytes = 5\n[[gate]]\nmust_fit = true\n")
    changed = recipe.load(path, ["gate.max_bytes=7", "gate.baseline.max_bytes=1.5", "gate.files=*.tflite"]).gate
    compared = BaselineLimits(max_bytes=1.5)
    assert changed == (
        Limits(files="*.tflite", max_bytes=7, baseline=compared), Limits(files="*.tflite", max_bytes=7, must_fit=True, baseline=compared),
    )  # fmt: skip
    assert recipe.load("edge_int8", ["gate.max_bytes=7"]).gate == (Limits(max_bytes=7),)
    with pytest.raises(RecipeError, match="no key 'max_byte'"):
        recipe.load("edge_int8", ["gate.max_byte=7"])
    with pytest.raises(RecipeError, match="--set gate.max_bytes=7: gate is no table"):
        recipe.load(written(tmp_path, "gate = 5\n" + PLAIN), ["gate.max_bytes=7"])


def test_limits_from_the_command_line_are_one_table():
    found = recipe.limits_of(["files=*.onnx", "max_bytes=300_000", "must_fit=true", "baseline.max_p50_ratio=1.1"])
    assert found == (Limits(files="*.onnx", max_bytes=300_000, must_fit=True, baseline=BaselineLimits(max_p50_ratio=1.1)),)
    for wrong in ("max_bytes", "=5", ""):
        with pytest.raises(RecipeError, match="write limit=value, for example --limit max_accuracy_drop=0.01"):
            recipe.limits_of([wrong])


def test_a_report_keeps_its_gate_as_it_was_run():
    plan = recipe.load("edge_int8", ["gate.max_bytes=7", "gate.baseline.max_bytes=1.5"])
    settings = msgspec.json.decode(msgspec.json.encode(msgspec.to_builtins(plan)))
    assert from_tables(settings["gate"], "report") == plan.gate


def test_only_what_is_given_is_asked():
    assert asked(Limits(files="*", must_fit=False, max_bytes=0, undecided="fail")) == {"max_bytes": 0}
    assert asked(Limits(must_fit=True, max_accuracy_drop=0.0)) == {"max_accuracy_drop": 0.0, "must_fit": True}
    assert asked(None) == {}


@pytest.mark.parametrize("name", recipe.names())
def test_recipes_that_ship_leave_the_gate_to_the_user(name):
    assert recipe.load(name).gate == ()
