import pytest

from toolchain.page.templates import bytes_in_words, span


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1 kB"), (12_345, "12.3 kB"), (999_400, "999 kB"), (999_600, "1 MB"), (2_282_747, "2.28 MB"), (25_325_268_992, "25.3 GB")],
)  # fmt: skip
def test_sizes_in_words(count, words):
    assert bytes_in_words(count) == words


def test_an_interval_follows_its_metric():
    assert span("top1", (0.9779, 0.9924)) == "97.79% to 99.24%"
    assert span("mean_absolute_error", (0.1234, 2.0)) == "0.1234 to 2"
    assert span("top1", None) == ""
