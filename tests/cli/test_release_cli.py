import json
import sys
from pathlib import Path

import pytest
from conftest import HERE, secateur

sys.path.insert(0, str(HERE / "release"))
from released_run import NAME, bundle, public_key, run_folder


@pytest.mark.parametrize("command", ["release", "verify"])
def test_every_command_shows_an_example(command):
    done = secateur(command, "--help")
    assert done.returncode == 0
    assert f"secateur {command} " in done.stdout.replace(f"Usage: secateur {command}", "")


@pytest.fixture
def signed(tmp_path) -> Path:
    (tmp_path / f"{NAME}.tar.gz").write_bytes(bundle(signed=True))
    return tmp_path / f"{NAME}.tar.gz"


def test_release_and_verify_as_a_user_does(tmp_path):
    run_folder(tmp_path / "out")
    done = secateur(
        "release", "out", "--name", "kws", "--version", "2.0", "--new-key", "k", "--oci", "layout", "--files", "static_*", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "wrote k (keep it secret) and k.pub" in done.stdout
    assert "no licence stated" in done.stdout
    assert "signed with a key; check it with: secateur verify kws-2.0.tar.gz" in done.stdout
    for bundle_ in ("kws-2.0.tar.gz", "layout"):
        done = secateur("verify", bundle_, "--key", "k.pub", cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "signature: valid\nkws 2.0: as released\n" in done.stdout
        assert "golden examples" in done.stdout


def test_an_unsigned_release_says_so_twice(tmp_path):
    run_folder(tmp_path / "out")
    done = secateur("release", "out", "--out", "a.tar.gz", "--files", "*.onnx", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["manifest"]["signature"] == "none"
    done = secateur("release", "out", "--out", "a.tar.gz", "--files", "*.onnx", cwd=tmp_path)
    assert "NOT SIGNED" in done.stdout
    done = secateur("verify", "a.tar.gz", "--no-run", cwd=tmp_path)
    assert (done.returncode, "UNSIGNED" in done.stdout) == (0, True)
    assert done.stdout.endswith(": undamaged; who made it is not known\n")
    done = secateur("verify", "a.tar.gz", "--no-run", "--key", str(public_key()), cwd=tmp_path)
    assert (done.returncode, "DIFFERENT: the release is not signed" in done.stdout) == (3, True)


def test_a_difference_is_exit_3_and_what_is_no_bundle_exit_2(signed, tmp_path):
    done = secateur("verify", str(signed), "--no-run", "--json")
    assert (done.returncode, json.loads(done.stdout)["signature"]) == (0, "unchecked")
    signed.write_bytes(signed.read_bytes()[:-1])
    done = secateur("verify", str(signed), "--no-run", "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["differences"]
    (tmp_path / "none").write_bytes(b"none")
    done = secateur("verify", str(tmp_path / "none"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("secateur: ")
    assert done.stderr.count("\n") == 1


def test_a_key_is_not_overwritten_and_signatures_are_not_mixed(tmp_path):
    run_folder(tmp_path / "out")
    (tmp_path / "k").write_text("precious")
    done = secateur("release", "out", "--new-key", "k", cwd=tmp_path)
    assert done.returncode == 2
    assert "never overwritten" in done.stderr
    assert (tmp_path / "k").read_text() == "precious"
    done = secateur("release", "out", "--key", "k", "--sigstore", cwd=tmp_path)
    assert done.returncode == 2
    assert "one signature a release" in done.stderr
