import re

import msgspec
import pytest
import synthetic
from browser import chromium as browser
from browser import opened
from pruned_pair import device, pair

from toolchain.benchmark import bench
from toolchain.emulator import EmulatorResult, Layer
from toolchain.layer_reports import facts
from toolchain.page import layers, render
from toolchain.page.templates import environment
from toolchain.report import LayerReport, TargetReport
from toolchain.tflite_file import TfliteFile

replaced = msgspec.structs.replace


def layer(index=0, **facts):
    known = {"name": "conv + norm", "operator": "CONV_2D", "reads": (index - 1,), "shape": (1, 4, 4, 8), "channels_before": None}
    return LayerReport(**{**known, "index": index, "parameters": 100, "nonzero_parameters": 75, "macs": 1000, "channels": 8, **facts})


def result(unit, *costs, **facts):
    """What an emulator found of the layers 0, 1 and so on."""
    found = tuple(Layer(index=i, operator="CONV_2D", output=f"{i}", macs=0, **{unit: cost}) for i, cost in enumerate(costs))
    return EmulatorResult(
        **{"emulator": "cortex_m", "how": "executed", "status": "ok", "reason": None, f"{unit}_per_layer": found, **facts}
    )


def report(**files):
    """Files by name, each with its layers and what emulators of the target "board" found."""
    like = synthetic.report(1, 1)
    rows = tuple(
        replaced(like.artifacts[0], name=f"{name}.tflite", layers=found, targets=(TargetReport("board", True, (), 1, 1, results),))
        for name, (found, *results) in files.items()
    )
    return replaced(like, artifacts=rows, attempts=(), gate=())


def columns(found, file=0):
    return {column.title: column for column in layers.section(found)[file].columns}


def texts(column):
    return [(cell.text, cell.small) for cell in column.cells]


def test_what_a_layer_holds_and_computes():
    found = columns(report(net=((layer(channels_before=12), layer(1, parameters=0, macs=0, channels=None), layer(2, macs=250)),)))
    assert list(found) == ["channels", "parameters", "zeros", "MACs"], "no errors and no costs are known"
    assert [cell.text for cell in found["channels"].cells] == ["12 → 8", "", "8"]
    assert [cell.text for cell in found["zeros"].cells] == ["25.0%", "", "25.0%"]
    assert [(cell.value, cell.bar) for cell in found["MACs"].cells] == [(1000, 100), (None, None), (250, 25)]


def test_the_worst_error_is_marked_once_and_the_bar_grows_with_the_noise():
    given = [(45.0, 45.0), (None, 20.0), (25.2, 20.0), (10.0, -300.0)]
    found = columns(report(net=(tuple(layer(i, own_db=own, level_db=level) for i, (own, level) in enumerate(given)),)))
    alone, accumulated = found["alone dB"].cells, found["accumulated dB"].cells
    assert [(cell.text, cell.small, cell.bar, cell.state) for cell in alone] == [
        ("45.0", "", 25, ""), ("", "", None, ""), ("25.2", "", 58, "fair"), ("10.0", "worst", 83, "poor worst"),
    ]  # fmt: skip
    assert [(cell.text, cell.small, cell.bar) for cell in accumulated] == [
        ("45.0", "", 25), ("20.0", "", 67), ("20.0", "", 67), ("lost", "worst", 100),
    ]  # fmt: skip


def test_costs_come_by_the_place_of_the_operator_and_say_how():
    """An emulator may leave operators out: those have no number, and none gets another's."""
    estimate = result("ms", 0.98765, how="estimated", emulator="latency_model", profile="tflm/cortex-m7")
    count = result("instructions", 1234, 5678)
    count = replaced(count, instructions_per_layer=tuple(replaced(one, index=one.index + 1) for one in count.instructions_per_layer))
    found = columns(report(net=((layer(), layer(1), layer(2)), count, estimate)))
    assert [cell.text for cell in found["instructions"].cells] == ["", "1,234", "5,678"]
    assert found["instructions"].small == "board, executed: cortex_m"
    assert [cell.text for cell in found["ms"].cells] == ["0.988", "", ""]
    assert found["ms"].small == "board, estimated: tflm/cortex-m7"


def test_changes_are_against_the_originals_file_of_the_same_layers():
    whole, half = (layer(), layer(1)), (layer(parameters=50, macs=250), layer(1))
    other = (layer(), layer(1, operator="MEAN"))
    given = report(
        original_float=(whole, result("instructions", 400, 100)),
        pruned=(half, result("instructions", 300, 100)),
        elsewhere=(half, result("instructions", 300, 100, emulator="tflm")),
        other=(other,),
    )
    assert [table.against for table in layers.section(given)] == [None, "original_float.tflite", "original_float.tflite", None]
    pruned = columns(given, 1)
    assert texts(pruned["parameters"]) == [("50", "-50%"), ("100", "")]
    assert texts(pruned["MACs"]) == [("250", "-75%"), ("1,000", "")]
    assert texts(pruned["instructions"]) == [("300", "-25%"), ("100", "")]
    assert texts(columns(given, 2)["instructions"]) == [("300", ""), ("100", "")], "another emulator's numbers do not compare"
    assert texts(columns(given, 3)["MACs"]) == [("1,000", ""), ("1,000", "")]


def test_the_originals_file_of_the_same_scheme_comes_before_others():
    found = report(original_a=((layer(),),), original_b=((layer(),),), small=((layer(),),))
    rows = [replaced(row, scheme=scheme) for row, scheme in zip(found.artifacts, ("float32", "static_w8a8", "static_w8a8"), strict=True)]
    assert layers.section(replaced(found, artifacts=tuple(rows)))[2].against == "original_b.tflite"


def test_the_recommended_file_is_shown_first():
    found = synthetic.report(6, 3)
    (shown,) = [table.name for table in layers.section(found) if table.chosen]
    assert f"Ship <b>{shown}</b>" in re.sub(r"\s+", " ", render(found))


def test_a_report_without_layers_has_no_such_section():
    found = synthetic.report(2, 3)
    page = render(replaced(found, artifacts=tuple(replaced(row, layers=()) for row in found.artifacts)))
    assert layers.section(replaced(found, artifacts=())) == ()
    assert 'id="layers"' not in page


def partial(found):
    return environment().get_template("layers.html.j2").render(report=found, layers=layers.section(found))


def test_names_from_models_are_text_wherever_they_stand():
    hostile = synthetic.HOSTILE
    found = partial(report(**{hostile: ((layer(name=hostile, operator=hostile), layer(1)), result("ms", 1.0, profile=hostile))}))
    assert "<img" not in found
    assert "49" not in re.findall(r"\{\{.*?\}\}|49", found)
    assert found.count("&lt;img src=x onerror=alert(1)&gt;") >= 5, "file, layer, operator, box and profile"


def test_what_pruning_saved_shows_layer_by_layer(tmp_path, compiled_once):
    """A real pair of files on an emulated core: every number of the table is one of the emulator's."""
    files = pair(tmp_path)
    measured = bench(files, targets=[str(device(tmp_path))]).artifacts
    names = ("original_wide.tflite", "narrow.tflite")
    rows = tuple(
        replaced(row, name=name, layers=tuple(facts(TfliteFile.read(file)))) for row, name, file in zip(measured, names, files, strict=True)
    )
    narrow = layers.section(replaced(synthetic.report(1, 1), artifacts=rows))[1]
    wide, slim = (row.targets[0].results[0].instructions_per_layer for row in rows)
    (instructions,) = [column for column in narrow.columns if column.title == "instructions"]
    assert instructions.small == "mine, executed: cortex_m"
    assert texts(instructions) == [
        (f"{b.instructions:,}", f"{b.instructions / a.instructions - 1:+.0%}" if a.instructions != b.instructions else "")
        for a, b in zip(wide, slim, strict=True)
    ]
    assert all(cell.small.startswith("-") for cell in instructions.cells[:3])
    assert narrow.against == "original_wide.tflite"


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    file = tmp_path_factory.mktemp("layers") / "report.html"
    file.write_text(render(synthetic.report(6, 200)))
    return file


@pytest.fixture(scope="module")
def chromium():
    with browser() as found:
        yield found


def lit(page):
    return page.evaluate(
        "[...document.querySelectorAll('details.picked .lit[data-layer]')].map((one) => `${one.localName} ${one.dataset.layer}`).sort()"
    )


class TestInChromium:
    def test_a_file_is_chosen_and_its_table_sorts(self, chromium, large):
        with opened(chromium, large) as found:
            page, choice = found.page, found.page.locator(".layers-choice select")
            assert page.locator("details.layers[open]").count() == 1
            assert page.locator("details.layers[open] tbody tr").count() == 200
            other = next(
                value
                for value in choice.locator("option").evaluate_all("all => all.map((one) => one.value)")
                if value != choice.input_value()
            )
            choice.select_option(other)
            assert page.locator("details.layers:visible").evaluate_all("all => all.map((one) => one.id)") == [other]
            cells = page.locator(f"#{other} tbody td:nth-child(5)")
            page.locator(f"#{other} thead th:nth-child(5) button").click()
            numbers = [int(text.split("\n")[0].replace(",", "")) for text in cells.all_inner_texts()]
            assert numbers == sorted(numbers)
            assert numbers[0] < numbers[-1]

    def test_rows_and_boxes_light_one_another(self, chromium, large):
        with opened(chromium, large, reduced_motion="reduce") as found:
            page = found.page
            rows, boxes = page.locator("details.picked tbody tr"), page.locator("details.picked .graph g[data-layer]")
            rows.nth(7).hover()
            assert lit(page) == ["g 7", "tr 7"]
            boxes.nth(3).hover()
            assert lit(page) == ["g 2", "tr 2"], "the first box is the input"
            page.locator("h1").hover()
            assert lit(page) == []
            rows.nth(150).locator("a").focus()
            assert lit(page) == ["g 150", "tr 150"]
            graph, box = page.locator("details.picked .graph").bounding_box(), boxes.nth(151).bounding_box()
            assert graph["y"] <= box["y"]
            assert box["y"] + box["height"] <= graph["y"] + graph["height"], "the graph was scrolled to the box"
            page.keyboard.press("Tab")
            assert lit(page) == ["g 151", "tr 151"]

    def test_without_scripts_every_file_is_there(self, chromium, large):
        with opened(chromium, large, java_script_enabled=False) as found:
            files = found.page.locator("details.layers")
            assert files.count() == 5, "every fifth of the six is an ONNX"
            assert found.page.locator("details.layers tbody tr").count() == 5 * 200
            files.last.locator("summary").click()
            assert files.last.locator("tbody tr").first.is_visible()
            assert found.page.locator(".layers-choice").is_hidden()

    def test_paper_has_every_file(self, chromium, large):
        with opened(chromium, large) as found:
            found.page.evaluate("dispatchEvent(new Event('beforeprint'))")
            found.page.emulate_media(media="print")
            tables = found.page.locator("details.layers table")
            assert tables.count() == 5
            assert all(table.is_visible() for table in tables.all())
