"""`secateur inspect`: what is in a model file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolchain.cli import options


def inspect(
    file: Annotated[Path, typer.Argument(help="A .keras, .h5, .tflite or .onnx file")],
    trust: options.Trust = False,
    time_limit: options.TimeLimit = 300,
    json: options.Json = False,
) -> None:
    """Show operators, shapes, parameters, MACs, sparsity and quantization.

    \b
    secateur inspect static_w8a8.tflite
    secateur inspect my.keras --json
    """
    from toolchain.cli import display
    from toolchain.inspection import Inspection, InspectJob
    from toolchain.worker import Worker

    with display.progress() as progress, Worker(progress) as worker:
        found = worker.call("toolchain.inspection:inspect", InspectJob(file, trust), Inspection, file.name, time_limit)
    if json:
        from toolchain.report import dumps

        print(dumps(found).decode(), end="")
        return
    rows = [
        (row.name[-60:], row.kind, "x".join(str(d or "?") for d in row.shape), row.dtype, f"{row.parameters:,}",
         "" if row.sparsity is None else f"{row.sparsity:.1%}", "" if row.macs is None else f"{row.macs:,}", row.quantization)
        for row in found.rows
    ]  # fmt: skip
    if rows:
        display.table(found.path, ("name", "kind", "output", "type", "parameters", "zeros", "MACs", "quantization"), rows)
    for title, values in (("inputs", found.inputs), ("outputs", found.outputs)):
        print(f"{title}: {'; '.join(values)}")
    if found.operators:
        print("operators: " + ", ".join(f"{name} x{count}" for name, count in found.operators.items()))
    zeros = 1 - found.nonzero_parameters / found.parameters if found.parameters else 0.0
    macs = "unknown" if found.macs is None else f"{found.macs:,}"
    print(f"{found.format}, {found.scheme}: {found.bytes:,} bytes, {found.parameters:,} parameters ({zeros:.1%} zero), {macs} MACs")
