import re

import msgspec
import numpy as np
import pytest
from conftest import HERE, shapes
from pruned_pair import device, pair

from toolchain.benchmark import bench
from toolchain.emulator import EmulatorResult, Layer
from toolchain.page import render
from toolchain.report import AttemptReport, DataReport, ModelReport, Report, Skipped, StepReport

GROUPS = {"conv": {"layers": ["conv", "shortcut"], "before": 4321, "after": 1234}}
COUNTS = {"before": 987_654, "after": 123_456}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A file on a board, and a pruned pair on a device of our own."""
    folder = tmp_path_factory.mktemp("page")
    np.savez(folder / "shapes.npz", **dict(zip("xy", shapes(300), strict=True)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECATEUR_CACHE", str(tmp_path_factory.getbasetemp() / "compiled"))
        return (
            bench([HERE / "data" / "tiny_int8.tflite"], data=str(folder / "shapes.npz"), scale="1/255", targets=["stm32f746"]),
            bench(pair(folder), targets=[str(device(folder))]),
        )


@pytest.fixture
def found(measured):
    return Report(
        secateur="0",
        recipe="<script>alert(1)</script>",
        settings={},
        model=ModelReport("<img src=x onerror=alert(1)>", "keras", "0", 10, 5, 95, 95, "top1", 0.5, (0.4, 0.6)),
        data=DataReport("shapes", "0", 240, 30, 30, 1 / 255, 0.0, 0),
        host=measured[0].host,
        artifacts=measured[0].artifacts,
        skipped=(Skipped("1 prune", "<b>layer</b>", "reason"),),
        steps=(StepReport("1 prune_channels", 1.0, False, {}, {"groups": GROUPS, "macs": COUNTS, "params": COUNTS}),),
    )


def test_attempts_show_what_each_lost_and_which_is_shipped(found):
    tried = (
        AttemptReport("plain", (), 1.5, "top1", 0.9, 0.7, 0.2, False, artifact="plain_static_w8a8.tflite"),
        AttemptReport("rounded", ("adaround",), 1.5, reason="<i>no</i> kernel"),
        AttemptReport("balanced", ("equalize",), 12.25, "top1", 0.9, 0.899, 0.001, True, artifact="static_w8a8.tflite", chosen=True),
    )
    page = render(msgspec.structs.replace(found, attempts=tried, settings={"max_accuracy_drop": 0.005}))
    for shown in ("at most 0.005", "0.2000", "loses too much", "no file", "&lt;i&gt;no&lt;/i&gt; kernel", "chosen", "0.0010", "12.2"):
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


def test_what_pruning_saved_shows_layer_by_layer(found, measured):
    artifacts = measured[1].artifacts
    page = render(msgspec.structs.replace(found, artifacts=artifacts))
    (table,) = re.findall(r"<h2>Layers on mine: instructions, executed by cortex_m</h2>(.*?)</table>", page, re.DOTALL)
    assert re.findall(r'<th scope="col">(.*?)</th>', table) == [
        "operator", "MACs, wide.tflite", "instructions", "MACs, narrow.tflite", "instructions",
    ]  # fmt: skip
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in table.split("</tr>")[1:-1]]
    wide, narrow = (artifact.targets[0].results[0].instructions_per_layer for artifact in artifacts)
    assert rows == [
        [f"{a.index} {a.operator} <small>{a.output}</small>", *(f"{n:,}" for n in (a.macs, a.instructions, b.macs, b.instructions))]
        for a, b in zip(wide, narrow, strict=True)
    ]
    assert all(b.instructions < a.instructions for a, b in zip(wide[:3], narrow[:3], strict=True))


def test_estimated_milliseconds_of_layers_have_a_table_that_says_so(found):
    (row,) = found.artifacts
    layers = (Layer(index=0, operator="CONV_2D", output="conv/Relu;conv/BiasAdd", macs=1_234, ms=0.98765),)
    estimate = EmulatorResult(
        emulator="latency_model", how="estimated", status="ok", reason=None, ms=1.0, profile="tflm <1>", ms_per_layer=layers
    )
    targets = (msgspec.structs.replace(row.targets[0], results=(estimate,)),)
    page = render(msgspec.structs.replace(found, artifacts=(msgspec.structs.replace(row, targets=targets),)))
    assert "<h2>Layers on stm32f746: ms, estimated by latency_model, tflm &lt;1&gt;</h2>" in page
    assert "<td>0 CONV_2D <small>conv/Relu</small></td><td>1,234</td><td>0.988</td>" in page
