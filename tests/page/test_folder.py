import msgspec
import pytest
import synthetic
from test_curves import CONV, measured

from toolchain.errors import ToolchainError
from toolchain.page.folder import load, page
from toolchain.report import dumps


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "report.json").write_bytes(dumps(synthetic.report(2, 3)))
    return tmp_path


def test_a_folder_has_the_curves_of_its_model_on_its_page(folder):
    assert 'id="sensitivity"' not in page(folder)
    (folder / "sensitivity.json").write_bytes(dumps(measured(CONV)))
    assert load(folder / "sensitivity.json") == measured(CONV)
    assert 'id="sensitivity"' in page(folder)
    (folder / "sensitivity.json").write_bytes(dumps(msgspec.structs.replace(measured(CONV), model="other.keras")))
    assert 'id="sensitivity"' not in page(folder)


def test_the_page_of_a_folder_is_the_same_twice(folder):
    assert page(folder) == page(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"model": "net.keras"}', b"[" * 100_000, b"\xff"])
def test_damaged_curves_are_an_error_that_names_the_file(folder, content):
    (folder / "sensitivity.json").write_bytes(content)
    with pytest.raises(ToolchainError, match="sensitivity.json"):
        page(folder)


def test_an_endless_file_is_not_read(folder):
    (folder / "sensitivity.json").symlink_to("/dev/zero")
    with pytest.raises(ToolchainError, match="neither a file nor a folder"):
        page(folder)


def test_a_folder_without_a_report_is_an_error(tmp_path):
    with pytest.raises(ToolchainError, match="report.json"):
        page(tmp_path)
