import ast
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from released import HOSTILE

from toolchain.release.templates import Written, c_string, comment, environment, kotlin_string, markdown, python_string, real

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def test_a_string_as_it_is_reaches_no_code():
    template = environment("c").from_string("{{ name }}")
    with pytest.raises(TypeError, match="literal or a comment"):
        template.render(name="int x;")
    assert template.render(name=Written("x")) == "x"
    assert environment("c").from_string('{{ "a" | literal }} {{ 3 }}').render() == '"a" 3'


def test_markdown_escapes_what_nobody_marked():
    assert environment("markdown").from_string("# {{ name }}").render(name="a|b <i>") == "# a\\|b &lt;i&gt;"


@settings(max_examples=200)
@given(TEXT)
def test_python_reads_back_what_was_written(text):
    assert ast.literal_eval(python_string(text)) == text
    assert python_string(text).isascii()


@settings(max_examples=200)
@given(TEXT)
def test_c_bytes_are_those_of_the_text(text):
    written = c_string(text)
    assert written.isascii()
    inner, found = written[1:-1], []
    while inner:
        size = 4 if inner[0] == "\\" else 1
        found.append(int(inner[1:4], 8) if size == 4 else ord(inner[0]))
        inner = inner[size:]
    assert bytes(found) == text.encode()
    assert not {'"', "?", "\n"} & set(written[1:-1])


@settings(max_examples=200)
@given(TEXT)
def test_kotlin_is_json_without_templates(text):
    written = kotlin_string(text)
    assert json.loads(written.replace("\\$", "$").replace("\\\\$", "\\$") if "$" not in text else json.dumps(text)) == text
    assert written.isascii()
    assert "$" not in written.replace("\\\\", "").replace("\\$", "")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_comment_stays_one(text):
    found = comment(text)
    assert found.isascii()
    assert not any(mark in found for mark in ("*/", "//", "\n", '"""', "{{", "\\"))


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_is_one_line_of_text(text):
    found = markdown(text)
    assert "\n" not in found
    assert not set("<>") & set(found)
    for mark in "`*_[]|{}":
        assert found.count(mark) == found.count(f"\\{mark}")


@pytest.mark.parametrize(
    ("value", "literal"),
    [(0.5, "0.5f"), (1.0, "1.0f"), (-3.0, "-3.0f"), (1e-9, "1e-09f"), (1 / 255, "0.00392156863f"), (123456789012.0, "1.23456789e+11f")],
)
def test_reals_are_float_literals(value, literal):
    assert real(value) == literal
