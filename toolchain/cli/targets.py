"""`secateur targets`: the devices."""

from __future__ import annotations

from typing import Annotated

import typer


def targets(name: Annotated[str | None, typer.Argument(help="Show this target's file, with the sources of its facts")] = None) -> None:
    """List the devices, or show one.

    \b
    secateur targets
    secateur targets stm32f746
    """
    from toolchain import target
    from toolchain.cli import display

    if name:
        target.load(name)
        print(target.path_of(name).read_text(), end="")
        return
    rows = []
    for known in target.names():
        found = target.load(known)
        flash = "" if found.device.memory.flash_bytes is None else f"{found.device.memory.flash_bytes // 1024:,}"
        kinds = ", ".join(str(emulator.__struct_config__.tag) for emulator in found.emulators)
        rows.append((known, found.device.title, flash, f"{found.device.memory.sram_bytes // 1024:,}", found.device.runtime.engine, kinds))
    display.table("Targets", ("name", "device", "flash KiB", "SRAM KiB", "engine", "emulators"), rows)
