import msgspec
import pytest
from conftest import HERE, secateur

from toolchain.benchmark import bench
from toolchain.report import HostFacts, ModelReport, Report, dumps


@pytest.fixture
def run(tmp_path):
    """A folder as a run leaves it, with one measured file."""
    (measured,) = bench([HERE / "data" / "tiny_int8.tflite"]).artifacts
    artifacts = (msgspec.structs.replace(measured, path=measured.name),)
    model = ModelReport("net.keras", "keras", "0" * 64, 10, 5, 95, 95, None, None, None)
    host = HostFacts("a processor", 2, 1_000, "Linux", "3.11", "unknown", {})
    report = Report(secateur="0", recipe="edge_int8", settings={"seed": 0}, model=model, data=None, host=host,
                    artifacts=artifacts, skipped=(), steps=())  # fmt: skip
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "report.json").write_bytes(dumps(report))
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "report.json").write_bytes(dumps(msgspec.structs.replace(report, settings={"seed": 1})))
    return tmp_path


def test_one_folder_gets_its_page_again(run):
    done = secateur("report", str(run / "first"))
    assert (done.returncode, done.stdout) == (0, f"wrote {run / 'first' / 'report.html'}\n"), done.stderr
    page = (run / "first" / "report.html").read_text()
    assert "tiny_int8.tflite" in page
    assert "vegaEmbed" in page


def test_several_folders_are_compared(run):
    done = secateur("report", "first", "second", "--out", "compared.html", cwd=run)
    assert done.returncode == 0, done.stderr
    page = (run / "compared.html").read_text()
    assert "2 runs compared" in page
    assert not (run / "first" / "report.html").exists()


def test_several_folders_need_a_page_and_its_name_says_what_it_is(run):
    done = secateur("report", "first", "second", cwd=run)
    assert done.returncode == 2
    assert "--out compared.html" in done.stderr
    done = secateur("report", "first", "--out", "compared.txt", cwd=run)
    assert done.returncode == 2
    assert "compared.html" in done.stderr
    assert not (run / "compared.txt").exists()


@pytest.mark.parametrize("content", [b"{", b'{"schema": 2}', None])
def test_a_broken_report_is_one_line_and_leaves_the_old_page(run, content):
    (run / "first" / "report.html").write_text("old")
    (run / "first" / "report.json").unlink()
    if content is not None:
        (run / "first" / "report.json").write_bytes(content)
    done = secateur("report", str(run / "first"))
    assert done.returncode == 2
    assert done.stderr.startswith("secateur: ")
    assert done.stderr.count("\n") == 1
    assert "report.json" in done.stderr
    assert (run / "first" / "report.html").read_text() == "old"
