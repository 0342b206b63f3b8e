"""`secateur bench`: measure finished files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolchain.cli import options


def bench(
    files: Annotated[list[Path], typer.Argument(help=".tflite and .onnx files; the first is the one the others are compared with")],
    data: options.Data = None,
    target: options.Targets = None,
    scale: options.Scale = "1",
    offset: options.Offset = 0.0,
    threads: options.Threads = 1,
    time_limit: options.TimeLimit = 1800,
    json: options.Json = False,
) -> None:
    """Measure size, accuracy, latency and memory of files, interleaved, and their fit on targets.

    \b
    secateur bench float32.tflite static_w8a8.tflite --data test.npz
    secateur bench static_w8a8.tflite --data mnist_5k --scale 1/255 --target stm32f746
    secateur bench static_w8a8.tflite --json > result.json
    """
    from toolchain.benchmark import bench as measure
    from toolchain.cli import display

    with display.progress() as progress:
        found = measure(
            files, data=data, targets=target or (), scale=scale, offset=offset, threads=threads, limit_s=time_limit, progress=progress
        )
    if json:
        from toolchain.report import dumps

        print(dumps(found.artifacts).decode(), end="")
        return
    display.artifacts(f"Measured on {found.host.cpu}, {threads} thread(s)", found.artifacts)
    display.skipped(found.skipped)
