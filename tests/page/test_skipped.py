from toolchain.page.skipped import grouped
from toolchain.report import Skipped


def test_one_reason_is_told_once_with_every_step():
    rows = [
        Skipped("a.tflite on pico", "corstone", "no firmware"),
        Skipped("1 prune", "conv", "frozen"),
        Skipped("b.tflite on pico", "corstone", "no firmware"),
    ]
    assert grouped(rows) == [
        ("no firmware", [("a.tflite on pico", "corstone"), ("b.tflite on pico", "corstone")]),
        ("frozen", [("1 prune", "conv")]),
    ]


def test_long_names_are_shortened_and_many_are_counted():
    rows = [Skipped("1 prune", f"conv_{n};conv_{n}/BiasAdd", "frozen") for n in range(6)]
    assert grouped(rows) == [("frozen", [("1 prune", "conv_0, conv_1, conv_2 and 3 more")])]
    assert grouped(rows[:4]) == [("frozen", [("1 prune", "conv_0, conv_1, conv_2, conv_3")])]


def test_nothing_skipped_is_nothing():
    assert grouped([]) == []
