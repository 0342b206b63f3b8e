import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import HERE
from released_run import NAME, STATED, bundle, contents, key, public_key, run_files, run_folder, write

from toolchain.errors import BundleError, ModelError, StorageError
from toolchain.release import manifest, tflite_metadata
from toolchain.release.assembly import Settings, release
from toolchain.release.verification import Signer, verify
from toolchain.worker import Worker


@pytest.fixture
def made():
    return manifest.load(contents()[manifest.NAME], "")


@pytest.fixture
def run(tmp_path):
    return run_folder(tmp_path / "run")


def test_everything_that_was_promised_is_in_it():
    files = contents(signed=True)
    for path in (
        "models/static_w8a8.tflite", "models/float32.tflite", "models/float32.onnx", "labels.txt", "c/static_w8a8.c", "c/static_w8a8.h",
        "c/static_w8a8_c/tiny.c", "golden/float32.onnx.h", "golden/float32.onnx.input_0.npy", "golden/static_w8a8.tflite.output_0.npy",
        "examples/static_w8a8_tflite.py", "examples/static_w8a8_tflite.c", "examples/static_w8a8_tflite.kt", "examples/float32_onnx.py",
        "manifest.json", "manifest.schema.json", "MODEL_CARD.md", "bom.cdx.json", "LICENSE", "VERIFY.md", "SHA256SUMS", "model.sig", "report.json", "report.html",
    ):  # fmt: skip
        assert path in files, path
    assert "models/original_float32.tflite" not in files
    assert files["labels.txt"] == b"up\nmiddle\ndown\n"
    assert files["report.json"] == run_files()["report.json"]


def test_the_manifest_says_what_each_file_is(made):
    files = contents()
    assert {one.path: (one.sha256, one.bytes) for one in made.files} == {
        path: (hashlib.sha256(content).hexdigest(), len(content))
        for path, content in files.items()
        if path not in ("manifest.json", "SHA256SUMS")
    }
    (int8,) = (model for model in made.models if model.path == "models/static_w8a8.tflite")
    assert int8.run_digest == hashlib.sha256(run_files()["static_w8a8.tflite"]).hexdigest()
    assert (int8.inputs[0].dtype, int8.inputs[0].shape, int8.inputs[0].zero_point) == ("int8", (1, 8, 8, 1), -128)
    assert int8.minimum_runtime == "TensorFlow Lite 1.14.0"
    assert "stm32f746" in int8.recommended_for
    assert (made.seed, made.recipe, made.data.digest, made.signature) == (7, "edge_int8", "0" * 64, "none")
    assert {"tensorflow", "numpy"} <= made.tools.keys()


def test_the_manifest_is_valid_under_the_schema_beside_it():
    import jsonschema

    files = contents()
    jsonschema.Draft202012Validator(json.loads(files["manifest.schema.json"])).validate(json.loads(files["manifest.json"]))
    broken = json.loads(files["manifest.json"]) | {"seed": "seven"}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(json.loads(files["manifest.schema.json"])).validate(broken)


def test_the_tflite_carries_its_labels_and_the_c_array_does_not(tmp_path):
    files = contents()
    (tmp_path / "m.tflite").write_bytes(files["models/static_w8a8.tflite"])
    assert zipfile.ZipFile(tmp_path / "m.tflite").read("labels.txt") == b"up\nmiddle\ndown\n"
    assert f"_BYTES {len(run_files()['static_w8a8.tflite'])}\n".encode() in files["c/static_w8a8.h"]


def test_the_files_can_be_checked_without_this_program(tmp_path):
    folder = write(tmp_path / NAME, contents(signed=True))
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=folder, check=True)
    (line,) = (line.split() for line in (folder / "VERIFY.md").read_text().splitlines() if line.startswith("    model_signing"))
    command = [sys.executable, "-m", *line[:-1], str(public_key())]
    assert subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0
    (folder / "LICENSE").write_bytes(b"!")
    assert subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 1
    assert subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, capture_output=True, check=False).returncode == 1


def test_an_unsigned_bundle_says_so():
    assert b"**It is not signed.**" in contents()["VERIFY.md"]
    assert b"not signed" not in contents(signed=True)["VERIFY.md"]


@pytest.mark.parametrize("program", ["static_w8a8_tflite.py", "float32_tflite.py", "float32_onnx.py"])
def test_the_programs_run_from_the_bundle(tmp_path, program):
    folder = write(tmp_path / NAME, contents())
    done = subprocess.run([sys.executable, folder / "examples" / program], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def shared_folder():
    """A folder that every user may enter, with the run and the key in it."""
    base = Path(tempfile.mkdtemp())
    base.chmod(0o755)
    run_folder(base / "run")
    shutil.copy(key(), base / "key")
    (base / "key").chmod(0o644)
    yield base
    shutil.rmtree(base)


def released_elsewhere(base: Path, place: Path, before: list[str], environment: dict[str, str], **process) -> bytes:
    """What the command writes in another process, in a folder `place` of its own."""
    place.mkdir()
    place.chmod(0o777)
    command = [
        *before,
        sys.executable,
        "-m",
        "toolchain.cli",
        "release",
        str(base / "run"),
        "--key",
        str(base / "key"),
        "--out",
        "out.tar.gz",
    ]
    command += [f"--{name}={value}" for name, value in STATED.items()]
    inherited = {name: value for name, value in os.environ.items() if name not in ("HOME", "TZ", "LANG")}
    subprocess.run(command, cwd=place, env=inherited | environment, capture_output=True, check=True, timeout=300, **process)
    return (place / "out.tar.gz").read_bytes()


def test_another_day_place_and_language_give_the_same_bytes(shared_folder):
    wanted = bundle(signed=True)
    for path in (shared_folder / "run").rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(path.stat().st_mode ^ 0o011)
    before = ["faketime", "2031-05-06 07:08:09"] if shutil.which("faketime") else []
    elsewhere = {"TZ": "Asia/Tokyo", "LANG": "tr_TR.UTF-8", "HOME": "/nonexistent", "PYTHONHASHSEED": "12345"}
    assert released_elsewhere(shared_folder, shared_folder / "other place", before, elsewhere, umask=0o077) == wanted


def test_another_user_gives_the_same_bytes(shared_folder):
    wanted = bundle(signed=True)
    become = ["unshare", "--user", "--map-user=1234", "--map-group=1234"]
    shown = subprocess.run([*become, sys.executable, "-c", "import os; print(os.getuid())"], capture_output=True, text=True, check=False)
    if shown.stdout != "1234\n":
        pytest.skip(f"cannot become another user here: {shown.stderr.strip()}")
    assert released_elsewhere(shared_folder, shared_folder / "other", become, {"HOME": str(shared_folder / "other")}) == wanted


def test_a_clock_that_moves_while_it_is_written_leaves_no_trace(run, tmp_path, monkeypatch):
    import time

    wanted = bundle()
    monkeypatch.setattr(time, "time", lambda: 4e9)
    monkeypatch.chdir(tmp_path)
    assert release(run, Settings(**STATED), out=tmp_path / "out.tar.gz").archive.read_bytes() == wanted


def test_another_release_is_not_overwritten(run, tmp_path):
    out = tmp_path / "out.tar.gz"
    out.write_bytes(b"other")
    with pytest.raises(StorageError, match="another release"):
        release(run, Settings(**STATED), out=out)
    assert out.read_bytes() == b"other"
    out.write_bytes(bundle())
    assert release(run, Settings(**STATED), out=out).sha256 == hashlib.sha256(bundle()).hexdigest()


def test_without_name_and_version_they_follow_from_the_run(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = release(run, Settings(files=("static_w8a8.tflite",)))
    digest = hashlib.sha256(run_files()["report.json"]).hexdigest()
    assert found.archive == Path(f"tiny-0.0.0-run{digest[:8]}.tar.gz")
    assert found.manifest.license == "NOASSERTION"
    assert verify(found.archive, run=False).differences == ()


def test_labels_of_ones_own_and_their_number(run, tmp_path):
    (tmp_path / "labels").write_text("a\nb\nc\n")
    settings = Settings(**STATED, labels=tmp_path / "labels", files=("static_w8a8.tflite",))
    assert release(run, settings, out=tmp_path / "out.tar.gz").manifest.labels == ("a", "b", "c")
    (tmp_path / "labels").write_text("a\nb\n")
    for name in ("static_w8a8.tflite", "float32.onnx"):
        with pytest.raises(BundleError, match=f"2 labels, but {name} has 3 outputs"):
            release(run, Settings(**STATED, labels=tmp_path / "labels", files=(name,)), out=tmp_path / "other.tar.gz")


def test_a_licence_of_ones_own(run, tmp_path):
    (tmp_path / "ours").write_text("All ours.\n")
    stated = {name: value for name, value in STATED.items() if name != "license"}
    settings = Settings(**stated, license_file=tmp_path / "ours", files=("float32.onnx",))
    found = release(run, settings, out=tmp_path / "out.tar.gz", layout=tmp_path / "layout")
    assert found.manifest.license == "LicenseRef-LICENSE"
    assert verify(tmp_path / "layout", run=False).differences == ()


@pytest.mark.parametrize("changes", [{"name": "../x"}, {"name": "a/b"}, {"version": "1 0"}, {"license": "MIT OR nonsense"}, {"name": "ä"}])
def test_words_that_cannot_be_are_refused(run, tmp_path, changes):
    with pytest.raises(BundleError):
        release(run, Settings(**(STATED | changes)), out=tmp_path / "out.tar.gz")
    assert not (tmp_path / "out.tar.gz").exists()


def test_a_model_that_crashes_its_process_is_one_error(run, tmp_path, monkeypatch):
    monkeypatch.setattr("toolchain.worker.Worker.call", crashing)
    with pytest.raises(BundleError, match="crashed"):
        release(run, Settings(**STATED), out=tmp_path / "out.tar.gz")
    assert not (tmp_path / "out.tar.gz").exists()


def crashing(*_, **__):
    raise BundleError("crashed")


def changed_report(run, change):
    made = json.loads((run / "report.json").read_bytes())
    change(made)
    (run / "report.json").write_text(json.dumps(made))


def test_the_page_is_made_from_the_report_and_not_taken_from_the_folder(run, tmp_path):
    (tmp_path / "secret").write_text("a secret")
    (run / "report.html").symlink_to(tmp_path / "secret")
    release(run, Settings(**STATED, files=("static_w8a8.tflite",)), out=tmp_path / "out.tar.gz")
    page = contents()["report.html"]
    assert b"edge_int8" in page
    with tarfile.open(tmp_path / "out.tar.gz") as tar:
        assert tar.extractfile(f"{NAME}/report.html").read() == page


@pytest.mark.parametrize(
    "change", [{"seed": "7"}, {"seed": -1}, {"data": 5}, {"data": {"synthetic": 1}}, {"data": {"synthetic": ["a", "b"]}}, {"stages": 5}]
)
def test_a_report_whose_settings_are_none_of_a_recipe_is_refused(run, tmp_path, change):
    changed_report(run, lambda made: made["settings"].update(change))
    with pytest.raises(BundleError, match="the settings are none of a recipe"):
        release(run, Settings(**STATED), out=tmp_path / "out.tar.gz")


@pytest.mark.parametrize("package", [{"name": 5}, {"name": "x(); system("}])
def test_a_report_that_names_no_c_package_has_a_program_for_the_array(run, tmp_path, package):
    changed_report(run, lambda made: made["steps"][0]["details"].update(package=package))
    out = release(run, Settings(**STATED, files=("static_*",)), out=tmp_path / "out.tar.gz").archive
    with tarfile.open(out) as tar:
        assert f"{NAME}/examples/static_w8a8_tflite.cc" in tar.getnames()


def test_two_files_with_one_name_in_c_are_refused(run, tmp_path):
    shutil.copy(run / "static_w8a8.tflite", run / "static-w8a8.tflite")
    changed_report(
        run, lambda made: made["artifacts"].append(made["artifacts"][1] | {"name": "static-w8a8.tflite", "path": "static-w8a8.tflite"})
    )
    with pytest.raises(BundleError, match=r"c/static_w8a8.[ch]: two files of the run"):
        release(run, Settings(**STATED, files=("static?w8a8.tflite",)), out=tmp_path / "out.tar.gz")


def test_what_verify_would_refuse_is_not_written(run, tmp_path, monkeypatch):
    monkeypatch.setattr("toolchain.release.extraction.MOST_FILES", 5)
    with pytest.raises(BundleError, match=r"^out.tar.gz: more than 5 files; take fewer"):
        release(run, Settings(**STATED, files=("*.onnx",)), out=tmp_path / "out.tar.gz")
    assert not (tmp_path / "out.tar.gz").exists()


def test_a_file_that_does_not_run_here_is_released_without_golden_vectors(run, tmp_path, monkeypatch):
    monkeypatch.setattr("toolchain.worker.Worker.call", unable)
    made = release(run, Settings(**STATED, files=("static_w8a8.tflite",)), out=tmp_path / "out.tar.gz").manifest
    assert made.models[0].golden is None
    assert "static_w8a8.tflite has no golden vectors: LiteRT cannot run it" in made.notes


CALL = Worker.call


def unable(worker, function, job, *rest):
    if function.endswith(":examine"):
        raise ModelError(f"{job.path}: LiteRT cannot run it")
    return CALL(worker, function, job, *rest)


def test_a_key_is_made_only_for_a_run_that_can_be_released(run, tmp_path):
    with pytest.raises(BundleError, match="matches none"):
        release(run, Settings(**STATED, files=("none",), new_key=tmp_path / "k"), out=tmp_path / "out.tar.gz")
    (run / "float32.onnx").write_bytes(b"changed")
    with pytest.raises(BundleError, match="not the file that the report measured"):
        release(run, Settings(**STATED, new_key=tmp_path / "k"), out=tmp_path / "out.tar.gz")
    assert not (tmp_path / "k").exists()


@pytest.mark.parametrize("pictures", [{}, {"0": "data:image/png;base64,AAAA"}])
def test_examples_are_called_an_image_where_the_report_shows_them_as_pictures(run, tmp_path, monkeypatch, pictures):
    said = []
    monkeypatch.setattr(tflite_metadata, "describe", lambda content, **facts: said.append(facts["image"]) or content)
    changed_report(run, lambda made: made.update(pictures=pictures))
    release(run, Settings(**STATED, files=("static_w8a8.tflite",)), out=tmp_path / "out.tar.gz")
    assert said == [bool(pictures)]


def test_golden_inputs_lie_in_the_range_of_the_data(made):
    import io

    (floats,) = (model.golden for model in made.models if model.path == "models/float32.onnx")
    inputs = np.load(io.BytesIO(contents()[floats.inputs[0]]))
    assert inputs.min() >= 0
    assert 0.5 < inputs.max() <= 1


def test_the_documented_calls_are_those_there_are(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", (HERE.parent / "docs" / "release.md").read_text(), re.DOTALL)
    run_folder(tmp_path / "out")
    shutil.copy(key(), tmp_path / "release.key")
    shutil.copy(public_key(), tmp_path / "release.key.pub")
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert [path.name for path in tmp_path.glob("*.tar.gz")] == ["tiny-1.2.0.tar.gz"]


def test_a_signed_bundle_verifies_with_its_key_and_not_with_another(tmp_path):
    from toolchain.release import signature

    (tmp_path / "b.tar.gz").write_bytes(bundle(signed=True))
    assert verify(tmp_path / "b.tar.gz", Signer(key=public_key()), run=False).signature == "valid"
    assert verify(tmp_path / "b.tar.gz", Signer(key=signature.new_key(tmp_path / "k")), run=False).signature == "invalid"
