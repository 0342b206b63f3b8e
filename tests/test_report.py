import json
from pathlib import Path

import pytest

from toolchain import report
from toolchain.errors import ToolchainError


def test_the_documented_schema_is_the_one_written():
    documented = Path(__file__).parent.parent / "docs" / "report.schema.json"
    assert json.loads(documented.read_text()) == json.loads(json.dumps(report.json_schema()))


def test_a_file_that_is_no_report_is_refused(tmp_path):
    for content in ("{", "[]", '{"schema": 2}'):
        (tmp_path / "r.json").write_text(content)
        with pytest.raises(ToolchainError, match="not a report of schema 1"):
            report.load(tmp_path / "r.json")
