"""Every reader on damaged files: what is read, is read; everything else is one ToolchainError, in bounded time and memory."""

from __future__ import annotations

import pytest
import seeds
from conftest import HERE
from damage import archive, damaged, damaged_archive, holds, lengths

from toolchain import cache, checksums, delivery, keras_models, recipe, report, target
from toolchain.data_sources import Request, prepare
from toolchain.inspection import InspectJob, inspect
from toolchain.worker import Worker, silent

TOML = (b"[" * 5000, b"9" * 5000, b"0x" + b"f" * 5000, b"a." * 3000, b"\0", b'"\\u0000"', b"1979-99-99", b"nan", b"{", b"'''", b"\xff")
JSON = (b"[" * 100_000, b"1e999", b"NaN", b"9" * 5000, b'{"a":' * 2000, b'"../x"', b"\\ud800", b"null", b"\xff")
CLASS = (b"Lambda", b"TFOpLambda", b'"config": null', b'"class_name": 3', *JSON)


@lengths
def test_recipes(examples):
    holds(lambda path: recipe.load(str(path)), damaged(seeds.RECIPE.encode(), TOML), "r.toml", examples)


@lengths
def test_targets(examples):
    holds(lambda path: target.load(str(path)), damaged(seeds.target(), TOML), "t.toml", examples)


@lengths
def test_reports(examples):
    holds(report.load, damaged(report.dumps(seeds.a_report()), JSON), "report.json", examples)


@lengths
def test_lists_of_checksums(examples, tmp_path):
    (tmp_path / "a").touch()
    checksums.seal(tmp_path)
    listed = damaged((tmp_path / checksums.LIST).read_bytes() * 3, (b"  ../a\n", b"  \n", b"  .\n", b"  \0\n"))
    holds(lambda path: checksums.withdraw(path.parent), listed, checksums.LIST, examples)


@lengths
def test_lists_of_deliveries(examples):
    listed = damaged(b'{"a.tflite": "00", "final.keras": "11"}', JSON)
    holds(lambda path: delivery.check_free(path.parent, ["a.tflite", "report.json"]), listed, delivery.PENDING, examples)


@lengths
def test_results_in_the_cache(examples):
    holds(lambda path: cache.Cache(path.parent).load("", dict[str, str]), damaged(b'{"a": "b"}', JSON), "result.json", examples)


@lengths
@pytest.mark.parametrize("name", ["tiny_int8", "tiny_float32"])
def test_tflite(examples, name):
    holds(lambda path: inspect(InspectJob(path, trust=False), silent), damaged(seeds.tflite(name)), "m.tflite", examples)


@lengths
def test_archives_of_arrays(examples, tmp_path):
    pieces = (b"'descr': '|O'", b"'shape': (9999999999, 99),", b"(" * 200, b"-" * 2000, b"'<U8'", b"'<f8'", b"'<c16'")
    contents = damaged_archive(seeds.npz_members(), pieces)
    holds(lambda path: prepare(Request(str(path), "run", 0, path.parent / "splits"), silent), contents, "d.npz", examples)


@lengths
@pytest.mark.parametrize("kind", ["png", "jpeg", "bmp"])
def test_images(examples, kind):
    def read(path):
        (path.parent / "data" / "cat").mkdir(parents=True)
        for index in range(4):
            (path.parent / "data" / "cat" / f"{index}.png").write_bytes(path.read_bytes())
        prepare(Request(str(path.parent / "data"), "run", 0, path.parent / "splits"), silent)

    holds(read, damaged(seeds.image(kind)), "image", examples)


@lengths
def test_configurations_of_keras_archives(examples):
    def read(path):
        keras_models.check_safe(path, keras_models.read_config(path)[0])

    holds(read, damaged_archive(seeds.keras_members(), CLASS), "m.keras", examples)


@pytest.fixture(scope="module")
def child():
    """One process for all examples; a crash starts another. It finds this folder's modules as a user's would."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{HERE}:{HERE / 'hostile'}")
        with Worker() as worker:
            yield lambda job: lambda path: worker.call(f"reader_jobs:{job}", path, str, path.name, 20.0)


@lengths
@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_weights_in_hdf5(examples, name, child):
    contents = damaged(seeds.h5(), CLASS) if name == "m.h5" else damaged_archive(seeds.keras_members(), CLASS)
    holds(child("keras_file"), contents, name, examples)


@lengths
@pytest.mark.parametrize("job", ["run", "layers"])
@pytest.mark.parametrize("name", ["tiny_int8", "tiny_float32"])
def test_litert(examples, name, job, child):
    holds(child(job), damaged(seeds.tflite(name)), "m.tflite", examples)


@lengths
@pytest.mark.parametrize("job", ["run", "look_into"])
def test_onnx(examples, job, child, tmp_path):
    pytest.importorskip("onnx")
    holds(child(job), damaged(seeds.onnx(tmp_path / "seed.onnx"), (b"location", b"\x70\x01", b"\x0a\x08location")), "m.onnx", examples)


@pytest.mark.tensorflow
@lengths
@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_keras_models(examples, name, child):
    contents = damaged_archive(seeds.keras_members(), CLASS) if name == "m.keras" else damaged(seeds.h5(), CLASS)
    holds(child("load_keras"), contents, name, examples)


def test_the_seeds_are_read_whole(tmp_path, child):
    """A seed that no reader takes would prove nothing."""
    for name, content, job in (
        ("m.keras", archive(seeds.keras_members()), "keras_file"),
        ("m.h5", seeds.h5(), "keras_file"),
        ("m.tflite", seeds.tflite("tiny_int8"), "run"),
        ("m.onnx", seeds.onnx(tmp_path / "seed.onnx"), "run"),
        ("m.onnx", seeds.onnx(tmp_path / "seed.onnx"), "look_into"),
    ):
        (tmp_path / name).write_bytes(content)
        child(job)(tmp_path / name)
    (tmp_path / "r.toml").write_text(seeds.RECIPE)
    assert recipe.load(str(tmp_path / "r.toml")).stages
    (tmp_path / "report.json").write_bytes(report.dumps(seeds.a_report()))
    assert report.load(tmp_path / "report.json") == seeds.a_report()
    (tmp_path / "d.npz").write_bytes(archive(seeds.npz_members()))
    assert prepare(Request(str(tmp_path / "d.npz"), "run", 0, tmp_path / "splits"), silent).size("test") == 1
