import re

import pytest

from toolchain.benchmark import bench
from toolchain.page import render
from toolchain.report import DataReport, ModelReport, Report, Skipped, StepReport

GROUPS = {"conv": {"layers": ["conv", "shortcut"], "before": 4321, "after": 1234}}
COUNTS = {"before": 987_654, "after": 123_456}


@pytest.fixture
def found(tiny_int8, npz):
    measured = bench([tiny_int8], data=str(npz), scale="1/255", targets=["stm32f746"])
    return Report(
        secateur="0",
        recipe="<script>alert(1)</script>",
        settings={},
        model=ModelReport("<img src=x onerror=alert(1)>", "keras", "0", 10, 5, 95, 95, "top1", 0.5, (0.4, 0.6)),
        data=DataReport("shapes", "0", 240, 30, 30, 1 / 255, 0.0, 0),
        host=measured.host,
        artifacts=measured.artifacts,
        skipped=(Skipped("1 prune", "<b>layer</b>", "reason"),),
        steps=(StepReport("1 prune_channels", 1.0, False, {}, {"groups": GROUPS, "macs": COUNTS, "params": COUNTS}),),
    )


def test_the_page_is_whole_self_contained_and_escapes_names(found):
    page = render(found)
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "<b>layer" not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    row = found.artifacts[0]
    for shown in (
        row.name,
        f"{row.bytes:,}",
        f"{row.latency.p50_ms:.4f}",
        "stm32f746",
        "identical to",
        found.host.cpu,
        "4321",
        "1234",
        "987,654",
        "shortcut",
    ):
        assert shown in page


def test_the_page_of_one_report_is_the_same_twice(found):
    assert render(found) == render(found)
