"""Verdicts as JUnit XML, which continuous integration shows as tests: one test case a verdict."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

from toolchain.gate.wording import cells
from toolchain.report import Verdict

NOT_XML: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML 1.0 document may hold (production 2, Char)."""


def junit(verdicts: Sequence[Verdict]) -> bytes:
    """The document; a failed limit is a failure, one that could not be checked an error."""
    suite = TestSuite("secateur gate")
    for verdict in verdicts:
        words = cells(verdict)
        case = TestCase(_clean(f"{words.limit} on {words.target}" if words.target else words.limit), _clean(words.file))
        found = f"found {words.found}{f' ({words.interval})' if words.interval else ''}, allowed {words.allowed}: {words.said}"
        message = _clean(found if words.found else words.said)
        if verdict.status in ("failed", "unknown"):
            case.result = [(Failure if verdict.status == "failed" else Error)(message, words.limit)]
        case.system_out = f"{words.outcome}: {message}"
        suite.add_testcase(case)
    document = JUnitXml("secateur")
    document.add_testsuite(suite)
    content: bytes = document.tostring()  # type: ignore[no-untyped-call]
    return content


def _clean(text: str) -> str:
    return NOT_XML.sub("\ufffd", text)
