"""A full disk and a folder that cannot be written: one clear line, exit 2, and nothing of the user's is lost."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import shapes, tiny_model

from toolchain.files import SCRATCH

HUMBLE = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner", "--"] if os.geteuid() == 0 else []
FLOAT = '[data]\nscale = "1/255"\n[[export]]\nuse = "tflite"\n'


@contextlib.contextmanager
def mounted(folder: Path, options: str):
    """A file system in memory at `folder`; mounting needs root."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount a file system here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def full(tmp_path):
    """A disk of 64 kB with a file of the user's, and no room left."""
    with mounted(tmp_path / "full", "size=64k,mode=777") as folder:
        (folder / "mine.txt").write_text("precious")
        with contextlib.suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        yield folder


@pytest.fixture
def read_only(tmp_path):
    with mounted(tmp_path / "read_only", "size=1m") as folder:
        (folder / "mine.txt").write_text("precious")
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        yield folder


@pytest.fixture
def forbidden(tmp_path):
    """A folder without the permission to write."""
    folder = tmp_path / "forbidden"
    folder.mkdir()
    (folder / "mine.txt").write_text("precious")
    folder.chmod(0o555)
    return folder


KINDS = ["full", "read_only", "forbidden"]
FIRST = [KINDS[0], *(pytest.param(kind, marks=pytest.mark.prove) for kind in KINDS[1:])]
"""For commands that take long: one kind of place in every run of the tests, all with the longer proofs."""


@pytest.fixture(params=KINDS)
def place(request):
    """A folder that takes nothing more, and what the message says about it."""
    said = {"full": "no space left on the device", "read_only": "the file system is read-only", "forbidden": "permission denied"}
    folder = request.getfixturevalue(request.param)
    yield folder, said[request.param]
    folder.chmod(0o755) if request.param == "forbidden" else None
    assert (folder / "mine.txt").read_text() == "precious"
    assert not list(folder.rglob(f"{SCRATCH}*"))


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command, without root's right to write where permissions forbid it."""
    return subprocess.run(
        [*HUMBLE, sys.executable, "-m", "toolchain.cli", *arguments], capture_output=True, text=True, env=os.environ | environment, timeout=600,
        check=False, cwd="/",
    )  # fmt: skip


def refused(done: subprocess.CompletedProcess[str], said: str) -> None:
    assert done.returncode == 2, done.stderr
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith("secateur: ")
    assert said in line
    assert "Traceback" not in done.stderr


@pytest.fixture
def places(tmp_path, compiled_once):
    """A cache, which keeps what was compiled, and a place for temporary files."""
    (tmp_path / "tmp").mkdir()
    return {"SECATEUR_CACHE": os.environ["SECATEUR_CACHE"], "TMPDIR": str(tmp_path / "tmp")}


@pytest.mark.parametrize("place", FIRST, indirect=True)
def test_c_source(place, places, tiny_int8):
    folder, said = place
    done = command("c-source", str(tiny_int8), "--out", str(folder / "c"), "--core", "cortex-m4", **places)
    refused(done, said)


def test_the_place_of_the_cache(place, places, tiny_int8, npz):
    folder, said = place
    done = command("bench", str(tiny_int8), "--data", str(npz), **places | {"SECATEUR_CACHE": str(folder / "cache")})
    refused(done, said)


def test_a_cache_that_cannot_be_cleared(tmp_path, places):
    """`removed` is said only of what was removed."""
    with mounted(tmp_path / "cache", "size=1m") as cache:
        (cache / "ab").mkdir()
        (cache / "ab" / "entry").touch()
        subprocess.run(["mount", "-o", "remount,ro", str(cache)], check=True)
        refused(command("cache", "--clear", **places | {"SECATEUR_CACHE": str(cache)}), "the file system is read-only")
        assert (cache / "ab" / "entry").exists()


def test_the_place_of_temporary_files(full, places, tiny_int8):
    """Other places for temporary files are taken where there are any; here there is none."""
    script = f"import tempfile; tempfile._candidate_tempdir_list = lambda: [{str(full)!r}]\nfrom toolchain.cli.app import main\nmain()"
    done = subprocess.run([sys.executable, "-c", script, "recipes"], capture_output=True, text=True, check=False, env=os.environ | places)
    refused(done, "name a folder in TMPDIR")


def test_a_full_disk_below_standard_output(places):
    with open("/dev/full", "w") as out:
        done = subprocess.run(
            [sys.executable, "-m", "toolchain.cli", "recipes"], stdout=out, stderr=subprocess.PIPE, text=True, check=False
        )
    refused(done, "no space left on the device")


@pytest.mark.tensorflow
@pytest.mark.parametrize("place", FIRST, indirect=True)
def test_plots_of_compare(place, places, tiny_int8, tiny_float):
    folder, said = place
    done = command("compare", str(tiny_float), str(tiny_int8), "--examples", "4", "--plot", str(folder / "e.svg"), **places)
    refused(done, said)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model, data and a recipe."""
    import keras

    folder = tmp_path_factory.mktemp("trained")
    tiny_model(keras).save(folder / "tiny.keras")
    (folder / "float.toml").write_text(FLOAT)
    x, y = shapes(300)
    np.savez(folder / "shapes.npz", x=x, y=y)
    return folder


@pytest.mark.tensorflow
@pytest.mark.parametrize("place", FIRST, indirect=True)
def test_a_run(place, places, trained):
    """The output's place, then with all steps cached, then the cache's."""
    folder, said = place
    inputs = ["run", str(trained / "float.toml"), "--model", str(trained / "tiny.keras"), "--data", str(trained / "shapes.npz")]
    refused(command(*inputs, "--out", str(folder / "out"), **places), said)
    refused(command(*inputs, "--out", str(folder / "out"), **places), said)
    free = places | {"SECATEUR_CACHE": str(folder / "cache")}
    refused(command(*inputs, "--out", places["TMPDIR"] + "/out", **free), said)


@pytest.mark.prove
@pytest.mark.tensorflow
def test_plots_of_sensitivity(full, places, trained):
    inputs = ["sensitivity", str(trained / "tiny.keras"), "--data", str(trained / "shapes.npz"), "--channels", "--ratio", "0.5"]
    refused(command(*inputs, "--plot", str(full / "s.svg"), **places), "no space left on the device")
    assert (full / "mine.txt").read_text() == "precious"


@pytest.mark.prove
@pytest.mark.tensorflow
def test_the_demonstration(full, places):
    refused(command("demo", "--out", str(full / "out"), **places | {"SECATEUR_CACHE": str(full / "cache")}), "no space left")
