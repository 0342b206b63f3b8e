import base64
import hashlib
import re

import msgspec
import pytest
import synthetic

from toolchain.page import render
from toolchain.report import AttemptReport, Skipped, StepReport


@pytest.fixture
def found():
    """One file on two targets, made by a recipe with a bad name."""
    return msgspec.structs.replace(
        synthetic.report(1, 3), recipe="<script>alert(1)</script>", skipped=(Skipped("1 prune", "<b>layer</b>", "reason"),), attempts=()
    )


def test_the_page_is_whole_self_contained_and_escapes_names(found):
    page = render(found)
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "<b>layer" not in page
    assert "&lt;script&gt;" in page
    without_scripts = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r'(src|href)="(?!data:|#)', without_scripts)
    row = found.artifacts[0]
    on = row.targets[0]
    for shown in (
        row.name,
        f"{row.bytes:,}",
        f"{row.latency.p50_ms:.4f}",
        "board",
        "A board (Cortex-M7, 216 MHz)",
        f"{on.flash_bytes:,}",
        "identical to",
        found.host.cpu,
        "987,654",
        "shortcut_0",
    ):
        assert shown in page, shown


def test_the_page_of_one_report_is_the_same_twice(found):
    assert render(found) == render(found)


def test_what_a_report_has_nothing_for_is_left_out():
    full, bare = synthetic.report(2, 4), synthetic.report(1, 3)
    bare = msgspec.structs.replace(
        bare, steps=(), attempts=(), gate=(), artifacts=(msgspec.structs.replace(bare.artifacts[0], targets=()),)
    )
    names = ("decision", "files", "targets", "attempts", "channels", "package", "types", "ranges", "gate", "skipped", "steps")
    assert _sections(render(full), names) == list(names)
    assert _sections(render(bare), names) == ["decision", "files", "skipped", "steps"]


def _sections(page, names):
    """The page's sections among `names`; the table of contents leads to each."""
    found = [name for name in re.findall(r'<section id="(\w+)"', page) if name in names]
    assert [name for name in re.findall(r'<a href="#(\w+)"', page.split("<nav")[1].split("</nav>")[0]) if name in names] == found
    return found


def test_a_run_without_files_says_where_the_reasons_are(found):
    page = render(msgspec.structs.replace(found, artifacts=()))
    assert "made no files" in page
    assert 'id="files"' not in page


def test_attempts_show_what_each_lost_and_which_is_shipped(found):
    tried = (
        AttemptReport("plain", (), 1.5, "top1", 0.9, 0.7, 0.2, False, artifact="plain_static_w8a8.tflite"),
        AttemptReport("rounded", ("adaround",), 1.5, reason="<i>no</i> kernel"),
        AttemptReport("balanced", ("equalize",), 12.25, "top1", 0.9, 0.899, 0.001, True, artifact="static_w8a8.tflite", chosen=True),
    )
    page = render(msgspec.structs.replace(found, attempts=tried, settings={"max_accuracy_drop": 0.005}))
    for shown in (
        "at most 0.005",
        "0.2000",
        "loses too much",
        "no file",
        "&lt;i&gt;no&lt;/i&gt; kernel",
        "within the budget, <b>chosen</b>",
        "0.0010",
        "12.2",
    ):
        assert shown in page, shown


def test_types_and_ranges_of_layers_are_tables(found):
    row = {"int16": ["conv_7"], "float32": [], "cost": 0.312, "drop": 0.0021, "sqnr_db": 31.46, "bytes": 98_765}
    alone = {"layer": "<u>conv_9</u>", "operator": "CONV_2D", "work": 5, "sqnr_db": 41.37, "drop": 0.0}
    limits = {"tensor": "relu_3", "min": 0.0, "max": 5.875, "scale": 0.02304, "zero_point": -128, "clipped": 0.00012}
    steps = (
        StepReport("export static_mixed.tflite", 1.0, False, {}, {"pareto": [row], "sensitivity": [alone]}),
        StepReport("export static_w8a8.tflite", 1.0, False, {}, {"ranges": [limits]}),
    )
    page = render(msgspec.structs.replace(found, steps=steps))
    for shown in ("int16: 1 layer", "conv_7", "0.312", "0.0021", "31.5", "98,765", "&lt;u&gt;conv_9", "41.4", "5.875", "0.0120%"):
        assert shown in page, shown


def test_a_gate_shows_every_limit_with_what_was_found():
    page = render(synthetic.report(2, 4))
    table = page.split('<section id="gate"')[1].split("</section>")[0]
    rows = [
        [re.sub(r"<[^>]+>", " ", cell).split() for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)]
        for row in table.split("<tr>")[2:]
    ]
    assert [row[0][0] for row in rows] == ["max_bytes", "max_accuracy_drop", "must_fit"]
    assert rows[0][3:6] == [["3,000,000", "B"], ["2,200,000", "B"], ["passed"]]
    assert rows[1][3:6] == [["1.00%"], ["1.20%", "-0.40%", "to", "2.80%"], ["undecided"]]
    assert rows[2][2:6] == [["board"], ["yes"], ["no"], ["failed"]]
    assert "Gate closed: 1 failed, 1 undecided, 1 passed" in page


def test_the_policy_names_every_script_of_the_page(found):
    page = render(found)
    allowed = set(re.findall(r"sha256-([^&]+)&#39;", page))
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert scripts
    assert {base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts} == allowed
    assert "default-src &#39;none&#39;" in page


def test_an_unknown_number_is_a_dash_and_not_zero(found):
    (row,) = found.artifacts
    blank = msgspec.structs.replace(
        row, accuracy=None, accuracy_interval=None, accuracy_examples=None, latency=None, peak_memory_bytes=None, base_memory_bytes=None,
        nonzero_parameters=None, parameters=None, macs=None, agreement=None, answers=None,
    )  # fmt: skip
    page = render(msgspec.structs.replace(found, artifacts=(blank,)))
    table = page.split('<section id="files"')[1].split("</section>")[0]
    assert table.count('<td class="none">\N{EN DASH}</td>') == 8
    assert "None" not in table
