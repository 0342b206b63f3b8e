import json

import msgspec
import pytest
import synthetic

from toolchain.page.runs import Difference, Run, differences, flat, reference, render, time

FIRST = synthetic.report(3, 3)
SECOND = msgspec.structs.replace(
    synthetic.report(4, 3, seed=1), settings=FIRST.settings | {"stages": [{"use": "prune_channels", "ratio": 0.25}], "seed": 7}
)


def test_settings_are_one_flat_table():
    assert flat({"seed": 0, "stages": [{"use": "prune", "target": {"macs": 0.5}}, {"use": "qat"}], "empty": [], "none": None}) == {
        "seed": "0", "stages.0.use": "prune", "stages.0.target.macs": "0.5", "stages.1.use": "qat", "none": "None",
    }  # fmt: skip


def test_only_what_differs_is_shown():
    assert list(differences([flat(FIRST.settings), flat(SECOND.settings)])) == [
        Difference("stages.0.ratio", ("0.5", "0.25")), Difference("seed", ("", "7")),
    ]  # fmt: skip
    assert list(differences([flat(FIRST.settings)] * 3)) == []
    assert len(list(differences([{"a": "1"}] * 2, all_of_them=True))) == 1


def test_the_reference_is_the_original_in_float():
    assert reference(FIRST) is FIRST.artifacts[0]
    named = msgspec.structs.replace(FIRST.artifacts[2], name="float32.tflite")
    report = msgspec.structs.replace(FIRST, artifacts=(*FIRST.artifacts[:2], named))
    assert reference(report) is named
    untimed = tuple(msgspec.structs.replace(row, latency=None) for row in FIRST.artifacts)
    assert reference(msgspec.structs.replace(FIRST, artifacts=untimed)) is None


def test_times_are_compared_within_their_run():
    slow, fast = FIRST.artifacts[:2]
    doubled = msgspec.structs.replace(fast.latency, samples_ms=tuple(2 * ms for ms in slow.latency.samples_ms))
    found = time(msgspec.structs.replace(fast, latency=doubled), slow)
    assert (found.ratio, *found.interval) == pytest.approx((2.0, 2.0, 2.0))
    assert time(msgspec.structs.replace(fast, latency=None), slow) is None
    other = msgspec.structs.replace(fast.latency, rounds=5)
    assert time(msgspec.structs.replace(fast, latency=other), slow).ratio is None, "not the same rounds"


def test_every_file_of_every_run_is_on_the_page():
    page = render([Run("main", FIRST), Run("out/<i>new</i>", SECOND)])
    assert page.count('<th scope="row">variant_') == 7
    assert "out/&lt;i&gt;new&lt;/i&gt;" in page
    assert "<i>" not in page
    assert "stages.0.ratio" in page
    assert "compare within a run only" in page
    assert f"{SECOND.artifacts[3].targets[0].results[0].instructions:,} instructions, executed" in page
    assert page == render([Run("main", FIRST), Run("out/<i>new</i>", SECOND)])


def test_runs_that_differ_in_nothing_say_so():
    assert "None: the recipes are the same" in render([Run("a", FIRST), Run("b", FIRST)])


def test_runs_without_files_have_a_page():
    empty = msgspec.structs.replace(FIRST, artifacts=(), gate=())
    assert "data-spec" not in render([Run("a", empty), Run("b", empty)])


def test_files_of_another_metric_are_in_the_table_and_said_to_be_in_no_chart():
    other = msgspec.structs.replace(FIRST, artifacts=(msgspec.structs.replace(FIRST.artifacts[0], name="other.tflite", metric="auc"),))
    page = render([Run("a", FIRST), Run("b", other)])
    assert "another metric was measured: other.tflite (b)." in page
    assert page.count('<th scope="row">other.tflite') == 1


def states(first, second):
    page = render([Run("a", first), Run("b", second)])
    spec = json.loads(page.partition('<script type="application/json" id="runs-pareto">')[2].partition("</script>")[0])
    return {row["name"]: row["state"] for row in spec["data"]["values"]}, page


def test_only_what_was_tested_on_the_same_data_makes_a_file_needless():
    good, bad = (
        msgspec.structs.replace(FIRST, artifacts=(msgspec.structs.replace(FIRST.artifacts[0], name=name, accuracy=value),))
        for name, value in (("good", 0.99), ("bad", 0.5))
    )
    found, page = states(good, bad)
    assert found == {"good (a)": "front", "bad (b)": "beaten"}
    assert "tested on different data" not in page
    for change in ({"digest": "2" * 64}, {"test": 50}):
        other = msgspec.structs.replace(bad, data=msgspec.structs.replace(bad.data, **change))
        found, page = states(good, other)
        assert found == {"good (a)": "front", "bad (b)": "front"}
        assert "The runs were tested on different data." in page
    assert "sha256 111111111111" in page
