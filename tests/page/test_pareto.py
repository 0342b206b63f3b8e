import msgspec
import pytest
import synthetic

from toolchain.page.pareto import AXES, comparable, pareto

REPORT = synthetic.report(10, 5)


def changed(row, **fields):
    return msgspec.structs.replace(row, **fields)


def marks(section, target):
    return {row["name"]: row for row in section.chart.spec["data"]["values"] if row["target"] == target}


def of(*artifacts):
    return pareto(msgspec.structs.replace(REPORT, artifacts=artifacts))


def test_every_file_has_a_mark_on_this_machine_and_on_every_target():
    section = pareto(REPORT)
    assert section.choices[0].options == [("0", "this machine"), ("1", "board"), ("2", "phone")]
    assert {name for name, _ in section.choices[1].options} == set(AXES)
    for target in "012":
        assert marks(section, target).keys() == {row.name for row in REPORT.artifacts}


def test_what_is_needless_depends_on_the_target():
    first, second = REPORT.artifacts[4], REPORT.artifacts[3]  # an .onnx, which does not fit the board, and a .tflite that does
    assert [row.targets[0].fits for row in (first, second)] == [False, True]
    better = changed(first, gzip_bytes=10, accuracy=0.99, latency=changed(first.latency, p50_ms=0.001))
    section = of(better, second)
    assert [marks(section, "0")[row.name]["state"] for row in (better, second)] == ["front", "beaten"]
    assert [marks(section, "1")[row.name]["state"] for row in (better, second)] == ["out", "front"]
    assert marks(section, "0")[second.name]["tip"]["not needed"] == f"{better.name} is as small, as fast and as good or better"
    assert "not needed" not in marks(section, "1")[second.name]["tip"]
    misfit = changed(REPORT.artifacts[0], gzip_bytes=10**9, accuracy=0.1, targets=(changed(second.targets[0], fits=False),))
    assert "not needed" not in marks(of(misfit, second), "1")[misfit.name]["tip"], "what does not fit is not compared"
    shown = {remark.target: remark.text for remark in section.remarks if not remark.axis}
    assert shown["0"] == "1 of 2 files are on the front by download, accuracy and time for this machine; 0 do not fit."
    assert shown["1"] == "1 of 2 files are on the front by download, accuracy and time for board; 1 do not fit."


def test_the_numbers_on_a_target_say_how_they_came_about():
    row = REPORT.artifacts[3]
    tip = marks(pareto(REPORT), "1")[row.name]["tip"]
    executed, estimated, _ = row.targets[0].results
    assert tip["title"] == row.name
    assert tip["instructions"] == f"{executed.instructions:,}, executed: cortex_m"
    low, high = estimated.interval_ms
    assert tip["ms"] == f"{estimated.ms:.3g} ({low:.3g} to {high:.3g}, 90 %), estimated: x-cube-ai/cortex-m7"
    assert tip["arena"] == f"{executed.arena_bytes:,} B, executed: cortex_m"
    assert tip["fits board"] == "yes"
    assert "measured on this machine" in tip["p50"]
    assert "measured on 1,000 examples" in tip["top1"]
    assert "ms" not in marks(pareto(REPORT), "0")[row.name]["tip"]


def test_an_axis_holds_the_numbers_of_one_source_and_names_it():
    first, second, third = (REPORT.artifacts[place] for place in (1, 2, 3))
    board = third.targets[0]
    executed, estimated, _ = board.results
    vendor = changed(estimated, emulator="ethos_u", how="vendor", profile="other", ms=0.001)
    other = changed(executed, emulator="tflm", instructions=7, arena_bytes=7)
    lone = changed(third, targets=(changed(board, results=(other, vendor)),))
    section = of(first, second, lone)
    places = marks(section, "1")
    assert {"ms", "instructions", "arena"} <= places[first.name].keys()
    assert not {"ms", "ms_low", "instructions", "arena"} & places[lone.name].keys(), "of another source than most"
    assert "vendor: other" in places[lone.name]["tip"]["ms"]
    (titles,) = (one["value"] for one in section.chart.spec["params"] if one["name"] == "titles")
    assert titles["1"]["ms"] == "time on the target, ms, estimated: x-cube-ai/cortex-m7"
    assert titles["1"]["instructions"] == "instructions of one inference on the target, executed: cortex_m"
    assert titles["0"]["p50"] == AXES["p50"]


def test_of_two_sources_that_as_many_files_have_the_better_evidence_counts():
    row = REPORT.artifacts[3]
    _, estimated, _ = row.targets[0].results
    vendor = changed(estimated, emulator="ethos_u", how="vendor", profile="other", ms=0.25)
    both = changed(row, targets=(changed(row.targets[0], results=(estimated, vendor)),))
    assert marks(of(both), "1")[row.name]["ms"] == 0.25


def test_an_axis_says_which_files_it_leaves_out():
    section = pareto(REPORT)
    said = {(remark.target, remark.axis): remark.text for remark in section.remarks}
    assert said["1", "instructions"].startswith("2 of 10 files have no such number"), "the two .onnx"
    assert said["0", "ms"].startswith("10 of 10 files have no such number")
    assert ("1", "gzip") not in said


def test_a_fit_that_is_not_known_shows():
    assert {row["shape"] for row in marks(pareto(REPORT), "2").values()} == {"diamond"}
    assert marks(pareto(REPORT), "1")[REPORT.artifacts[4].name]["shape"].startswith("M")


def test_without_accuracy_the_agreement_counts_and_without_both_there_is_no_chart():
    plain = [changed(row, accuracy=None, accuracy_interval=None) for row in REPORT.artifacts]
    section = of(*plain)
    assert {row["y"] for row in marks(section, "0").values()} == {0.98}
    mute = [changed(row, agreement=None) for row in plain]
    assert of(*mute) is None
    section = of(REPORT.artifacts[0], plain[1])
    assert (section.unscored, len(marks(section, "0"))) == ((plain[1].name,), 1), "accuracy and agreement have no common axis"
    assert comparable(plain) == plain


def test_of_an_error_less_is_more():
    low, high = (
        changed(row, metric="mean_absolute_error", accuracy=value) for row, value in zip(REPORT.artifacts, (0.1, 0.5), strict=False)
    )
    alike = changed(high, gzip_bytes=low.gzip_bytes, latency=low.latency)
    section = of(low, alike)
    assert [marks(section, "0")[row.name]["state"] for row in (low, alike)] == ["front", "beaten"]
    assert section.chart.spec["layer"][2]["encoding"]["y"]["scale"]["reverse"]


@pytest.mark.parametrize("count", [0, 1])
def test_few_files(count):
    section = of(*REPORT.artifacts[:count])
    assert (section is None) == (count == 0)
