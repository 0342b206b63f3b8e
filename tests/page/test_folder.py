import msgspec
import pytest
import synthetic
from test_curves import CONV, measured

from toolchain.errors import ToolchainError
from toolchain.page.folder import load, page
from toolchain.report import dumps

REPORT = synthetic.report(2, 3)


def test_a_folder_has_the_curves_of_its_model_on_its_page(tmp_path):
    assert 'id="sensitivity"' not in page(tmp_path, REPORT)
    (tmp_path / "sensitivity.json").write_bytes(dumps(measured(CONV)))
    assert load(tmp_path / "sensitivity.json") == measured(CONV)
    assert 'id="sensitivity"' in page(tmp_path, REPORT)


def test_curves_of_another_model_of_the_same_name_are_left_out_and_the_page_says_so(tmp_path):
    (tmp_path / "sensitivity.json").write_bytes(dumps(msgspec.structs.replace(measured(CONV), digest="7" * 64)))
    shown = page(tmp_path, REPORT)
    assert 'id="sensitivity"' not in shown
    assert "measured on net.keras with SHA-256 777777777777, not on the model of this run" in shown


def test_the_page_of_a_folder_is_the_same_twice(tmp_path):
    assert page(tmp_path, REPORT) == page(tmp_path, REPORT)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"model": "net.keras"}', b"[" * 100_000, b"\xff"])
def test_damaged_curves_are_left_out_and_the_page_says_so(tmp_path, content):
    (tmp_path / "sensitivity.json").write_bytes(content)
    with pytest.raises(ToolchainError, match=r"sensitivity.json: not what secateur sensitivity writes"):
        load(tmp_path / "sensitivity.json")
    shown = page(tmp_path, REPORT)
    assert 'id="sensitivity"' not in shown
    assert "not what secateur sensitivity writes" in shown


def test_an_endless_file_is_not_read(tmp_path):
    (tmp_path / "sensitivity.json").symlink_to("/dev/zero")
    assert "neither a file nor a folder" in page(tmp_path, REPORT)
