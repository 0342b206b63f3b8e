import json
from pathlib import Path

import msgspec
import pytest

from toolchain import report
from toolchain.errors import ToolchainError


def test_the_documented_schema_is_the_one_written():
    documented = Path(__file__).parent.parent / "docs" / "report.schema.json"
    assert json.loads(documented.read_text()) == json.loads(json.dumps(report.json_schema()))


def test_a_file_that_is_no_report_is_refused(tmp_path):
    for content in ("{", "[]", '{"schema": 2}'):
        (tmp_path / "r.json").write_text(content)
        with pytest.raises(ToolchainError, match="not a report of schema 1"):
            report.load(tmp_path / "r.json")


TOTAL = 10
RIGHT = {
    "support": [6, 4],
    "hits": [5, 4],
    "confusion": [[5, 1], [0, 4]],
    "right": "",
    "lost": 1,
    "gained": 0,
    "differing": 1,
    "changed": [],
}
LATENCY = {
    "how": "measured", "runtime": "r", "threads": 1, "p50_ms": 1.0, "p90_ms": 1.0, "p99_ms": 1.0, "min_ms": 1.0, "interval_ms": [1.0, 1.0],
    "rounds": 1, "load_before": 0.0, "load_after": 0.0, "samples_ms": [1.0],
}  # fmt: skip
EMULATED = {"emulator": "cortex_m", "how": "executed", "status": "ok", "reason": None, "accuracy": 0.9, "examples": 10}
ROW = {
    "name": "a.tflite", "path": "a.tflite", "format": "tflite", "scheme": "", "digest": "", "how": "measured", "bytes": 9, "gzip_bytes": 8,
    "zstd_bytes": 7, "parameters": 6, "nonzero_parameters": 5, "macs": 4, "operators": {}, "metric": "top1", "accuracy": 0.9,
    "accuracy_interval": [0.6, 1.0], "accuracy_examples": TOTAL, "agreement": 0.9, "latency": LATENCY, "answers": RIGHT,
    "targets": [{"target": "t", "fits": True, "reasons": [], "flash_bytes": 1, "sram_bytes": 1, "results": [EMULATED]}],
}  # fmt: skip
WHOLE = {
    "schema": 1, "secateur": "0", "recipe": "r", "settings": {}, "skipped": [], "artifacts": [ROW],
    "model": {"name": "m", "format": "keras", "digest": "", "bytes": 1, "gzip_bytes": 1, "parameters": 1, "nonzero_parameters": 1,
              "metric": "top1", "accuracy": 0.9, "accuracy_interval": [0.6, 1.0], "answers": RIGHT},
    "data": {"name": "d", "digest": "", "train": 1, "validation": 1, "test": TOTAL, "scale": 1.0, "offset": 0.0, "seed": 0},
    "host": {"cpu": "", "cores": 1, "memory_bytes": 1, "system": "", "python": "", "governor": "", "versions": {}},
    "steps": [{"name": "s", "seconds": 0.0, "cached": False, "details": {"chosen": 3}}],
}  # fmt: skip
MODEL, FILE = ("model",), ("artifacts", 0)


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ((*FILE, "agreement"), 1.5, "artifacts[0].agreement"),
        ((*FILE, "bytes"), -1, "artifacts[0].bytes"),
        ((*FILE, "macs"), 10**30, "artifacts[0].macs"),
        ((*FILE, "latency", "p50_ms"), 0.0, "latency.p50_ms"),
        ((*FILE, "latency", "samples_ms"), [-1.0], "samples_ms"),
        ((*FILE, "max_error"), 1e308, "max_error"),
        ((*FILE, "accuracy"), 1.5, "the top1 of a.tflite is no share of 1"),
        ((*FILE, "accuracy_interval"), [-0.5, 1.0], "the top1 of a.tflite is no share of 1"),
        ((*FILE, "accuracy_examples"), None, "a.tflite has an accuracy and no examples"),
        ((*FILE, "metric"), None, "a.tflite has an accuracy and no metric"),
        (("data",), None, "m has an accuracy and no examples"),
        ((*FILE, "answers", "support"), [5, 5], "a.tflite and m answered other examples"),
        ((*FILE, "answers", "support"), [2**53, 2**53], "more than 10,000,000"),
        ((*FILE, "answers", "hits"), [7, 4], "a.tflite answers more rightly than there are examples"),
        ((*MODEL, "answers", "hits"), [5], "m answers more rightly than there are examples"),
        ((*FILE, "answers", "lost"), 11, "a.tflite changed more than its 10 answers"),
        ((*FILE, "answers", "differing"), 11, "a.tflite changed more than its 10 answers"),
        ((*FILE, "answers", "confusion"), [[5, 1]], "the confusion matrix of a.tflite"),
        ((*FILE, "peak_memory_bytes"), 3, "the memory of a.tflite is told by half"),
        ((*FILE, "parameters"), None, "nobody knows of how many"),
        ((*FILE, "targets", 0, "results", 0, "examples"), None, "cortex_m scored a.tflite on no examples"),
        ((*FILE, "targets", 0, "results", 0, "outputs_match"), False, "does not say how many"),
        (("steps", 0, "details", "ranges"), 3, "the details of s (Expected `array`, got `int` - at `$.ranges`)"),
        (("steps", 0, "details", "groups"), {}, "the details of s (groups without macs and params)"),
        (("steps", 0, "details", "pareto"), [], "the details of s (pareto without sensitivity)"),
    ],
)
def test_a_report_that_contradicts_itself_is_refused_in_one_line(tmp_path, place, value, said):
    path, changed = tmp_path / "r.json", json.loads(json.dumps(WHOLE))
    path.write_text(json.dumps(changed))
    assert report.load(path).artifacts[0].accuracy_examples == TOTAL
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    path.write_text(json.dumps(changed))
    with pytest.raises(ToolchainError) as caught:
        report.load(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_error_is_no_share(tmp_path):
    """A mean absolute error has no upper limit, and its interval may reach below zero."""
    changed = json.loads(json.dumps(WHOLE))
    for scored in (changed["model"], changed["artifacts"][0]):
        scored |= {"metric": "mean_absolute_error", "accuracy": 12.5, "accuracy_interval": [-1.0, 26.0], "answers": None}
    (tmp_path / "r.json").write_text(json.dumps(changed))
    assert msgspec.to_builtins(report.load(tmp_path / "r.json"))["model"]["accuracy"] == 12.5
