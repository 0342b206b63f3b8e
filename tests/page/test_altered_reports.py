"""Reports with other values than a run writes: what is read can be shown, and everything else is refused in one line."""

import json
import re

import msgspec
import pytest
import synthetic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolchain import report
from toolchain.errors import ToolchainError
from toolchain.page import render, runs

VALUES = (None, True, -1, 0, 1, 2**53, 10**30, 1e-300, 0.5, 1e300, "", "x", [], {})
WHOLE = json.loads(report.dumps(synthetic.report(2, 2)))


@st.composite
def altered(draw):
    """One to three values are others, of any type, or missing."""
    content = json.loads(json.dumps(WHOLE))
    for _ in range(draw(st.integers(1, 3))):
        inner, key, value = None, None, content
        while isinstance(value, dict | list) and value and (inner is None or draw(st.integers(0, 9))):
            inner, key = value, draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
            value = inner[key]
        if draw(st.booleans()) and isinstance(inner, dict):
            del inner[key]
        else:
            inner[key] = draw(st.sampled_from(VALUES))
    return json.dumps(content)


@settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(altered())
def test_what_is_read_can_be_shown(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "altered.json"
    path.write_text(content)
    try:
        found = report.load(path)
    except ToolchainError as err:
        assert "\n" not in str(err)
        return
    page = render(found) + runs.render([runs.Run("a", found), runs.Run("b", found)])
    for spec in re.findall('<script type="application/json"[^>]*>(.*?)</script>', page):
        json.loads(spec, parse_constant=pytest.fail)  # Infinity is no JSON, and no chart would be drawn


@pytest.mark.parametrize("changed", [{}, {"max_accuracy_drop": "x"}])
def test_attempts_without_the_budget_they_had(changed):
    shown = render(msgspec.structs.replace(synthetic.report(2, 2), settings=changed))
    assert "loses at most what the recipe allows on the validation split" in shown
