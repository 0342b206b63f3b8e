"""`secateur check`: does a file fit a target?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolchain.cli import options


def check(
    file: Annotated[Path, typer.Argument(help="A .tflite or .onnx file")],
    target: Annotated[str, typer.Option(help="A device, by name or .toml file. See: secateur targets")],
    time_limit: options.TimeLimit = 300,
    json: options.Json = False,
) -> None:
    """Tell whether a file fits a target: exit 0 when it does, 1 when it does not, with every reason.

    \b
    secateur check static_w8a8.tflite --target stm32f746
    """
    from toolchain.benchmark import check as judge
    from toolchain.cli import display
    from toolchain.target import load

    with display.progress() as progress:
        found = judge(file, target, limit_s=time_limit, progress=progress)
    if json:
        from toolchain.report import dumps

        print(dumps(found).decode(), end="")
    else:
        memory = load(target).device.memory
        print(f"{file.name} {'fits' if found.fits else 'does not fit'} {found.target}")
        for reason in found.reasons:
            print(f"- {reason}")
        if memory.flash_bytes is not None:
            print(f"flash {found.flash_bytes:,} of {memory.flash_bytes:,} B, of it {memory.reserved_flash_bytes:,} reserved for firmware")
        if memory.sram_bytes is not None:
            sram = "unknown" if found.sram_bytes is None else f"{found.sram_bytes:,}"
            print(f"SRAM {sram} of {memory.sram_bytes:,} B, of it {memory.reserved_sram_bytes:,} reserved for firmware")
        for note in found.notes:
            print(f"note: {note}")
    if not found.fits:
        raise typer.Exit(1)
