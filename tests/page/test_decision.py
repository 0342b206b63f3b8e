import msgspec
import pytest
import synthetic

from toolchain.page.decision import decision
from toolchain.report import Verdict

MINUS = "\N{MINUS SIGN}"


@pytest.fixture
def found():
    """A float and an int8 file with round numbers: 4 times smaller, timed in turns, the second twice as fast."""
    made = synthetic.report(2, 3)
    wide, narrow = made.artifacts
    wide = msgspec.structs.replace(
        wide, name="original_float32.tflite", bytes=4_000_000, gzip_bytes=3_600_000, targets=(), latency=_timed(wide.latency, 2.0)
    )
    answers = msgspec.structs.replace(narrow.answers, lost=9, gained=2)
    narrow = msgspec.structs.replace(
        narrow,
        name="int8.tflite",
        bytes=1_000_000,
        gzip_bytes=800_000,
        answers=answers,
        accuracy=0.943,
        latency=_timed(narrow.latency, 1.0),
    )
    return msgspec.structs.replace(made, artifacts=(wide, narrow), gate=(), attempts=())


def _timed(latency, milliseconds):
    return msgspec.structs.replace(latency, rounds=8, samples_ms=(milliseconds,) * 16, p50_ms=milliseconds)


def _fitting(report):
    wide, narrow = report.artifacts
    board = msgspec.structs.replace(narrow.targets[0], fits=True, reasons=())
    return msgspec.structs.replace(report, artifacts=(wide, msgspec.structs.replace(narrow, targets=(board,))))


def test_the_recommended_file_is_told_in_figures_with_their_origin(found):
    shown = decision(_fitting(found))
    (result,) = (one for one in _fitting(found).artifacts[1].targets[0].results if one.ms is not None)
    low, high = result.interval_ms
    assert (shown.choices[0].target, shown.file) == ("board", "int8.tflite")
    assert shown.titles == {"board": "A board (Cortex-M7, 216 MHz)"}
    figures = {figure.label: (figure.value, figure.note) for figure in shown.figures}
    assert figures["Download"] == ("800 kB", "4.5 times smaller than original_float32.tflite, both after gzip")
    assert figures["Size"] == ("1 MB", "4.0 times smaller than original_float32.tflite")
    assert figures["Accuracy (top1)"] == ("94.30%", f"{MINUS}0.70 points, 95 % interval {MINUS}1.37 to {MINUS}0.02, on 1,000 test examples")
    assert figures["Time on board"] == (
        f"{result.ms:.3g} ms", f"{low:.3g} to {high:.3g} in 90 %, estimated: x-cube-ai/cortex-m7",
    )  # fmt: skip
    assert figures["Instructions on board"][1] == "one inference, executed: cortex_m, c_source on cortex-m7 (qemu)"
    assert figures["Speed on this machine"] == (
        "2.00 times as fast", "as original_float32.tflite, 95 % interval 2.00 to 2.00; median 1 ms, measured",
    )  # fmt: skip


def test_the_speed_on_a_busy_machine_comes_with_a_warning(found):
    busy = tuple(msgspec.structs.replace(row, latency=msgspec.structs.replace(row.latency, load_before=9.44)) for row in found.artifacts)
    shown = decision(msgspec.structs.replace(found, artifacts=busy))
    (speed,) = (figure.note for figure in shown.figures if figure.label == "Speed on this machine")
    assert speed.endswith(f"on a busy machine (load 9.4 on {found.host.cores} cores): trust the ratio, not the milliseconds")


def test_figures_of_another_machine_are_not_those_of_a_board_that_takes_nothing(found):
    shown = decision(found)
    assert (shown.choices[0].target, shown.choices[0].file) == ("board", None)
    assert shown.file == "int8.tflite"
    assert not [figure for figure in shown.figures if "board" in figure.label]


def test_a_file_that_grew_is_not_called_smaller(found):
    wide, narrow = _fitting(found).artifacts
    large = msgspec.structs.replace(narrow, bytes=5_000_000, gzip_bytes=3_600_000)
    notes = {figure.label: figure.note for figure in decision(msgspec.structs.replace(found, artifacts=(wide, large))).figures}
    assert notes["Size"] == "4,000,000 B in original_float32.tflite"
    assert notes["Download"] == "3,600,000 B in original_float32.tflite, both after gzip"


def test_without_an_original_file_the_model_is_what_sizes_are_compared_with(found):
    report = _fitting(found)
    shown = decision(msgspec.structs.replace(report, artifacts=report.artifacts[1:]))
    figures = {figure.label: (figure.value, figure.note) for figure in shown.figures}
    assert figures["Size"] == ("1 MB", "2.4 times smaller than net.keras")
    assert figures["Time on this machine"] == ("1 ms", "median, measured")


@pytest.mark.parametrize(
    ("statuses", "gate", "closed"),
    [
        ((), "", False),
        (("passed", "inside"), "gate passed: 1 undecided, 1 passed", False),
        (("passed", "failed", "passed"), "gate closed: 1 failed, 2 passed", True),
        (("unknown",), "gate closed: 1 not known", True),
    ],
)
def test_the_gate_is_told_in_the_words_of_the_command(found, statuses, gate, closed):
    limits = tuple(Verdict("other", None, "max_bytes", "absolute", 1, 1, None, status, "") for status in statuses)
    shown = decision(msgspec.structs.replace(found, gate=limits))
    assert (shown.gate, shown.closed) == (gate, closed)


def test_without_data_an_agreement_says_nothing_about_accuracy(found):
    bare = tuple(msgspec.structs.replace(row, accuracy=None, answers=None) for row in found.artifacts)
    for data, why in ((None, "on random inputs, which say nothing about accuracy"), (found.data, "there were no labels to score")):
        shown = decision(msgspec.structs.replace(found, artifacts=bare, data=data))
        (note,) = (figure.note for figure in shown.figures if figure.label == "Agreement")
        assert note == f"of the answers are the original's; {why}"


def test_a_figure_is_named_by_its_metric(found):
    for metric, label in (("auc", "AUC"), ("mean_absolute_error", "Mean absolute error"), ("f1", "f1")):
        rows = tuple(msgspec.structs.replace(row, metric=metric) for row in found.artifacts)
        shown = decision(msgspec.structs.replace(found, artifacts=rows, model=msgspec.structs.replace(found.model, metric=metric)))
        (note,) = (figure.note for figure in shown.figures if figure.label == label)
        assert "95 % interval" not in note, "points of top1 are no change of this metric"
