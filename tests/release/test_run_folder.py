import msgspec
import pytest
from released_run import run_folder

from toolchain import report as reports
from toolchain.errors import BundleError
from toolchain.release import run_folder as run_folder_module
from toolchain.release.run_folder import read_labels, read_run
from toolchain.report import AttemptReport


@pytest.fixture
def folder(tmp_path):
    return run_folder(tmp_path / "run")


def rewritten(folder, **changes):
    found = reports.load(folder / "report.json")
    (folder / "report.json").write_bytes(reports.dumps(msgspec.structs.replace(found, **changes)))


def test_by_default_all_but_what_is_there_to_compare_with(folder):
    found = read_run(folder, ())
    assert [row.name for row in found.models] == ["float32.tflite", "static_w8a8.tflite", "float32.onnx"]
    assert [row.name for row in found.packages] == ["static_w8a8_c"]
    assert "static_w8a8_c/tiny.c" in found.files
    assert any(note.startswith("original_float32.tflite was left out: it was exported from the original") for note in found.notes)


def test_what_the_report_recommends_is_in_it_though_it_was_exported_from_the_original(folder):
    found = reports.load(folder / "report.json")
    kept = [row for row in found.artifacts if row.name in ("original_float32.tflite", "float32.onnx")]
    rewritten(folder, artifacts=tuple(kept))
    found = read_run(folder, ())
    assert {row.name for row in found.models} == {"original_float32.tflite", "float32.onnx"}
    assert any("original_float32.tflite is in it, though" in note and "recommends it for LiteRT" in note for note in found.notes)


def test_the_files_of_rejected_attempts_are_left_out(folder):
    rewritten(folder, attempts=(AttemptReport("plain", (), 1.0, artifact="static_w8a8.tflite"),))
    found = read_run(folder, ())
    assert "static_w8a8.tflite" not in [row.name for row in found.models]
    assert any("its attempt was not chosen" in note for note in found.notes)


def test_patterns_choose_and_one_that_names_nothing_is_told(folder):
    assert [row.name for row in read_run(folder, ("original_*", "*.onnx")).models] == ["original_float32.tflite", "float32.onnx"]
    with pytest.raises(BundleError, match=r"--files \*\.h5: matches none of the run's files \(float32\.tflite, "):
        read_run(folder, ("*.tflite", "*.h5"))


@pytest.mark.parametrize("name", ["float32.tflite", "float32.onnx", "static_w8a8_c/tiny.h"])
def test_a_file_that_is_not_the_measured_one_is_named(folder, name):
    (folder / name).write_bytes((folder / name).read_bytes() + b"\n")
    with pytest.raises(BundleError, match=rf"{name.partition('/')[0]}: not the file that the report measured"):
        read_run(folder, ())


def test_a_missing_file_a_link_to_a_device_and_a_missing_report_are_told(folder):
    (folder / "float32.onnx").unlink()
    with pytest.raises(BundleError, match="No such file"):
        read_run(folder, ())
    (folder / "float32.onnx").symlink_to("/dev/zero")
    with pytest.raises(BundleError, match="neither a file nor a folder"):
        read_run(folder, ())
    with pytest.raises(BundleError, match=r"report\.json"):
        read_run(folder / "nowhere", ())


def test_labels_are_lines_of_utf_8(tmp_path):
    (tmp_path / "l").write_bytes("Katze\r\nHündin \n".encode())
    assert read_labels(tmp_path / "l") == ("Katze", "Hündin")
    (tmp_path / "l").write_bytes(b"\xff")
    with pytest.raises(BundleError, match="not UTF-8"):
        read_labels(tmp_path / "l")


def test_the_bytes_that_are_kept_are_those_that_are_compared(folder, monkeypatch):
    """A file that changes between two readings would be released though nobody measured it."""
    monkeypatch.setattr(run_folder_module, "read", lambda path, most, error: path.read_bytes() + b"!" * (path.suffix == ".tflite"))
    with pytest.raises(BundleError, match="float32.tflite: not the file that the report measured"):
        read_run(folder, ())
