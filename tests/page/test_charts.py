"""The charts as a reader meets them, in Chromium, and against the schema of Vega-Lite."""

import importlib.util
import json
from pathlib import Path

import msgspec
import pytest
import synthetic
from browser import chromium as browser
from browser import opened
from test_curves import CONV, HEAD, measured

from toolchain.page import bundle, render, runs
from toolchain.page.charts import COLOURS, short
from toolchain.page.classes import classes
from toolchain.page.curves import sensitivity
from toolchain.page.distributions import latency
from toolchain.page.pareto import pareto

REPORT = synthetic.report(6, 5)
CURVES = measured(CONV, HEAD)
DRAWN = "document.querySelectorAll('section:has([data-spec]):not([data-drawn])').length === 0"
PAPERS = ("#ffffff", "#14171a")


def specs(report):
    shapes = latency(report)
    made = (pareto(report).chart, sensitivity(CURVES).chart, shapes.shapes, shapes.drift, classes(report).change, *classes(report).matrices)
    return {chart.name: chart.spec for chart in made}


@pytest.fixture(scope="module")
def schema():
    """The validator of Vega-Lite's own schema, which comes with Altair."""
    validators = pytest.importorskip("jsonschema", reason="no check of the charts' syntax without it; run: pip install jsonschema")
    found = importlib.util.find_spec("altair")
    if found is None:
        pytest.skip("no check of the charts' syntax without Vega-Lite's schema; run: pip install altair")
    content = (Path(found.origin).parent / "vegalite" / "v6" / "schema" / "vega-lite-schema.json").read_text()
    return validators.Draft7Validator(json.loads(content))


@pytest.mark.parametrize("name", specs(REPORT))
def test_charts_are_valid_vega_lite(schema, name):
    spec = specs(REPORT)[name]
    assert list(schema.iter_errors(spec)) == []
    assert list(schema.iter_errors(spec | {"marks": "circle"})), "a schema that allows everything tests nothing"


def test_the_chart_of_several_runs_is_valid_vega_lite(schema):
    page = runs.render([runs.Run("a", REPORT), runs.Run("b", REPORT)])
    spec = page.partition('<script type="application/json" id="runs-pareto">')[2].partition("</script>")[0]
    assert list(schema.iter_errors(json.loads(spec))) == []


def luminance(colour):
    """WCAG 2.2, relative luminance."""
    channels = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("colour", COLOURS)
def test_colours_stand_out_in_light_and_dark(colour):
    for paper in PAPERS:
        bright, dim = sorted((luminance(colour), luminance(paper)), reverse=True)
        assert (bright + 0.05) / (dim + 0.05) >= 3, paper


def test_numbers_of_charts_have_four_digits():
    assert [short(value) for value in (0.0, 1.23456, 0.000123456, 98765.4, -2.71828)] == [0.0, 1.235, 0.0001235, 98770.0, -2.718]


@pytest.fixture(scope="module")
def chromium():
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Files by name."""
    folder = tmp_path_factory.mktemp("charts")
    hostile = synthetic.hostile(value=REPORT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECATEUR_CACHE", str(tmp_path_factory.getbasetemp() / "compiled"))
        bundle.javascript()
    content = {
        "few": render(REPORT, CURVES),
        "many": render(synthetic.report()),
        "one": render(synthetic.report(1, 3)),
        "hostile": render(hostile, synthetic.hostile(type(CURVES), CURVES)),
        "runs": runs.render([runs.Run("main", REPORT), runs.Run("new", REPORT)]),
        "hostile_runs": runs.render([runs.Run("main", hostile), runs.Run(synthetic.HOSTILE, hostile)]),
    }
    for name, page in content.items():
        (folder / f"{name}.html").write_text(page)
    return {name: folder / f"{name}.html" for name in content}


@pytest.fixture
def page(chromium, pages):
    with opened(chromium, pages["few"]) as found:
        found.page.wait_for_function(DRAWN)
        yield found.page


def marks(page):
    return page.locator("#pareto .files_marks path")


def told(page):
    """Names by what the mark looks like: filled with ink where it is not on the front."""
    return {one.get_attribute("aria-label"): one.get_attribute("fill") for one in marks(page).all()}


@pytest.mark.parametrize(("name", "width"), [("many", 1440), ("many", 360), ("one", 360), ("runs", 820)])
def test_every_file_has_a_mark(chromium, pages, name, width):
    files = {"many": 30, "one": 1, "runs": 12}[name]
    with opened(chromium, pages[name], width) as found:
        found.page.wait_for_function(DRAWN)
        assert marks(found.page).count() == files
        assert found.page.evaluate("document.documentElement.scrollWidth") <= width
        for plot in found.page.locator(".plot svg.marks").all():
            box = plot.bounding_box()
            assert box["width"] > 250
            assert box["x"] + box["width"] <= width


def test_pointing_at_a_file_shows_its_numbers_and_how_they_came_about(page):
    mark = marks(page).last
    name = mark.get_attribute("aria-label")
    (row,) = (row for row in REPORT.artifacts if row.name == name)
    mark.hover()
    tip = page.locator("#vg-tooltip-element")
    tip.wait_for(state="visible")
    assert tip.locator("h2").inner_text() == name
    shown = tip.inner_text()
    assert f"{row.latency.p50_ms:.3g} ms" in shown
    assert "measured on this machine" in shown
    assert "95 % interval" in shown
    page.mouse.move(0, 0)
    tip.wait_for(state="hidden")


def test_another_target_greys_other_files(page):
    here = told(page)
    page.locator("#pareto select").first.select_option("board")
    page.wait_for_function("before => JSON.stringify([...document.querySelectorAll('#pareto .files_marks path')].map(one => one.getAttribute('fill'))) !== before",
                           arg=json.dumps(list(here.values())).replace(", ", ","))  # fmt: skip
    board = told(page)
    assert here.keys() == board.keys()
    states = {row["name"]: row["state"] for row in pareto(REPORT).chart.spec["data"]["values"] if row["target"] == "1"}
    assert {name: fill == "currentColor" for name, fill in board.items()} == {name: state != "front" for name, state in states.items()}
    (remark,) = (one for one in page.locator("#pareto [data-target]").all() if one.is_visible())
    assert "for board" in remark.inner_text()


def test_the_keyboard_chooses_what_lies_to_the_right(page):
    axes = page.locator("#pareto select").nth(1)
    axes.focus()
    page.keyboard.press("p")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#pareto .role-title text').textContent.startsWith('p50')")
    assert marks(page).count() == 6


def test_an_axis_without_numbers_says_so(page):
    page.locator("#pareto select").nth(1).select_option("instructions")
    page.wait_for_function("document.querySelectorAll('#pareto .files_marks path').length === 0")
    assert "6 of 6 files have no such number" in page.locator("#pareto [aria-live]").inner_text()


def test_names_of_the_front_do_not_touch(chromium, pages):
    with opened(chromium, pages["many"]) as found:
        found.page.wait_for_function(DRAWN)
        names = found.page.locator("#pareto .names text:not([opacity='0'])").all()
        boxes = [one.bounding_box() for one in names if one.text_content()]
        assert boxes
        for place, a in enumerate(boxes):
            for b in boxes[:place]:
                apart = a["x"] >= b["x"] + b["width"] or b["x"] >= a["x"] + a["width"]
                assert apart or a["y"] >= b["y"] + b["height"] or b["y"] >= a["y"] + a["height"]


def test_a_chosen_file_has_its_samples_matrix_and_changed_examples(page):
    name = REPORT.artifacts[5].name
    page.locator("#classes select").select_option(name)
    page.wait_for_function(
        "name => [...document.querySelectorAll('#classes .pair h3 span')].find(one => !one.hidden)?.textContent === name", arg=name
    )
    visible = [one.inner_text() for one in page.locator("#classes > div[data-file] > p").all() if one.is_visible()]
    assert visible[0].startswith(f"{name} answers")
    assert page.locator("#classes ul.examples:visible").count() <= 1
    samples = page.locator("#latency .plot").nth(1).locator(".role-mark path")
    assert samples.count() == len(REPORT.artifacts[5].latency.samples_ms) + len(REPORT.artifacts) + 1, "samples of one file, medians of all"
    before = samples.first.get_attribute("d") or samples.first.get_attribute("transform")
    page.locator("#latency select").select_option(name)
    page.wait_for_function(
        "before => { const one = document.querySelectorAll('#latency .plot')[1].querySelector('.mark-symbol path'); return one && one.getAttribute('transform') !== before; }",
        arg=before,
    )


def test_a_chosen_group_stands_out(page):
    lines = page.locator("#sensitivity .mark-line path")
    assert lines.count() == 2
    page.locator("#sensitivity select").select_option("head")
    page.wait_for_function(
        "[...document.querySelectorAll('#sensitivity .mark-line path')].some(one => Number(one.getAttribute('opacity')) < 0.5)"
    )
    assert sorted((one.get_attribute("stroke"), one.get_attribute("opacity")) for one in lines.all()) == [
        (COLOURS[1], "0.7"),
        ("currentColor", "0.15"),
    ]


def test_charts_take_the_colour_of_the_page(chromium, pages):
    inks = set()
    for scheme in ("light", "dark"):
        with opened(chromium, pages["few"], scheme=scheme) as found:
            found.page.wait_for_function(DRAWN)
            inks.add(found.page.evaluate("getComputedStyle(document.querySelector('#pareto .role-axis-label text')).fill"))
            found.page.emulate_media(color_scheme="dark" if scheme == "light" else "light")
            inks.add(found.page.evaluate("getComputedStyle(document.querySelector('#pareto .role-axis-label text')).fill"))
    assert inks == {"rgb(26, 29, 33)", "rgb(230, 232, 234)"}, "also after a change, without being drawn again"


def test_names_from_outside_stay_text_in_charts_and_tips(chromium, pages):
    for name in ("hostile", "hostile_runs"):
        with opened(chromium, pages[name]) as found:
            found.page.wait_for_function(DRAWN)
            marks(found.page).last.hover()
            tip = found.page.locator("#vg-tooltip-element")
            tip.wait_for(state="visible")
            assert synthetic.HOSTILE in tip.locator("h2").inner_text()
            assert found.page.locator("img[src='x'], [onerror]").count() == 0
            for choice in found.page.locator("select[data-signal]").all():
                for place in range(choice.locator("option").count()):
                    choice.select_option(index=place)
            assert found.page.locator("img[src='x'], [onerror]").count() == 0


@pytest.mark.parametrize(("name", "width", "scheme"), [("few", 1440, "dark"), ("few", 360, "light"), ("runs", 820, "light")])
def test_axe_finds_nothing_serious_in_charts(chromium, pages, name, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    with opened(chromium, pages[name], width, scheme, bypass_csp=True) as found:  # for axe's own script
        found.page.wait_for_function(DRAWN)
        violations = axe.run(found.page).response["violations"]
        assert [(one["id"], one["nodes"][0]["html"]) for one in violations if one["impact"] in ("serious", "critical")] == []


def test_paper_has_the_charts_and_not_their_lists(chromium, pages):
    with opened(chromium, pages["few"]) as found:
        found.page.wait_for_function(DRAWN)
        found.page.emulate_media(media="print")
        found.page.set_viewport_size({"width": 700, "height": 900})
        for plot in found.page.locator(".plot svg.marks").all():
            assert plot.is_visible()
            assert plot.bounding_box()["width"] <= 700
        assert not found.page.locator(".chooser").first.is_visible()


def test_without_scripts_the_tables_stand_for_the_charts(chromium, pages):
    with opened(chromium, pages["few"], java_script_enabled=False) as found:
        assert found.page.locator(".plot svg.marks").count() == 0
        assert "The chart needs JavaScript" in found.page.locator("#pareto").inner_text()
        found.page.locator("#classes summary").click()
        assert found.page.locator("#classes td:visible").count() >= synthetic.CLASSES * len(REPORT.artifacts)


def test_a_report_without_results_has_no_charts():
    empty = msgspec.structs.replace(REPORT, artifacts=(), gate=())
    assert "data-spec" not in render(empty)
    assert "vegaEmbed" not in render(empty)
