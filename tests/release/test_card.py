import re

import msgspec
import pytest
from conftest import HERE
from released import HOSTILE, hostile, manifest_of, model_of, report_of

from toolchain.release.card import model_card
from toolchain.report import Answers, Skipped, StepReport

yaml = pytest.importorskip("yaml")


@pytest.fixture
def manifest():
    found = manifest_of(model_of(HERE / "data" / "tiny_int8.tflite"))
    answers = Answers((10, 10, 10), (10, 9, 7), (), "", 0, 0, 0, ())
    return msgspec.structs.replace(found, original=msgspec.structs.replace(found.original, answers=answers))


def card_of(manifest, **changes):
    return model_card(manifest, msgspec.structs.replace(report_of(manifest), **changes)).decode()


def front_of(card):
    return yaml.safe_load(card.split("\n---\n")[0].removeprefix("---\n"))


def test_front_matter_is_read_by_the_hubs_library(manifest):
    hub = pytest.importorskip("huggingface_hub")
    data = hub.ModelCard(card_of(manifest), ignore_metadata_errors=False).data
    assert (data.license, data.library_name, data.metrics) == ("mit", "tflite", ["accuracy"])
    (result,) = data.eval_results
    assert (result.metric_type, result.metric_value, result.dataset_name, result.dataset_split) == ("accuracy", 0.9, "shapes", "test")
    assert result.metric_args == {"file": "models/tiny_int8.tflite", "examples": 30, "interval_95": pytest.approx([0.8, 0.95])}


@pytest.mark.parametrize(
    ("license", "front"),
    [
        ("MIT", {"license": "mit"}),
        ("NOASSERTION", {"license": "unknown"}),
        ("GPL-3.0-only", {"license": "other", "license_name": "GPL-3.0-only", "license_link": "LICENSE"}),
    ],
)
def test_a_licence_is_the_hubs_or_other(manifest, license, front):
    found = front_of(card_of(msgspec.structs.replace(manifest, license=license)))
    assert {key: value for key, value in found.items() if "license" in key} == front


def test_without_data_no_result_is_claimed(manifest):
    card = card_of(msgspec.structs.replace(manifest, data=None))
    assert not {"model-index", "metrics"} & front_of(card).keys()
    assert "Not stated. The run had no data" in card


def test_the_reader_finds_what_to_ship_and_what_it_costs(manifest):
    card = card_of(manifest)
    for shown in (
        "- stm32f746: **tiny\\_int8.tflite**. It fits",
        "| tiny\\_int8.tflite | input ",
        "1 x 8 x 8 x 1",
        "| tiny.keras, the original | top1 | 91.00% | 80.00% to 96.00% |",
        "| tiny\\_int8.tflite | top1 | 90.00% | 80.00% to 95.00% | 30 |",
        "0.1 ms, 95 % interval 0.095 to 0.11 ms; litert 2.3.0 xnnpack, 1 thread(s), a processor",
        "prune: sparsity = 0.5",
        "cd" * 32,
        "under which licence, whom they show and whom they leave out: not stated",
        "**none.** Whoever can change",
        "measured on a busy host",
        manifest.models[0].run_digest,
    ):
        assert shown in card, shown


def test_classes_that_changed_stand_with_the_largest_loss_first(manifest):
    """Original 10, 9, 7 right of ten each; the file 9, 10, 7."""
    card = card_of(manifest)
    assert re.findall(r"\| (\w+) \| 10 \| (\d+) \| (\d+) \| (\S+) \|", card) == [("cat", "10", "9", "-1"), ("dog", "9", "10", "+1")]
    assert "2 examples that the original answers rightly are answered wrongly, 1 the other way round" in card


def test_what_is_about_files_that_were_left_out_is_left_out(manifest):
    other = msgspec.structs.replace(manifest.models[0].measurements, name="original_float32.tflite", accuracy=0.99, answers=None)
    artifacts = (manifest.models[0].measurements, other)
    steps = tuple(StepReport(f"export {row.name}", 1.0, False, {"comparison": f"{place + 3} of 30"}) for place, row in enumerate(artifacts))
    skipped = (Skipped("original_float32.tflite on b", "x", "left out"), Skipped("tiny_int8.tflite on b", "x", "kept"))
    card = card_of(manifest, artifacts=artifacts, steps=steps, skipped=skipped)
    assert "comparison: 3 of 30" in card
    assert "comparison: 4 of 30" not in card
    assert "x: kept" in card
    assert "left out\n" not in card


def test_a_recommended_file_that_is_not_here_is_said_to_be_elsewhere(manifest):
    other = msgspec.structs.replace(manifest.models[0].measurements, name="better.tflite", path="better.tflite", gzip_bytes=1, bytes=1)
    faster = msgspec.structs.replace(other, latency=msgspec.structs.replace(other.latency, p50_ms=0.001))
    card = card_of(manifest, artifacts=(manifest.models[0].measurements, faster))
    assert "**better.tflite** of the run, which this bundle leaves out." in card


def tokens(card):
    """Kinds of the Markdown's parts, and of what lies in a line; texts count as one."""
    markdown_it = pytest.importorskip("markdown_it")
    body = card.split("\n---\n", 1)[1]
    found = markdown_it.MarkdownIt("commonmark").enable("table").parse(body)
    inner = [
        (token.type, child.type)
        for token in found
        for child in token.children or ()
        if child.type not in ("text", "text_special", "softbreak")
    ]
    return [token.type for token in found], inner


@pytest.mark.parametrize("text", HOSTILE)
def test_names_are_text_and_not_markup(text):
    assert tokens(card_of(hostile(text))) == tokens(card_of(hostile("name")))


@pytest.mark.parametrize("text", HOSTILE)
def test_names_are_values_in_the_front_matter(text):
    front = front_of(card_of(hostile(text)))
    assert front.keys() == front_of(card_of(hostile("name"))).keys()
    assert front["model-index"][0]["name"] == text
    assert text in front["tags"]


def test_the_card_of_one_release_is_the_same_twice(manifest):
    assert card_of(manifest) == card_of(manifest)
