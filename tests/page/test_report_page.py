"""The report's page as a reader meets it, in Chromium: the large report has 30 files and 200 layers."""

import io
import re

import pytest
import synthetic
from browser import chromium as browser
from browser import opened
from PIL import Image

from toolchain.page import render

AXE_SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def chromium():
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Files by name."""
    folder = tmp_path_factory.mktemp("pages")
    reports = {"large": synthetic.report(), "small": synthetic.report(2, 5), "hostile": synthetic.hostile(value=synthetic.report(3, 8))}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECATEUR_CACHE", str(tmp_path_factory.getbasetemp() / "compiled"))
        for name, report in reports.items():
            (folder / f"{name}.html").write_text(render(report))
    return {file.stem: file for file in folder.iterdir()}


@pytest.fixture
def large(chromium, pages):
    with opened(chromium, pages["large"]) as found:
        yield found.page


def column(page, section, title):
    """The texts of a column of a section's table, in the order on the screen."""
    titles = page.locator(f"#{section} thead th").all_inner_texts()
    return page.locator(f"#{section} tbody tr > :nth-child({titles.index(title) + 1})").all_inner_texts()


def heading(page, section, title):
    """A heading of a section's table."""
    return page.locator(f"#{section} thead th", has_text=re.compile(f"^{title}$"))


def first_line(cells):
    return [cell.split("\n")[0] for cell in cells]


def test_the_decision_comes_first_and_names_the_file_for_the_board(large):
    assert large.locator("main h2").first.inner_text() == "What to ship"
    choice = large.locator(".choice").first
    assert choice.locator("h3").inner_text().startswith("board A board")
    assert choice.locator(".ship").inner_text().startswith("Ship variant_")
    box = choice.bounding_box()
    assert box["y"] + box["height"] < 900, "below the first screen"


def test_a_click_on_a_heading_sorts_by_number_and_a_second_one_turns_it_around(large):
    numbers = [int(cell.replace(",", "")) for cell in column(large, "files", "bytes")]
    assert numbers != sorted(numbers)
    bytes_heading = heading(large, "files", "bytes")
    assert bytes_heading.get_attribute("aria-sort") is None
    bytes_heading.locator("button").click()
    assert [int(cell.replace(",", "")) for cell in column(large, "files", "bytes")] == sorted(numbers)
    assert bytes_heading.get_attribute("aria-sort") == "ascending"
    bytes_heading.locator("button").click()
    assert [int(cell.replace(",", "")) for cell in column(large, "files", "bytes")] == sorted(numbers, reverse=True)
    assert bytes_heading.get_attribute("aria-sort") == "descending"


def test_the_keyboard_sorts_and_only_one_column_says_so(large):
    heading(large, "files", "bytes").locator("button").click()
    large.keyboard.press("Shift+Tab")
    assert large.evaluate("document.activeElement.textContent") == "file"
    large.keyboard.press("Enter")
    names = first_line(column(large, "files", "file"))
    assert names == sorted(names)
    assert large.locator("#files th[aria-sort]").all_inner_texts() == ["file"]
    large.keyboard.press("Space")
    assert first_line(column(large, "files", "file")) == sorted(names, reverse=True)


def test_what_is_unknown_comes_last_whichever_way_it_is_sorted(large):
    for _ in range(2):
        heading(large, "targets", "instructions").locator("button").click()
        cells = column(large, "targets", "instructions")
        known = [cell for cell in cells if cell != "\N{EN DASH}"]
        assert 0 < len(known) < len(cells)
        assert cells[: len(known)] == known


def test_the_large_report_is_there_within_a_second(chromium, pages):
    """By the clock, or on a busy machine by the processor time of the page's thread; the best of three times."""
    taken = []
    for _ in range(3):
        with chromium.new_context() as context:
            page = context.new_page()
            devtools = context.new_cdp_session(page)
            devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
            page.goto(pages["large"].as_uri())
            metrics = {one["name"]: one["value"] for one in devtools.send("Performance.getMetrics")["metrics"]}
            clock = page.evaluate("performance.timing.loadEventEnd - performance.timing.navigationStart")
            assert page.locator("#files tbody tr").count() == 30
            assert clock > 0
            assert metrics["TaskDuration"] > 0.05
            taken.append(min(clock / 1000, metrics["TaskDuration"]))
    assert min(taken) < 1, taken


@pytest.mark.parametrize("name", ["large", "small"])
def test_a_phone_scrolls_tables_and_never_the_page(chromium, pages, name):
    with opened(chromium, pages[name], width=360) as found:
        found.page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        wide, inner = found.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide <= inner == 360
        scroll = found.page.locator("#files .scroll")
        assert scroll.get_attribute("aria-label") == "Table: Files"
        assert scroll.get_attribute("tabindex") == "0", "not every browser lets a region that scrolls take the focus by itself"
        assert scroll.evaluate("one => one.scrollWidth > one.clientWidth"), "a table that does not scroll tests nothing"
        left = scroll.locator("tbody th").first.bounding_box()["x"]
        scroll.focus()
        found.page.keyboard.press("ArrowRight")
        found.page.wait_for_timeout(300)
        assert scroll.evaluate("one => one.scrollLeft") > 0
        assert scroll.locator("tbody th").first.bounding_box()["x"] == pytest.approx(left, abs=1), "the first column stays"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_shade_shows_that_a_table_goes_on(chromium, pages, scheme):
    with opened(chromium, pages["small"], width=360, scheme=scheme) as found:
        scroll = found.page.locator("#files .scroll")
        box = scroll.locator("tbody tr").first.bounding_box() | {"width": 1}
        box["x"] = scroll.evaluate("one => one.getBoundingClientRect().right") - 2
        scroll.scroll_into_view_if_needed()

        def edge():
            at = scroll.locator("tbody tr").first.bounding_box()["y"]
            content = found.page.screenshot(clip=box | {"y": at + 2, "height": 4})
            return Image.open(io.BytesIO(content)).convert("RGB").getpixel((0, 0))

        paper = {"light": (255, 255, 255), "dark": (20, 23, 26)}[scheme]
        assert max(abs(a - b) for a, b in zip(edge(), paper, strict=True)) > 30
        scroll.evaluate("one => { one.scrollLeft = one.scrollWidth; }")
        assert edge() == paper, "at the end there is none"


def test_light_and_dark_differ_and_both_are_drawn(chromium, pages):
    shots = []
    for scheme in ("light", "dark"):
        with opened(chromium, pages["small"], scheme=scheme) as found:
            shots.append((found.page.screenshot(), found.page.evaluate("getComputedStyle(document.body).backgroundColor")))
    assert shots[0][0] != shots[1][0]
    assert [background for _, background in shots] == ["rgb(255, 255, 255)", "rgb(20, 23, 26)"]


def test_paper_shows_every_section_and_opens_what_is_folded(chromium, pages):
    with opened(chromium, pages["small"]) as found:
        page = found.page
        assert page.locator("details").count() > 0
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.locator("details:not([open])").count() == 0
        assert page.locator("main > section:visible").count() == page.locator("main > section").count() > 10
        assert not page.locator("nav").is_visible()
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.locator("details:not([open])").count() > 0


def test_without_scripts_the_page_is_complete(chromium, pages):
    with opened(chromium, pages["small"], java_script_enabled=False) as found:
        assert found.page.locator("main > section:visible").count() > 10
        assert found.page.locator("button").count() == 0
        assert len(column(found.page, "files", "file")) == 2


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (360, "dark"), (1440, "dark"), (360, "light")])
def test_axe_finds_nothing_serious(chromium, pages, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    with opened(chromium, pages["small"], width, scheme, bypass_csp=True) as found:  # for axe's own script
        assert found.page.locator(".plot svg").count() > 3
        found.page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        violations = axe.run(found.page).response["violations"]
        serious = [
            (one["id"], one["help"], [node["html"] for node in one["nodes"]][:3]) for one in violations if one["impact"] in AXE_SERIOUS
        ]
        assert serious == []


def test_names_from_outside_stay_text(chromium, pages):
    with opened(chromium, pages["hostile"]) as found:
        page = found.page
        assert page.locator("img[src='x']").count() == 0
        assert page.locator("[onerror]").count() == 0
        assert synthetic.HOSTILE in page.locator("h1").inner_text()
        for button in page.locator("th button").all():
            if button.is_visible():
                button.click()
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        assert synthetic.HOSTILE in page.locator("main").inner_text()
        assert "49" not in page.locator("h1").inner_text()


def test_the_policy_stops_a_script_that_escaping_missed(chromium, pages, tmp_path):
    file = tmp_path / "injected.html"
    file.write_text(
        pages["small"]
        .read_text()
        .replace("<main>", "<main><img src='data:,' onerror='document.title = \"ran\"'><script>document.title = 'ran'</script>")
    )
    with pytest.raises(AssertionError, match="Content Security Policy"), opened(chromium, file) as found:
        found.page.wait_for_timeout(100)
        assert found.page.title() != "ran"
