import pytest

from toolchain.checksums import LIST, check, deliver, seal, withdraw
from toolchain.errors import StorageError


def folder(path, **files):
    path.mkdir()
    for name, content in files.items():
        (path / name).write_text(content)
    seal(path)
    return path


def test_a_delivery_replaces_an_earlier_one_and_takes_away_what_is_gone(tmp_path):
    deliver(folder(tmp_path / "a", one="1", two="2"), tmp_path / "out")
    (tmp_path / "out" / "mine").write_text("kept")
    deliver(folder(tmp_path / "b", two="two", three="3"), tmp_path / "out")
    assert {p.name: p.read_text() for p in (tmp_path / "out").iterdir() if p.name != LIST} == {"two": "two", "three": "3", "mine": "kept"}


def test_what_somebody_wrote_or_changed_is_never_lost(tmp_path):
    first = folder(tmp_path / "a", one="1")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "one").write_text("mine")
    with pytest.raises(StorageError, match="already holds one, which no export wrote"):
        deliver(first, tmp_path / "out")
    deliver(first, tmp_path / "other")
    (tmp_path / "other" / "one").write_text("changed")
    with pytest.raises(StorageError, match="one changed since the export wrote it"):
        deliver(folder(tmp_path / "b", one="2"), tmp_path / "other")
    assert (tmp_path / "other" / "one").read_text() == "changed"
    with pytest.raises(StorageError, match="is a file"):
        check(tmp_path / "out" / "one")


def test_a_withdrawal_leaves_what_is_not_its_own(tmp_path):
    made = folder(tmp_path / "a", one="1", two="2")
    (made / "two").write_text("changed")
    withdraw(made)
    assert [p.name for p in made.iterdir()] == ["two"]
    other = folder(tmp_path / "b", one="1")
    withdraw(other)
    assert not other.exists()


@pytest.mark.parametrize("listed", ["abc  ../outside\n", "abc  ..\n", "abc\n", "\x00\xff\n", ""])
def test_a_list_that_lies_reaches_nothing(tmp_path, listed):
    (tmp_path / "outside").write_text("safe")
    made = folder(tmp_path / "a", one="1")
    (made / LIST).write_bytes(listed.encode("latin1"))
    check(made)
    withdraw(made)
    assert (tmp_path / "outside").read_text() == "safe"
    assert (made / "one").read_text() == "1"
