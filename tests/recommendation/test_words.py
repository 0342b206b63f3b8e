import msgspec
import pytest
from recommended import artifact, on, report

from toolchain.recommendation import recommend

MINUS = "\N{MINUS SIGN}"


def test_the_sentence_for_a_board_tells_fit_accuracy_and_cost():
    found = recommend(
        report(
            artifact("int8.tflite", on(ms=5.0, instructions=1_234_567), gained=1),
            artifact("wide.tflite", on(ms=9.0), gained=1, gzip=1_200),
        )
    )[0]
    assert found.why == (
        "It fits (1,000 B of 2,000 B flash and 500 B of 4,000 B SRAM, with what is reserved), loses no accuracy that the test can show "
        f"(+0.10 points, 95 % interval {MINUS}0.18 to +0.38), and takes the least time of the 2 files that fit "
        "(5 ms, 5 to 10 in 90 %, estimated: profile)."
    )
    assert found.behind == (
        "takes 1.80 times the time (9 ms, 9 to 18 in 90 %, estimated: profile) and 1.50 times the download "
        f"(+0.10 points, 95 % interval {MINUS}0.18 to +0.38)"
    )


def test_the_only_file_that_loses_nothing_is_said_to_be_it_and_the_runner_up_to_lose():
    found = recommend(report(artifact("same.tflite", on(instructions=800)), artifact("worse.tflite", on(instructions=400), lost=30)))[0]
    assert "is the only one of the 2 files that fit to lose no accuracy that the test can show" in found.why
    assert found.why.endswith("and takes 800 instructions, executed: cortex_m.")
    assert found.behind.startswith("takes 0.50 times the instructions (400 instructions, executed: cortex_m)")
    assert "but loses accuracy" in found.behind


def test_files_that_lose_are_compared_with_those_that_lose_as_much():
    rows = [artifact(f"{name}.onnx", p50=p50, lost=30) for name, p50 in (("slow", 2.0), ("quick", 1.0))]
    (found,) = recommend(report(*rows, artifact("worst.onnx", p50=0.5, lost=90)))
    assert found.file == "quick.onnx"
    assert found.why.startswith("It loses the least accuracy of the 3 files for ONNX Runtime (")
    assert found.why.endswith("takes the least time of the 2 files of which that is true (1 ms, median on this machine, measured).")
    assert "2.00 times the time (2 ms, median on this machine, measured; 95 % interval of the ratio 2.00 to 2.00)" in found.behind


def test_a_single_file_is_said_to_be_the_only_one():
    (found,) = recommend(report(artifact("a.tflite", p50=1.0)))
    assert found.why.endswith("and is the only candidate for LiteRT (1 ms, median on this machine, measured).")
    assert (found.runner_up, found.behind) == (None, "")


def test_without_any_time_the_smallest_is_taken_and_said_to_be_it():
    (found,) = recommend(report(artifact("a.tflite", gzip=9), artifact("b.tflite", gzip=8)))
    assert found.file == "b.tflite"
    assert found.why.endswith("and is the smallest of the 2 files for LiteRT.")


def test_without_real_data_nothing_is_said_of_accuracy():
    row = msgspec.structs.replace(artifact("a.tflite"), accuracy=None, metric=None, answers=None, agreement=1.0)
    (found,) = recommend(report(row, data=None))
    assert found.why == "It was not compared on real data and is the only candidate for LiteRT."


@pytest.mark.parametrize(
    ("metric", "value", "said"),
    [("auc", 0.898, "half a point ("), ("mean_absolute_error", 0.902, "half a percent ("), (None, None, "half a percent (99.80% of")],
)
def test_half_a_point_is_said_only_of_points(metric, value, said):
    row = msgspec.structs.replace(artifact("a.tflite"), accuracy=value, metric=metric, answers=None, agreement=0.998)
    made = report(row)
    (found,) = recommend(msgspec.structs.replace(made, model=msgspec.structs.replace(made.model, metric=metric)))
    assert found.why.startswith(f"It loses less than {said}")


def test_outputs_that_differ_on_the_target_are_told():
    board = on(ms=5.0, instructions=7)
    for match, told in ((False, True), (True, False), (None, False)):
        executed = msgspec.structs.replace(
            board.results[0], outputs_match=match, outputs_against="litert 2.3.0 reference", outputs_differing=3,
            outputs_max_difference=1.0, examples=34,
        )  # fmt: skip
        differing = msgspec.structs.replace(board, results=(executed, board.results[1]))
        found = recommend(report(artifact("a.tflite", differing)))[0]
        said = " On the target 3 values differ from litert 2.3.0 reference, by at most 1 steps, on 34 examples (executed: cortex_m)."
        assert found.why.endswith(said) is told


def test_memory_that_nobody_knows_is_left_out():
    found = recommend(report(artifact("a.tflite", on(sram=None, device=(None, None)))))[0]
    assert found.why.startswith("It fits (1,000 B of flash, with what is reserved)")
