"""Coverage-guided fuzzing of one reader: `python -m benchmarks.fuzz tflite -max_total_time=300`, with PyPI `atheris`.

The tests in tests/hostile damage seeds at random; this one keeps what reaches new lines, and so finds its way into headers.
Anything but a ToolchainError is printed and kept in the working folder as crash-*, to be written into
tests/hostile/test_attacks.py. Readers with native code run in this process here: a crash of theirs is the libraries' own,
and a child's in a run.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parent.parent / "tests"


def readers(seeds: Any) -> dict[str, tuple[str, Callable[[Path], object], list[bytes]]]:
    """Name of the file, what reads it, and whole files to begin with."""
    from toolchain import keras_models, recipe, report, target
    from toolchain.data_sources import Request, prepare
    from toolchain.inspection import InspectJob, inspect
    from toolchain.worker import silent

    archive = importlib.import_module("damage").archive

    def pictures(path: Path) -> None:
        (path.parent / "data" / "cat").mkdir(parents=True)
        for index in range(4):
            (path.parent / "data" / "cat" / f"{index}.png").write_bytes(path.read_bytes())
        prepare(Request(str(path.parent / "data"), "run", 0, path.parent / "splits"), silent)

    def arrays(path: Path) -> None:
        path.write_bytes(archive({"x.npy": path.read_bytes(), "y.npy": seeds.npz_members()["y.npy"]}))
        prepare(Request(str(path), "run", 0, path.parent / "splits"), silent)

    def configuration(path: Path) -> None:
        path.write_bytes(archive(seeds.keras_members() | {"config.json": path.read_bytes()}))
        keras_models.refuse_unsafe(path, silent)

    with tempfile.TemporaryDirectory() as folder:
        onnx = seeds.onnx(Path(folder) / "m.onnx")
    whole_keras = archive(seeds.keras_members())
    return {
        "recipe": ("r.toml", lambda path: recipe.load(str(path)), [seeds.RECIPE.encode()]),
        "target": ("t.toml", lambda path: target.load(str(path)), [seeds.target()]),
        "report": ("report.json", report.load, [report.dumps(seeds.a_report())]),
        "npy": ("d.npz", arrays, [seeds.npz_members()["x.npy"]]),
        "images": ("image", pictures, [seeds.image(kind) for kind in ("png", "jpeg", "bmp")]),
        "config": ("m.keras", configuration, [seeds.keras_members()["config.json"]]),
        "keras": ("m.keras", lambda path: keras_models.refuse_unsafe(path, silent), [whole_keras]),
        "h5": ("m.h5", lambda path: keras_models.refuse_unsafe(path, silent), [seeds.h5()]),
        "tflite": ("m.tflite", lambda path: inspect(InspectJob(path, False), silent), [*map(seeds.tflite, ("tiny_int8", "tiny_float32"))]),
        "onnx": ("m.onnx", lambda path: inspect(InspectJob(path, False), silent), [onnx]),
    }


def main() -> None:
    """Fuzz the reader that the first argument names; the others are libFuzzer's."""
    import atheris

    sys.path[:0] = [str(TESTS), str(TESTS / "hostile")]
    with atheris.instrument_imports(include=["toolchain", "flatbuffers", "ai_edge_litert", "tomllib", "zipfile", "numpy.lib._format_impl"]):
        import toolchain.inspection
        import toolchain.recipe  # noqa: F401
    from toolchain.errors import ToolchainError

    known = readers(importlib.import_module("seeds"))
    name, read, whole = known[sys.argv[1]]

    def one(content: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / name).write_bytes(content)
            with contextlib.suppress(ToolchainError):
                read(Path(folder) / name)

    with tempfile.TemporaryDirectory() as corpus:
        for index, content in enumerate(whole):
            (Path(corpus) / str(index)).write_bytes(content)
        atheris.Setup([sys.argv[0], corpus, "-rss_limit_mb=4096", "-timeout=30", *sys.argv[2:]], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
