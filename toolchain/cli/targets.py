"""`secateur targets`: the devices, what is known about them, and what can be emulated on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolchain.cli import options

if TYPE_CHECKING:
    from toolchain.emulator import Emulator
    from toolchain.target import Target


def targets(
    name: Annotated[str | None, typer.Argument(help="Show this target's facts with their sources, and its emulators")] = None,
    toml: Annotated[bool, typer.Option("--toml", help="Print the target's file, to copy")] = False,
    install: Annotated[str | None, typer.Option(metavar="KIND", help="Fetch what this kind of emulator needs beside pip packages")] = None,
    json: options.Json = False,
) -> None:
    """List the devices, or show one.

    \b
    secateur targets
    secateur targets stm32f746
    secateur targets stm32f746 --toml > mine.toml
    secateur targets --install aarch64
    """
    from toolchain import target

    if install:
        _install(install)
    elif name is None:
        if toml:
            raise typer.BadParameter("--toml prints one target's file; give its name")
        _list([target.load(known) for known in target.names()], json)
    elif toml:
        target.load(name)
        print(target.path_of(name).read_text(), end="")
    else:
        _show(target.load(name), json)


def _install(kind: str) -> None:
    from toolchain import registry
    from toolchain.cli import display
    from toolchain.errors import TargetError

    cls = registry.find("emulators", kind, "--install", TargetError)
    with display.progress() as progress:
        cls.install(progress)
    print(f"{kind}: installed")


def _list(found: list[Target], json: bool) -> None:
    if json:
        _print_json([_summary(one) for one in found])
        return
    from toolchain.cli import display

    missing: dict[str, str] = {}
    rows = []
    for one in found:
        device, memory = one.device, one.device.memory
        kinds = []
        for emulator in one.emulators:
            lacks = emulator.missing(device)
            if lacks:
                missing[_kind(emulator)] = lacks
            if (shown := f"{_kind(emulator)}{' (missing)' if lacks else ''}") not in kinds:
                kinds.append(shown)
        flash = "" if memory.flash_bytes is None else size(memory.flash_bytes)
        ram = "" if memory.external_ram_bytes is None else f"{size(memory.external_ram_bytes)} external"
        sram = ram if memory.sram_bytes is None else size(memory.sram_bytes)
        engine = device.runtime.engine if device.npu is None else f"{device.runtime.engine}, {device.npu.kind}"
        rows.append((one.name, device.cpu.core, f"{device.cpu.clock_hz / 1e6:,g}", flash, sram, engine, ", ".join(kinds)))
    display.table("Targets", ("name", "core", "MHz", "flash", "SRAM", "engine, NPU", "emulators"), rows)
    for kind, lacks in sorted(missing.items()):
        print(f"{kind} is missing here: {lacks}")
    print("facts and sources of one: secateur targets NAME")


def _show(found: Target, json: bool) -> None:
    if json:
        _print_json(_details(found))
        return
    facts = [(fact, _text(value), found.sources[fact]) for fact, value in _facts(found).items()]
    print(f"{found.device.title}\n")
    print(_aligned([("fact", "value", "source"), *facts]))
    print("\nemulators")
    if not any(emulator.how == "executed" for emulator in found.emulators):
        print("no emulator runs this device's code here")
    for emulator in found.emulators:
        settings = "".join(f" {key} = {_text(value)}" for key, value in _settings(emulator).items() if value is not None)
        lacks = emulator.missing(found.device)
        print(f"{_kind(emulator)}{settings}{f': missing here: {lacks}' if lacks else ''}")


def _summary(found: Target) -> dict[str, Any]:
    import msgspec

    return {
        "name": found.name,
        **msgspec.to_builtins(found.device),
        "emulators": [{"kind": _kind(one), **_settings(one), "missing": one.missing(found.device)} for one in found.emulators],
    }


def _details(found: Target) -> dict[str, Any]:
    facts = {fact: {"value": value, "source": found.sources[fact]} for fact, value in _facts(found).items()}
    return {**_summary(found), "facts": facts}


def _facts(found: Target) -> dict[str, Any]:
    """The facts that the file gives, by their dotted paths."""
    import msgspec

    from toolchain.sourced import flatten

    tables = msgspec.to_builtins(found.device) | {"speed": msgspec.to_builtins(found.speed)}
    values = dict(flatten(tables))
    return {fact: values[fact] for fact in found.sources}


def _settings(emulator: Emulator) -> dict[str, Any]:
    import msgspec

    return {key: value for key, value in msgspec.to_builtins(emulator).items() if key != "kind"}


def _kind(emulator: Emulator) -> str:
    return str(emulator.__struct_config__.tag)


def _text(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _aligned(rows: list[tuple[str, ...]]) -> str:
    """Columns side by side; the last is not padded."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join([*(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)), row[-1]]) for row in rows)


def _print_json(value: Any) -> None:
    from toolchain.report import dumps

    print(dumps(value).decode(), end="")


def size(count: int) -> str:
    """Bytes in the largest binary unit that divides them: `640 KiB`."""
    for unit, scale in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count % scale == 0:
            return f"{count // scale:,} {unit}"
    return f"{count:,} B"
