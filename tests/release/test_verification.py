import contextlib
import io
import json
import os
import random
import tarfile
from pathlib import Path

import msgspec
import numpy as np
import pytest
from released_run import NAME, bundle, contents, forged, public_key

from toolchain.errors import BundleError
from toolchain.release import archive as packing
from toolchain.release import listing, manifest, oci, signature
from toolchain.release.verification import Signer, _Verification, verify
from toolchain.report import dumps


@pytest.fixture
def signer():
    return Signer(key=public_key())


@pytest.fixture
def archive(tmp_path):
    def written(content: bytes):
        (tmp_path / f"{NAME}.tar.gz").write_bytes(content)
        return tmp_path / f"{NAME}.tar.gz"

    return written


@pytest.fixture
def folder(tmp_path):
    """The signed bundle, unpacked by tar."""
    (tmp_path / "b.tar.gz").write_bytes(bundle(signed=True))
    with tarfile.open(tmp_path / "b.tar.gz") as tar:
        tar.extractall(tmp_path, filter="data")
    return tmp_path / NAME


@pytest.fixture
def no_schema(monkeypatch):
    """Without the seconds that CycloneDX's schema takes to be read."""
    monkeypatch.setattr(_Verification, "_check_bom", lambda *_: None)


def test_a_bundle_is_as_released_and_its_golden_vectors_hold(archive, signer):
    found = verify(archive(bundle(signed=True)), signer)
    assert found.differences == found.unchecked == ()
    assert (found.name, found.version, found.signature) == ("tiny", "1.0.0", "valid")
    for model in ("float32.tflite", "static_w8a8.tflite", "float32.onnx"):
        assert any(line.startswith(f"models/{model}: 8 golden examples on ") for line in found.checked)
    assert "bom.cdx.json: valid CycloneDX 1.6" in found.checked


def test_unsigned_is_said_and_is_no_answer_to_a_key(archive, no_schema, signer):
    path = archive(bundle())
    found = verify(path, run=False)
    assert (found.signature, found.differences) == ("unsigned", ())
    found = verify(path, signer, run=False)
    assert (found.signature, found.differences) == ("unsigned", ("the release is not signed",))


def test_a_signature_without_a_key_is_not_called_valid(archive, no_schema):
    found = verify(archive(bundle(signed=True)), run=False)
    assert found.signature == "unchecked"
    assert any("give the public key" in line for line in found.unchecked)


def test_any_flipped_byte_of_the_archive_is_found(archive, no_schema):
    whole = bundle()
    draw = random.Random(0)
    for place in [*range(0, 48, 5), *(draw.randrange(48, len(whole)) for _ in range(20)), *range(len(whole) - 8, len(whole), 3)]:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << draw.randrange(8)
        try:
            assert verify(archive(bytes(flipped)), run=False).differences, place
        except BundleError:
            assert place < 16, place


@pytest.mark.parametrize("behind", [b"\0", b"\0" * 10240, b"more"])
def test_trailing_bytes_are_found(archive, no_schema, behind):
    assert verify(archive(bundle() + behind), run=False).differences


def test_a_flipped_byte_of_any_file_is_found_and_the_file_named(folder, no_schema, signer):
    for name, whole in contents(signed=True).items():
        content = bytearray(whole)
        content[len(content) // 3] ^= 4
        (folder / name).write_bytes(content)
        without, with_key = verify(folder, run=False), verify(folder, signer, run=False)
        (folder / name).write_bytes(whole)
        assert any(line.startswith(f"{name}:") for line in without.differences), (name, without.differences)
        if name not in (signature.SUMS, signature.NAME):
            assert with_key.signature == "invalid", name
            assert f"{name}: not as it was signed" in with_key.differences
    assert verify(folder, signer, run=False).differences == ()


def test_a_changed_file_is_found_though_the_checksums_were_made_anew(folder, no_schema):
    (folder / "LICENSE").write_bytes(b"another")
    found = {path: one.sha256 for path, one in listing.tree(folder)[0].items() if path != signature.SUMS}
    (folder / signature.SUMS).write_bytes(listing.sums(found))
    assert verify(folder, run=False).differences == ("LICENSE: not the file that manifest.json lists",)


def test_added_missing_and_linked_files_are_named(folder, no_schema, signer):
    (folder / "extra").mkdir()
    (folder / "extra" / "file").touch()
    (folder / "nothing").mkdir()
    (folder / "LICENSE").unlink()
    (folder / "golden" / "link").symlink_to("/etc/passwd")
    os.mkfifo(folder / "golden" / "pipe")
    found = verify(folder, signer, run=False).differences
    for line in (
        "extra/file: added",
        "nothing: an empty folder",
        "LICENSE: missing",
        "golden/link: a link",
        "golden/pipe: no plain file",
    ):
        assert line in found, line


def test_a_forgery_in_which_all_agrees_is_found_by_the_key(archive, no_schema, signer):
    files = dict(contents(signed=True))
    model = bytearray(files["models/static_w8a8.tflite"])
    model[-200] ^= 1
    path = archive(forged(files | {"models/static_w8a8.tflite": bytes(model)}))
    assert verify(path, run=False).differences == ()
    found = verify(path, signer, run=False)
    assert found.signature == "invalid"
    assert "models/static_w8a8.tflite: not as it was signed" in found.differences
    assert "manifest.json: not as it was signed" in found.differences


@pytest.mark.parametrize("change", ["name", "file"])
def test_a_forgery_that_adds_a_file_or_renames_the_release_is_found_by_the_key(archive, no_schema, change, signer):
    files = dict(contents(signed=True))
    if change == "file":
        files["models/extra.tflite"] = b"x"
    else:
        files[manifest.NAME] = files[manifest.NAME].replace(b'"version": "1.0.0"', b'"version": "1.0.1"')
    found = verify(archive(forged(files)), signer, run=False)
    assert found.signature == "invalid"


def test_a_folder_of_another_name_is_found(archive, no_schema):
    found = verify(archive(packing.pack("other-1.0.0", contents())), run=False)
    assert found.differences == ("other-1.0.0: the folder of tiny-1.0.0 has another name",)


def test_a_signature_taken_away_is_missed(archive, no_schema):
    files = {path: content for path, content in contents(signed=True).items() if path != signature.NAME}
    found = verify(archive(forged(files)), run=False)
    assert (found.signature, found.differences) == ("unsigned", ("model.sig: missing",))


def test_golden_vectors_that_do_not_hold_are_measured(archive, no_schema):
    files = dict(contents())
    name = "golden/static_w8a8.tflite.output_0.npy"
    answers = np.load(io.BytesIO(files[name]))
    changed = io.BytesIO()
    np.save(changed, np.where(answers > 0, answers - 90, answers + 90).astype(np.int8))
    found = verify(archive(forged(files | {name: changed.getvalue()})))
    (line,) = found.differences
    assert line.startswith("models/static_w8a8.tflite: 8 golden examples on litert")
    assert "off by 90 at most, but" in line


def test_models_of_a_changed_bundle_do_not_run(folder, no_schema):
    (folder / "LICENSE").write_bytes(b"none")
    found = verify(folder)
    assert "golden vectors: not run, because the files are not as released" in found.unchecked
    assert not any("golden examples" in line for line in found.checked)


@pytest.mark.parametrize("path", ["../../../../etc/passwd", "/etc/passwd", "models/none.tflite"])
def test_a_manifest_that_points_elsewhere_reads_nothing(archive, no_schema, path):
    files = dict(contents())
    made = manifest.load(files[manifest.NAME], "")
    models = (msgspec.structs.replace(made.models[0], path=path), *made.models[1:])
    files[manifest.NAME] = dumps(msgspec.structs.replace(made, models=models))
    assert f"{path}: {path} is not in the bundle" in verify(archive(forged(files))).differences


def test_a_hostile_model_is_a_difference_and_no_crash(archive, no_schema):
    files = dict(contents())
    files["models/static_w8a8.tflite"] = files["models/static_w8a8.tflite"][:2000]
    found = verify(archive(forged(files)))
    assert any(line.startswith("models/static_w8a8.tflite: ") for line in found.differences)


def test_a_runtime_that_is_not_there_is_said(archive, no_schema, tmp_path, monkeypatch):
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent" / "onnxruntime.py").write_text("raise ModuleNotFoundError('gone', name='onnxruntime')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "absent"))
    found = verify(archive(bundle()))
    assert found.differences == ()
    assert any(line.startswith("models/float32.onnx: onnxruntime is not installed") for line in found.unchecked)


@pytest.mark.parametrize("broken", [b'{"bomFormat": "other", "specVersion": "1.6"}', b"{", b"\xff", b"[" * 100_000])
def test_a_bill_of_materials_that_breaks_its_schema_is_found(archive, broken):
    (line,) = verify(archive(forged(contents() | {"bom.cdx.json": broken})), run=False).differences
    assert line.startswith("bom.cdx.json: ")


def test_a_bill_of_materials_is_not_validated_where_files_differ_or_it_is_too_large(folder, archive):
    (folder / "LICENSE").write_bytes(b"another")
    assert "bom.cdx.json: not validated, because the files are not as released" in verify(folder, run=False).unchecked
    large = contents() | {"bom.cdx.json": json.dumps({"components": [{"name": str(i)} for i in range(60_000)]}).encode()}
    (line,) = verify(archive(forged(large)), run=False).differences
    assert line.endswith("larger than 1,048,576 B")


def test_a_bill_of_materials_that_takes_longer_than_the_limit_is_a_difference(archive):
    slow = json.dumps(
        {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"type": "data", "name": f"{i}"} for i in range(20_000)]}
    )
    (line,) = verify(archive(forged(contents() | {"bom.cdx.json": slow.encode()})), run=False, limit_s=6).differences
    assert line.startswith("bom.cdx.json: bom.cdx.json: stopped after the limit of 6 s")


@pytest.mark.parametrize("runtime", ["", " ", "\t\n"])
def test_a_manifest_that_names_no_runtime_is_no_crash(archive, no_schema, runtime):
    files = dict(contents())
    made = manifest.load(files[manifest.NAME], "")
    models = tuple(msgspec.structs.replace(one, golden=msgspec.structs.replace(one.golden, runtime=runtime)) for one in made.models)
    files[manifest.NAME] = dumps(msgspec.structs.replace(made, models=models))
    assert verify(archive(forged(files))).differences == ()


def test_the_same_kernels_have_to_answer_the_same(archive, no_schema):
    """A step is within what other kernels may differ by."""
    files = dict(contents())
    name = "golden/static_w8a8.tflite.output_0.npy"
    changed = io.BytesIO()
    np.save(changed, np.load(io.BytesIO(files[name])) + np.int8(1))
    files[name] = changed.getvalue()
    (line,) = verify(archive(forged(files))).differences
    assert "off by 1 at most, but 0 is allowed" in line
    made = manifest.load(files[manifest.NAME], "")
    older = tuple(
        msgspec.structs.replace(one, golden=msgspec.structs.replace(one.golden, runtime="litert 1.0.0 reference")) for one in made.models
    )
    files[manifest.NAME] = dumps(msgspec.structs.replace(made, models=older))
    assert verify(archive(forged(files))).differences == ()


def test_a_layout_is_checked_with_what_is_around_the_archive(tmp_path, no_schema, signer):
    layout = tmp_path / "layout"
    made = manifest.load(contents(signed=True)[manifest.NAME], "")
    oci.write(layout, f"{NAME}.tar.gz", bundle(signed=True), made)
    found = verify(layout, signer, run=False)
    assert found.differences == ()
    assert "OCI layout: digests, sizes, annotations" in found.checked
    for path in sorted(path for path in layout.rglob("*") if path.is_file()):
        whole = path.read_bytes()
        for place in (len(whole) // 2, len(whole) - 1):
            flipped = bytearray(whole)
            flipped[place] ^= 1
            path.write_bytes(flipped)
            with contextlib.suppress(BundleError):
                assert verify(layout, signer, run=False).differences, path
        path.write_bytes(whole)
    (layout / "blobs" / "extra").touch()
    assert verify(layout, signer, run=False).differences == ("blobs/extra: added",)


def test_what_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(BundleError, match="neither an unpacked release nor"):
        verify(tmp_path)
    with pytest.raises(BundleError, match="No such file"):
        verify(tmp_path / "none.tar.gz")
    with pytest.raises(BundleError, match="--identity and --issuer"):
        verify(tmp_path, Signer(identity="me"))
    with pytest.raises(BundleError, match="one signature: give --key, or"):
        verify(tmp_path, Signer(key=public_key(), identity="me", issuer="https://me"))


def test_what_would_block_its_reader_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BundleError, match="neither a file nor a folder"):
        verify(tmp_path / "pipe")
    with pytest.raises(BundleError, match="neither a file nor a folder"):
        verify(Path("/dev/zero"))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schema": 9}', b"[" * 1000])
def test_a_broken_manifest_is_a_difference(folder, no_schema, content):
    (folder / manifest.NAME).write_bytes(content)
    found = verify(folder, run=False)
    assert any(line.startswith("manifest.json: not a manifest of schema 1") for line in found.differences)
    assert "manifest.json: not the file that SHA256SUMS lists" in found.differences


def test_the_result_is_json(archive, no_schema):
    found = verify(archive(bundle()), run=False)
    assert json.loads(dumps(found))["signature"] == "unsigned"
