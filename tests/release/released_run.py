"""A finished run of small files, measured for real, and its release; each is made once a session."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import msgspec
import numpy as np
from conftest import HERE, shapes

from toolchain import report as reports
from toolchain.benchmark import bench
from toolchain.c_source.package import Package
from toolchain.c_source.program import compile_file
from toolchain.files import digest
from toolchain.release import archive, listing, manifest, signature
from toolchain.report import DataReport, ModelReport, Report, StepReport, TargetReport

NAME = "tiny-1.0.0"
STATED = {"name": "tiny", "version": "1.0.0", "license": "MIT"}


@functools.cache
def run_files() -> dict[str, bytes]:
    """The files of the run's folder."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        np.savez(folder / "shapes.npz", **dict(zip("xy", shapes(300), strict=True)))
        out = folder / "out"
        out.mkdir()
        for name, source in (("float32", "tiny_float32"), ("static_w8a8", "tiny_int8"), ("original_float32", "tiny_float32")):
            (out / f"{name}.tflite").write_bytes((HERE / "data" / f"{source}.tflite").read_bytes())
        (out / "float32.onnx").write_bytes(_onnx())
        files = ["float32.tflite", "static_w8a8.tflite", "original_float32.tflite", "float32.onnx"]
        measured = bench([out / name for name in files], data=str(folder / "shapes.npz"), scale="1/255")
        Package(compile_file(out / "static_w8a8.tflite"), "tiny").write(out / "static_w8a8_c")
        rows = [msgspec.structs.replace(one, path=one.name) for one in measured.artifacts]
        board = TargetReport("stm32f746", True, (), 100_000, 20_000, ())
        rows[1] = msgspec.structs.replace(rows[1], targets=(board,))
        rows[2] = msgspec.structs.replace(rows[2], latency=rows[0].latency)  # the same file: noise would choose which to recommend
        package = msgspec.structs.replace(
            rows[1], name="static_w8a8_c", path="static_w8a8_c", format="c_source", digest=digest(out / "static_w8a8_c"), targets=()
        )
        made = Report(
            secateur="0.1.0", recipe="edge_int8", settings={"seed": 7}, model=ModelReport("tiny.keras", "keras", "a" * 64, 10, 5, 95, 95, "top1", 0.5, (0.4, 0.6)),
            data=DataReport("shapes", "0" * 64, 240, 30, 30, 1 / 255, 0.0, 0, ("up", "middle", "down")), host=measured.host,
            artifacts=(*rows, package), skipped=(),
            steps=(StepReport("export static_w8a8_c", 1.0, False, {}, {"package": {"name": "tiny"}}),),
        )  # fmt: skip
        (out / "report.json").write_bytes(reports.dumps(made))
        return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def run_folder(folder: Path) -> Path:
    return write(folder, run_files())


@functools.cache
def key() -> Path:
    """A private key; its public half is `key().with_name("release.key.pub")`."""
    path = Path(tempfile.mkdtemp()) / "release.key"
    signature.new_key(path)
    return path


def public_key() -> Path:
    return key().with_name("release.key.pub")


@functools.cache
def bundle(signed: bool = False) -> bytes:
    """The archive."""
    from toolchain.release.assembly import Settings, release

    with tempfile.TemporaryDirectory() as scratch:
        settings = Settings(**STATED, key=key() if signed else None)
        return release(run_folder(Path(scratch) / "run"), settings, out=Path(scratch) / "out.tar.gz").archive.read_bytes()


@functools.cache
def contents(signed: bool = False) -> dict[str, bytes]:
    """The bundle's files by path."""
    import io
    import tarfile

    with tarfile.open(fileobj=io.BytesIO(bundle(signed))) as tar:
        return {info.name.removeprefix(f"{NAME}/"): tar.extractfile(info).read() for info in tar}


def forged(files: dict[str, bytes]) -> bytes:
    """An archive in which everything but the signature agrees with changed files."""
    files = {path: content for path, content in files.items() if path != signature.SUMS}
    made = manifest.load(files[manifest.NAME], "")
    listed = {path: content for path, content in files.items() if path not in (manifest.NAME, signature.NAME)}
    files[manifest.NAME] = reports.dumps(msgspec.structs.replace(made, files=listing.listed(listed)))
    files[signature.SUMS] = listing.sums({one.path: one.sha256 for one in listing.listed(files)})
    return archive.pack(NAME, files)


def _onnx() -> bytes:
    import onnx
    from onnx import TensorProto, helper

    weights = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["sum"]),
        helper.make_node("Softmax", ["sum"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "tiny", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 8, 8, 1])], [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
