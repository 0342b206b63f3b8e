import gzip
import hashlib
import io
import subprocess
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolchain.errors import BundleError
from toolchain.release import archive, extraction

NAMES = st.from_regex(r"[a-z0-9_][a-z0-9._+-]{0,20}(/[a-z0-9_][a-z0-9._+-]{0,20}){0,2}", fullmatch=True)


def files_apart(files):
    """No file where another one's folder is."""
    return not any(one != other and other.startswith(f"{one}/") for one in files for other in files)


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(NAMES, st.binary(max_size=2000), min_size=1, max_size=5).filter(files_apart))
def test_any_reader_finds_the_files_and_our_own_does_too(tmp_path_factory, files):
    packed = archive.pack("x-1", files)
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        assert {info.name: tar.extractfile(info).read() for info in tar} == {f"x-1/{name}": content for name, content in files.items()}
    folder = tmp_path_factory.mktemp("unpacked")
    (folder / "a.tgz").write_bytes(packed)
    assert extraction.sealed(folder / "a.tgz")
    assert extraction.unpack(folder / "a.tgz", folder / "out") == "x-1"
    found = {
        path.relative_to(folder / "out" / "x-1").as_posix(): path.read_bytes() for path in (folder / "out").rglob("*") if path.is_file()
    }
    assert found == files


def test_dates_owners_and_order_are_fixed():
    packed = archive.pack("x-1", {"b": b"2", "a": b"1"})
    assert packed == archive.pack("x-1", {"a": b"1", "b": b"2"})
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        members = tar.getmembers()
    assert [one.name for one in members] == ["x-1/a", "x-1/b"]
    assert {(one.mtime, one.uid, one.gid, one.uname, one.gname, one.mode) for one in members} == {(0, 0, 0, "", "", 0o644)}


def test_the_seal_is_the_digest_of_what_follows_and_gzip_reads_over_it(tmp_path):
    packed = archive.pack("x-1", {"a": b"1"})
    assert packed[16:48] == hashlib.sha256(packed[48:]).digest()
    assert len(gzip.decompress(packed)) == 10240
    (tmp_path / "a.tar.gz").write_bytes(packed)
    assert subprocess.run(["tar", "tzf", tmp_path / "a.tar.gz"], capture_output=True, check=True).stdout == b"x-1/a\n"


@pytest.mark.parametrize("name", ["/a", "a//b", "../a", "a/..", "a/./b", ".git", "-rf", "a b", "ä", "a\\b", "a\n", "", "c:a"])
def test_a_name_that_is_another_elsewhere_is_refused(name):
    with pytest.raises(BundleError, match="names in a release"):
        archive.pack("x-1", {name: b""})


def test_a_name_too_long_for_tar_is_refused():
    with pytest.raises(BundleError, match="no name or size"):
        archive.pack("x-1", {"a" * 300: b""})
