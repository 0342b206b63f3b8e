"""Verdicts as JUnit XML and as Markdown, also where names are hostile."""

import html
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from junitparser import Error, Failure, JUnitXml
from made_reports import artifact, lost, run

from toolchain.gate.judge import judge
from toolchain.gate.junit import junit
from toolchain.gate.limits import BaselineLimits, Limits
from toolchain.gate.markdown import markdown
from toolchain.gate.wording import COLUMNS, cells, summary
from toolchain.report import Verdict

REPORT = run(artifact(right=lost(11)))
VERDICTS = judge(REPORT, [Limits(max_bytes=999, must_fit=True, max_accuracy_drop=0.01, min_sparsity=0.7, baseline=BaselineLimits(max_gzip_bytes=1.02))],
                 run(artifact(gzip_bytes=790)))  # fmt: skip
EVIL = 'a|b<img src=x onerror=alert(1)>&amp;`c`_d_[e](http://f)\n# g @h\x00\x1b"'


def named(text):
    return [Verdict(text, text, "max_bytes", "absolute", 1, 2, None, status, text) for status in ("failed", "unknown", "inside", "passed")]


def test_every_verdict_is_a_test_case():
    found = JUnitXml.fromstring(junit(VERDICTS))
    (suite,) = found
    assert (suite.name, suite.tests, suite.failures, suite.errors) == ("secateur gate", 5, 1, 1)
    cases = {case.name: case for case in suite}
    assert all(case.classname == "static_w8a8.tflite" for case in suite)
    (failure,) = cases["max_bytes"].result
    assert isinstance(failure, Failure)
    assert failure.message == "found 1,000 B, allowed 999 B: the file"
    (error,) = cases["must_fit on *"].result
    assert isinstance(error, Error)
    assert error.message.startswith("the run put this file on none")
    assert cases["max_accuracy_drop"].result == []
    assert cases["max_accuracy_drop"].system_out.startswith("undecided: found 1.10%")
    assert cases["baseline.max_gzip_bytes"].result == []


@settings(deadline=None)
@given(st.text())
def test_any_name_is_valid_xml(text):
    root = ElementTree.fromstring(junit(named(text)))
    assert len(root.findall(".//testcase")) == 4


def test_markdown_is_a_table_with_failures_first():
    lines = markdown(REPORT, VERDICTS, REPORT).splitlines()
    assert lines[0] == "### secateur gate closed: 1 failed, 1 not known, 1 undecided, 2 passed"
    assert lines[2] == "For net.keras through mine, against net.keras through mine."
    assert lines[4] == "| " + " | ".join(COLUMNS) + " |"
    assert lines[6] == "| failed | max\\_bytes | static\\_w8a8.tflite |  | 999 B | 1,000 B |  | the file |"
    assert [line.split(" | ")[0] for line in lines[6:]] == ["| failed", "| not known", "| undecided", "| passed", "| passed"]


@pytest.mark.parametrize("text", [EVIL, "|", "\\|", "\r\n| x |", "<script>", "&lt;b>"])
def test_no_name_is_markup(text):
    rows = markdown(REPORT, named(text)).splitlines()[6:]
    assert len(rows) == 4
    for row in rows:
        assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) == len(COLUMNS) + 1
        assert "<" not in row.replace("<!-- -->", "")
        assert "@<!-- -->h" in row or "@" not in row
        assert "://" not in row
        shown = re.sub(r"\\([\\`*_\[\]|~$])", r"\1", row.replace("<!-- -->", ""))
        assert " ".join(text.split()) in html.unescape(shown)


def test_values_have_the_unit_of_their_limit():
    found = {cells(verdict).limit: cells(verdict) for verdict in VERDICTS}
    assert (found["max_bytes"].allowed, found["max_bytes"].found) == ("999 B", "1,000 B")
    assert (found["must_fit"].allowed, found["must_fit"].found, found["must_fit"].target) == ("yes", "", "*")
    assert (found["max_accuracy_drop"].allowed, found["max_accuracy_drop"].interval) == ("1.00%", "0.42% to 1.77%")
    assert found["min_sparsity"].found == "75.00%"
    assert (found["baseline.max_gzip_bytes"].allowed, found["baseline.max_gzip_bytes"].found) == ("1.02x", "1.013x")
    assert cells(Verdict("a", "pico", "max_instructions", "absolute", 2000, 1999, None, "passed", "")).found == "1,999"


def test_a_summary_counts():
    assert summary([verdict for verdict in VERDICTS if verdict.status in ("inside", "passed")]) == "gate passed: 1 undecided, 2 passed"
