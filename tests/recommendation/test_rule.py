import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recommended import artifact, on, report, timed

from toolchain.recommendation import recommend
from toolchain.report import AttemptReport, Verdict


def first(*artifacts, **settings):
    return recommend(report(*artifacts, **settings))[0]


def test_among_files_that_fit_and_lose_nothing_the_least_time_wins():
    small = artifact("small.tflite", on(ms=9.0), bytes=100)
    quick = artifact("quick.tflite", on(ms=5.0), bytes=500)
    outside = artifact("outside.tflite", on(ms=1.0, fits=False), bytes=10)
    found = first(small, quick, outside)
    assert (found.target, found.file, found.fits, found.runner_up) == ("board", "quick.tflite", True, "small.tflite")


def test_a_file_that_loses_accuracy_comes_after_one_that_does_not_however_fast_it_is():
    quick = artifact("quick.tflite", on(ms=1.0), lost=30)
    same = artifact("same.tflite", on(ms=9.0), lost=3, gained=2)
    found = first(quick, same)
    assert (found.file, found.runner_up) == ("same.tflite", "quick.tflite")


def test_a_loss_that_is_certain_but_below_half_a_point_is_borne():
    # 12 of 10,000 are lost: 12.5 - 0.5 = 12 of 10,002, sqrt(13 - 0.0144) / 10,002 = 0.00036; 0.12 +- 0.07 points
    little = artifact("little.tflite", on(ms=1.0), lost=12, examples=10_000)
    same = artifact("same.tflite", on(ms=9.0), examples=10_000)
    assert first(little, same).file == "little.tflite"
    assert "less than half a point" in first(little, same).why


def test_a_loss_that_the_gate_allows_is_borne():
    quick, same = artifact("quick.tflite", on(ms=1.0), lost=9, gained=2), artifact("same.tflite", on(ms=9.0))
    allowed = Verdict("quick.tflite", None, "max_accuracy_drop", "original", 0.01, 0.007, (0.0002, 0.0137), "passed", "")
    found = first(quick, same, gate=(allowed,))
    assert found.file == "quick.tflite"
    assert "no more accuracy than the gate allows, 0.01, (\N{MINUS SIGN}0.70 points" in found.why
    assert first(quick, same, gate=(msgspec.structs.replace(allowed, against="baseline"),)).file == "same.tflite"
    assert first(quick, same, gate=(msgspec.structs.replace(allowed, file="same.tflite"),)).file == "same.tflite"


@pytest.mark.parametrize("status", ["inside", "failed", "unknown"])
def test_only_a_limit_that_was_passed_allows_a_loss(status):
    quick, same = artifact("quick.tflite", on(ms=1.0), lost=9, gained=2), artifact("same.tflite", on(ms=9.0))
    verdict = Verdict("quick.tflite", None, "max_accuracy_drop", "original", 0.001, 0.007, (0.0002, 0.0137), status, "")
    assert first(quick, same, gate=(verdict,)).file == "same.tflite"


def test_on_few_examples_a_file_that_lost_some_comes_after_one_that_lost_none():
    quick, same = artifact("quick.tflite", on(ms=1.0), lost=2, examples=20), artifact("same.tflite", on(ms=9.0), examples=20)
    found = first(quick, same)
    assert (found.file, found.runner_up) == ("same.tflite", "quick.tflite")
    assert "the test is too small to rule out a loss of 8.9 points" in found.why
    assert "but may lose accuracy" in found.behind
    passed = Verdict("quick.tflite", None, "max_accuracy_drop", "original", 0.2, 0.1, None, "passed", "")
    assert "no more accuracy than the gate allows" in first(quick, same, gate=(passed,)).why


def test_beside_a_gate_originals_that_it_does_not_judge_are_no_candidates():
    original, mine = artifact("original_int8.tflite", on(ms=1.0)), artifact("int8.tflite", on(ms=9.0))
    other = Verdict("int8.tflite", None, "max_bytes", "absolute", 1, 1, None, "passed", "")
    assert first(original, mine).file == "original_int8.tflite"
    found = first(original, mine, gate=(other,))
    assert (found.file, found.runner_up) == ("int8.tflite", None)
    assert found.why.endswith(" Files of the original that no limit of the gate is about are left out.")
    judged = msgspec.structs.replace(other, file="original_int8.tflite")
    found = first(original, mine, gate=(other, judged))
    assert (found.file, "left out" in found.why) == ("original_int8.tflite", False)


def test_a_file_that_no_limit_is_about_says_so():
    mine = artifact("int8.tflite", on(ms=9.0))
    other = Verdict("int8.onnx", None, "max_bytes", "absolute", 1, 1, None, "passed", "")
    assert first(mine, gate=(other,)).why.endswith(" No limit of the gate is about it.")
    for gate in ((), (msgspec.structs.replace(other, file="int8.tflite"),)):
        assert "No limit" not in first(mine, gate=gate).why


def test_where_all_lose_the_one_that_loses_least_is_taken():
    assert first(artifact("much.tflite", on(ms=1.0), lost=60), artifact("less.tflite", on(ms=9.0), lost=40)).file == "less.tflite"


def test_time_counts_before_instructions_and_those_before_the_time_here():
    slow_here = artifact("a.tflite", on(ms=1.0, instructions=9), p50=9.0)
    quick_here = artifact("b.tflite", on(ms=9.0, instructions=1), p50=1.0)
    assert first(slow_here, quick_here).file == "a.tflite"
    slow_here, quick_here = artifact("a.tflite", on(instructions=1), p50=9.0), artifact("b.tflite", on(instructions=9), p50=1.0)
    assert first(slow_here, quick_here).file == "a.tflite"
    assert first(artifact("a.tflite", on(), p50=9.0), artifact("b.tflite", on(), p50=1.0)).file == "b.tflite"


def test_only_what_is_known_of_all_of_them_is_compared():
    timed_too = artifact("a.tflite", on(ms=0.001, instructions=900))
    counted_only = artifact("b.tflite", on(instructions=100))
    assert first(timed_too, counted_only).file == "b.tflite"
    one_profile, other_profile = artifact("a.tflite", on(ms=1.0), p50=5.0), artifact("b.tflite", on(ms=2.0, profile="other"), p50=4.0)
    assert first(one_profile, other_profile).file == "b.tflite"


def test_where_time_is_equal_flash_and_then_the_download_decide():
    large, small = artifact("large.tflite", on(ms=1.0, flash=900)), artifact("small.tflite", on(ms=1.0, flash=800))
    assert first(large, small).file == "small.tflite"
    heavy, light = artifact("heavy.tflite", on(ms=1.0), gzip=90), artifact("light.tflite", on(ms=1.0), gzip=80)
    assert first(heavy, light).file == "light.tflite"


def test_a_file_that_the_gate_stops_is_not_recommended():
    quick, slow = artifact("quick.tflite", on(ms=1.0)), artifact("slow.tflite", on(ms=9.0))
    for status in ("failed", "unknown"):
        stopped = Verdict("quick.tflite", None, "max_bytes", "absolute", 1, None, None, status, "")
        found = first(quick, slow, gate=(stopped,))
        assert (found.file, found.why.endswith("The gate stops 1 more.")) == ("slow.tflite", True)
    for harmless in (
        Verdict("quick.tflite", None, "max_bytes", "absolute", 1, None, None, "inside", ""),
        Verdict("quick.tflite", "phone", "must_fit", "absolute", True, False, None, "failed", ""),
    ):
        assert first(quick, slow, gate=(harmless,)).file == "quick.tflite"


def test_where_the_gate_stops_all_nothing_is_recommended_and_the_limits_are_named():
    stopped = Verdict("only.tflite", "board", "max_instructions", "absolute", 1, 2, None, "failed", "")
    found = first(artifact("only.tflite", on(ms=1.0)), gate=(stopped,))
    assert (found.file, found.why) == (None, "No file passes the gate: only.tflite (max_instructions).")


def test_where_nothing_fits_the_reasons_are_told():
    found = first(artifact("a.tflite", on(fits=False, reasons=("needs 9 B",))), artifact("b.tflite", on(fits=False)))
    assert (found.file, found.fits) == (None, False)
    assert found.why == "No file fits. a.tflite: needs 9 B; b.tflite: no reason given."


def test_what_is_not_known_to_fit_is_named_last_and_said_to_be_unknown():
    unknown, fitting = artifact("unknown.tflite", on(fits=None, ms=1.0, reasons=("nobody ran it",))), artifact("fits.tflite", on(ms=9.0))
    assert first(unknown, fitting).file == "fits.tflite"
    found = first(unknown)
    assert (found.file, found.fits) == ("unknown.tflite", None)
    assert "may fit, which is not known: nobody ran it" in found.why


def test_files_of_attempts_that_were_not_chosen_are_no_candidates():
    rejected, chosen = artifact("plain.tflite", on(ms=1.0)), artifact("chosen.tflite", on(ms=9.0))
    tried = (
        AttemptReport("plain", (), 1.0, artifact="plain.tflite"),
        AttemptReport("other", (), 1.0, artifact="chosen.tflite", chosen=True),
    )
    assert first(rejected, chosen, attempts=tried).file == "chosen.tflite"


def test_every_target_and_every_runtime_has_a_line():
    rows = (artifact("a.tflite", on(ms=1.0), on("phone", fits=False), p50=2.0), artifact("b.onnx", p50=1.0), artifact("c.onnx", p50=0.5))
    found = recommend(report(*rows))
    assert [(one.target, one.runtime, one.file) for one in found] == [
        ("board", None, "a.tflite"),
        ("phone", None, None),
        (None, "LiteRT", "a.tflite"),
        (None, "ONNX Runtime", "c.onnx"),
    ]


def test_a_run_without_files_recommends_nothing():
    assert recommend(report()) == ()


def test_files_in_another_order_are_recommended_alike():
    rows = [artifact(f"{n}.tflite", on(ms=float(n % 3)), lost=10 * (n % 2), gzip=n) for n in range(7)]
    assert first(*rows) == first(*reversed(rows))


@pytest.mark.parametrize("broken", [(), (0.0, 1.0), (1.0,) * 7])
def test_durations_of_no_rounds_leave_the_ratio_without_an_interval(broken):
    slow = msgspec.structs.replace(artifact("slow.tflite", p50=2.0), latency=msgspec.structs.replace(timed(2.0), samples_ms=broken))
    found = first(slow, artifact("quick.tflite", p50=1.0))
    assert (found.file, found.runner_up) == ("quick.tflite", "slow.tflite")
    assert "2.00 times the time" in found.behind
    assert "no interval" in found.behind


def test_every_sentence_says_how_its_numbers_came_about():
    found = first(artifact("a.tflite", on(ms=5.0, instructions=7)), artifact("b.tflite", on(ms=9.0)))
    assert "estimated: profile" in found.why
    assert "estimated: profile" in found.behind


@given(
    st.lists(
        st.tuples(st.sampled_from([True, False, None]), st.floats(0.1, 9) | st.none(), st.integers(0, 60), st.integers(1, 9)), max_size=6
    )
)
def test_nothing_that_is_known_not_to_fit_is_ever_named_nor_what_may_fit_before_what_does(rows):
    files = [artifact(f"{n}.tflite", on(fits=fits, ms=ms), lost=lost, gzip=gzip) for n, (fits, ms, lost, gzip) in enumerate(rows)]
    for found in recommend(report(*files))[:-1]:
        fits = {f"{n}.tflite": row[0] for n, row in enumerate(rows)}
        assert found.fits is (True if True in fits.values() else None if None in fits.values() else False)
        assert found.file is None or fits[found.file] is found.fits
        assert found.runner_up is None or fits[found.runner_up] is found.fits
        assert found.file != found.runner_up or found.file is None
