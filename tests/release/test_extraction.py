import hashlib
import io
import tarfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolchain.errors import BundleError
from toolchain.release import archive, extraction

CONTENTS = {"a": b"first", "b/c": bytes(range(256)) * 3, "b/d": b""}


def tar_of(*members: tuple[tarfile.TarInfo, bytes], format: int = tarfile.USTAR_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as tar:
        for info, content in members:
            info.size = len(content)
            info.mode = 0o644
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def plain(name: str, content: bytes = b"x") -> tuple[tarfile.TarInfo, bytes]:
    return tarfile.TarInfo(name), content


def special(name: str, type: bytes, link: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = type, link
    return info, b""


def sealed(tar: bytes, behind: bytes = b"") -> bytes:
    """As `archive.pack` does it, around any tar."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packer.compress(tar) + packer.flush() + zlib.crc32(tar).to_bytes(4, "little") + len(tar).to_bytes(4, "little") + behind
    return archive.GZIP + hashlib.sha256(body).digest() + body


@pytest.fixture
def unpack(tmp_path):
    def run(content: bytes) -> str:
        (tmp_path / "h.tar.gz").write_bytes(content)
        assert extraction.sealed(tmp_path / "h.tar.gz")
        return extraction.unpack(tmp_path / "h.tar.gz", tmp_path / "out")

    return run


HOSTILE = {
    "absolute": (sealed(tar_of(plain("/etc/cron.d/x"))), "leads out"),
    "parent": (sealed(tar_of(plain("x-1/../../y"))), "leads out"),
    "dot": (sealed(tar_of(plain("x-1/./y"))), "names in a release"),
    "symlink": (sealed(tar_of(special("x-1/a", tarfile.SYMTYPE, "/etc/passwd"))), "no plain file"),
    "through a link": (sealed(tar_of(special("x-1/a", tarfile.SYMTYPE, "/tmp"), plain("x-1/a/b"))), "no plain file"),
    "hard link": (sealed(tar_of(plain("x-1/a"), special("x-1/b", tarfile.LNKTYPE, "x-1/a"))), "no plain file"),
    "character device": (sealed(tar_of(special("x-1/a", tarfile.CHRTYPE))), "no plain file"),
    "block device": (sealed(tar_of(special("x-1/a", tarfile.BLKTYPE))), "no plain file"),
    "fifo": (sealed(tar_of(special("x-1/a", tarfile.FIFOTYPE))), "no plain file"),
    "folder": (sealed(tar_of(special("x-1", tarfile.DIRTYPE))), "no plain file"),
    "contiguous": (sealed(tar_of(special("x-1/a", tarfile.CONTTYPE))), "no plain file"),
    "old kind of file": (sealed(tar_of(special("x-1/a", tarfile.AREGTYPE))), "no plain file"),
    "sparse": (sealed(tar_of(special("x-1/a", tarfile.GNUTYPE_SPARSE))), "no plain file"),
    "long name of GNU": (sealed(tar_of(plain("x-1/" + "a" * 150), format=tarfile.GNU_FORMAT)), "no plain file"),
    "extended header": (sealed(tar_of(plain("x-1/ä"), format=tarfile.PAX_FORMAT)), "no plain file"),
    "twice": (sealed(tar_of(plain("x-1/a"), plain("x-1/a"))), "one to some disk"),
    "capitals": (sealed(tar_of(plain("x-1/A"), plain("x-1/a"))), "one to some disk"),
    "capital folders": (sealed(tar_of(plain("x-1/A/b"), plain("x-1/a/c"))), "one to some disk"),
    "file and folder": (sealed(tar_of(plain("x-1/a"), plain("x-1/a/b"))), "one to some disk"),
    "folder and file": (sealed(tar_of(plain("x-1/a/b"), plain("x-1/a"))), "one to some disk"),
    "normal forms": (sealed(tar_of(plain("x-1/\u00e9"), plain("x-1/e\u0301"))), "damaged tar header"),
    "two tops": (sealed(tar_of(plain("x-1/a"), plain("y-1/a"))), "outside the one folder"),
    "no top": (sealed(tar_of(plain("a"))), "outside the one folder"),
    "order": (sealed(tar_of(plain("x-1/b"), plain("x-1/a"))), "out of order"),
    "backslash": (sealed(tar_of(plain("x-1/..\\..\\a"))), "names in a release"),
    "empty": (sealed(tar_of()), "empty archive"),
    "hidden": (sealed(tar_of(plain("x-1/.git/config"))), "names in a release"),
    "behind the tar": (sealed(tar_of(plain("x-1/a")) + b"\1" * 512), "behind the last"),
    "more zeros": (sealed(tar_of(plain("x-1/a")) + bytes(10240)), "behind the last"),
    "no end": (sealed(tar_of(plain("x-1/a"))[:1024]), "ends too early"),
    "behind the gzip": (sealed(tar_of(plain("x-1/a")), b"!"), "something follows"),
    "a second gzip": (sealed(tar_of(plain("x-1/a")), archive.pack("x-1", {"b": b""})), "something follows"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_is_refused(unpack, kind, tmp_path):
    content, reason = HOSTILE[kind]
    with pytest.raises(BundleError, match=reason):
        unpack(content)
    outside = {path.name for path in tmp_path.iterdir()} - {"h.tar.gz", "out"}
    assert not outside


@pytest.mark.parametrize("field", ["mtime", "uid", "gid", "uname", "gname", "mode", "linkname"])
def test_a_header_that_says_more_than_name_and_size_is_refused(unpack, field):
    info, content = plain("x-1/a")
    setattr(info, field, "root" if field in ("uname", "gname", "linkname") else 1)
    info.mode = info.mode if field == "mode" else 0o644
    info.size = 1
    block = info.tobuf(tarfile.USTAR_FORMAT)
    tar = block + content + bytes(511) + bytes(1024)
    with pytest.raises(BundleError, match="not the one of a release"):
        unpack(sealed(tar + bytes(-len(tar) % 10240)))


def test_a_size_in_base_256_is_refused(unpack):
    info, _ = plain("x-1/a")
    info.size = 1 << 40
    with pytest.raises(BundleError, match="claims 1,099,511,627,776 B"):
        unpack(sealed(info.tobuf(tarfile.GNU_FORMAT) + bytes(512)))


def test_too_many_files(unpack, monkeypatch):
    monkeypatch.setattr(extraction, "MOST_FILES", 3)
    assert unpack(archive.pack("x-1", dict.fromkeys("abc", b""))) == "x-1"


def test_one_file_more_than_the_limit(unpack, monkeypatch):
    monkeypatch.setattr(extraction, "MOST_FILES", 3)
    with pytest.raises(BundleError, match="more than 3 files"):
        unpack(archive.pack("x-1", dict.fromkeys("abcd", b"")))


def test_too_large_a_file_is_refused_before_it_is_unpacked(unpack, monkeypatch, tmp_path):
    monkeypatch.setattr(extraction, "MOST_FILE_BYTES", 10)
    with pytest.raises(BundleError, match="claims 11 B"):
        unpack(archive.pack("x-1", {"a": bytes(11)}))
    assert not list((tmp_path / "out").rglob("a"))


def test_files_too_large_together(unpack, monkeypatch):
    monkeypatch.setattr(extraction, "MOST_BYTES", 15)
    with pytest.raises(BundleError, match="15 of all files"):
        unpack(archive.pack("x-1", {"a": bytes(10), "b": bytes(10)}))


def test_a_bomb_stops_at_the_ratio_and_not_after_it(unpack, tmp_path):
    bomb = archive.pack("x-1", {"a": bytes(64 << 20)})
    assert len(bomb) < 100_000
    with pytest.raises(BundleError, match="200 times its size"):
        unpack(bomb)
    assert (tmp_path / "out" / "x-1" / "a").stat().st_size < 32 << 20


def test_nothing_is_written_over_an_existing_file(tmp_path):
    (tmp_path / "h.tar.gz").write_bytes(archive.pack("x-1", {"a": b"new"}))
    (tmp_path / "out" / "x-1").mkdir(parents=True)
    (tmp_path / "out" / "x-1" / "a").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        extraction.unpack(tmp_path / "h.tar.gz", tmp_path / "out")
    assert (tmp_path / "out" / "x-1" / "a").read_bytes() == b"old"


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b", b"PK\x03\x04" + bytes(100), bytes(100)])
def test_what_is_no_release_is_refused(tmp_path, content):
    (tmp_path / "h").write_bytes(content)
    with pytest.raises(BundleError, match="not a release"):
        extraction.sealed(tmp_path / "h")


def test_every_flipped_byte_of_an_archive_breaks_its_seal_or_its_header(tmp_path):
    packed = archive.pack("x-1", CONTENTS)
    for place in range(len(packed)):
        flipped = bytearray(packed)
        flipped[place] ^= 1 << place % 8
        (tmp_path / "f").write_bytes(flipped)
        try:
            assert not extraction.sealed(tmp_path / "f"), place
        except BundleError:
            assert place < len(archive.GZIP)


@pytest.mark.parametrize("step", [11, pytest.param(1, marks=pytest.mark.prove)])
def test_every_flipped_byte_of_the_tar_is_refused_or_changes_a_file_though_the_seal_is_made_anew(tmp_path, step):
    tar = zlib.decompress(archive.pack("x-1", CONTENTS)[archive.SEALED :], -15)
    (tmp_path / "out").mkdir()
    for place in range(0, len(tar), step):
        flipped = bytearray(tar)
        flipped[place] ^= 1 << place % 8
        (tmp_path / "f").write_bytes(sealed(bytes(flipped)))
        out = tmp_path / "out" / str(place)
        try:
            extraction.unpack(tmp_path / "f", out)
        except BundleError:
            continue
        assert any((out / "x-1" / name).read_bytes() != content for name, content in CONTENTS.items()), place


def only_refused(folder, content: bytes) -> None:
    (folder / "h.tar.gz").write_bytes(content)
    try:
        extraction.sealed(folder / "h.tar.gz")
        extraction.unpack(folder / "h.tar.gz", folder / "out")
    except BundleError:
        pass
    assert {path.name for path in folder.iterdir()} <= {"h.tar.gz", "out"}


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 4096), st.integers(0, 4096), st.integers(0, 4096), st.binary(max_size=40), st.sampled_from(sorted(HOSTILE)))
def test_a_spliced_tar_is_refused_or_unpacked_and_nothing_else(tmp_path_factory, start, end, place, inserted, kind):
    good, other = (zlib.decompressobj(-15).decompress(one[archive.SEALED :]) for one in (archive.pack("x-1", CONTENTS), HOSTILE[kind][0]))
    only_refused(tmp_path_factory.mktemp("spliced"), sealed(good[:start] + inserted + other[place:end] + good[end:]))


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=300))
def test_any_compressed_data_are_refused(tmp_path_factory, body):
    folder = tmp_path_factory.mktemp("any")
    only_refused(folder, archive.GZIP + hashlib.sha256(body).digest() + body)
    only_refused(folder, body)
