import base64
import json
import stat
import subprocess
import sys

import pytest
from released_run import key, public_key

from toolchain.errors import BundleError, StorageError
from toolchain.release import signature


@pytest.fixture
def folder(tmp_path):
    """A signed folder."""
    (tmp_path / "f" / "sub").mkdir(parents=True)
    (tmp_path / "f" / "a").write_bytes(b"1")
    (tmp_path / "f" / "sub" / "b").write_bytes(b"2")
    signature.sign(tmp_path / "f", key())
    return tmp_path / "f"


def test_a_signature_holds_until_a_file_is_changed_added_or_removed(folder):
    assert signature.mismatch(folder, public_key()) == ()
    (folder / "a").write_bytes(b"!")
    (folder / ".gitignore").write_bytes(b"")
    (folder / "sub" / "b").unlink()
    assert signature.mismatch(folder, public_key()) == (
        "a: not as it was signed",
        "sub/b: signed, but missing",
        ".gitignore: added after signing",
    )


def test_a_mismatch_that_has_no_name_is_one(folder):
    """What the library compares beyond names and digests, such as links or sizes of parts, it alone can tell."""

    class Library:
        def verify(self, folder, path):
            raise ValueError("Signature mismatch: something else")

    assert signature._verified(folder, Library()) == ("the signature is not valid: Signature mismatch: something else",)


def test_the_list_of_checksums_may_come_afterwards(folder):
    (folder / signature.SUMS).write_bytes(b"")
    assert signature.mismatch(folder, public_key()) == ()


def test_the_tool_of_the_standard_agrees(folder):
    command = [
        sys.executable,
        "-m",
        "model_signing",
        "verify",
        "key",
        folder,
        "--signature",
        folder / "model.sig",
        "--public_key",
        public_key(),
    ]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    (folder / "a").write_bytes(b"!")
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


def test_signing_twice_in_two_processes_gives_the_same_bytes(folder):
    first = (folder / "model.sig").read_bytes()
    code = (
        f"import pathlib; from toolchain.release.signature import sign; sign(pathlib.Path({str(folder)!r}), pathlib.Path({str(key())!r}))"
    )
    for seed in ("1", "2", "3"):
        subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONHASHSEED": seed})
        assert (folder / "model.sig").read_bytes() == first


def test_another_key_is_told(folder, tmp_path):
    other = signature.new_key(tmp_path / "other")
    (said,) = signature.mismatch(folder, other)
    assert said.startswith("the signature is not valid: Key mismatch")


def test_every_flipped_byte_of_what_was_signed_is_found(folder):
    whole = (folder / "model.sig").read_bytes()
    inside = base64.b64decode(json.loads(whole)["dsseEnvelope"]["payload"])
    for place in range(0, len(inside), 7):
        flipped = bytearray(inside)
        flipped[place] ^= 1
        document = json.loads(whole)
        document["dsseEnvelope"]["payload"] = base64.b64encode(flipped).decode()
        (folder / "model.sig").write_text(json.dumps(document))
        assert signature.mismatch(folder, public_key()), place


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"verificationMaterial": {}}', b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_signature_is_not_valid(folder, content):
    (folder / "model.sig").write_bytes(content)
    (said,) = signature.mismatch(folder, public_key())
    assert "not valid" in said
    (folder / "model.sig").unlink()
    assert signature.mismatch(folder, public_key()) == ("the release is not signed",)


def test_a_signature_of_megabytes_is_not_read(folder):
    whole = (folder / "model.sig").read_bytes()
    (folder / "model.sig").write_bytes(whole + b" " * (8 << 20))
    assert signature.mismatch(folder, public_key()) == ("the signature is not valid: it has more than 8,388,608 bytes",)


def test_a_valid_signature_that_leaves_files_out_is_none_of_a_release(folder):
    from model_signing import hashing, signing

    files = hashing.Config().set_ignored_paths(paths=["a", "model.sig"], ignore_git_paths=False)
    signing.Config().use_elliptic_key_signer(private_key=key()).set_hashing_config(files).sign(folder, folder / "model.sig")
    (folder / "a").write_bytes(b"!")
    assert signature.mismatch(folder, public_key()) == ("the signature leaves out a",)


def test_a_new_key_is_secret_and_overwrites_nothing(tmp_path):
    public = signature.new_key(tmp_path / "k")
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o600
    assert b"PUBLIC" in public.read_bytes()
    assert b"PRIVATE" not in public.read_bytes()
    before = (tmp_path / "k").read_bytes()
    for present in (tmp_path / "k", public):
        with pytest.raises(StorageError, match="never overwritten"):
            signature.new_key(tmp_path / "k")
        present.unlink()
    (tmp_path / "k").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="never overwritten"):
        signature.new_key(tmp_path / "k")
    assert before


def test_a_password_from_the_environment_protects_the_key(folder, tmp_path, monkeypatch):
    monkeypatch.setenv(signature.PASSWORD, "opening")
    public = signature.new_key(tmp_path / "k")
    assert b"ENCRYPTED" in (tmp_path / "k").read_bytes()
    signature.sign(folder, tmp_path / "k")
    assert signature.mismatch(folder, public) == ()
    for password in ("wrong", ""):
        monkeypatch.setenv(signature.PASSWORD, password)
        with pytest.raises(BundleError, match=f"not a private elliptic curve key.*{signature.PASSWORD}"):
            signature.sign(folder, tmp_path / "k")


def test_files_that_are_no_keys_are_told(folder, tmp_path):
    (tmp_path / "k").write_bytes(b"no key")
    with pytest.raises(BundleError, match="not a private"):
        signature.sign(folder, tmp_path / "k")
    with pytest.raises(BundleError, match="not the public half"):
        signature.mismatch(folder, tmp_path / "k")
    with pytest.raises(BundleError, match="not the public half"):
        signature.mismatch(folder, key())
    with pytest.raises(BundleError, match="not a private"):
        signature.sign(folder, public_key())


def test_sigstore_without_a_network_says_so(folder, monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("HOME", str(folder.parent))
    with pytest.raises(BundleError, match="needs a network and an identity.*--key"):
        signature.sign_sigstore(folder)
    with pytest.raises(BundleError, match="needs a network"):
        signature.mismatch_sigstore(folder, "me@example.com", "https://example.com")
