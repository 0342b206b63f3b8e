"""A C package linked with what boots it: an ELF for one core, and where its parts lie."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import msgspec

from toolchain.c_source.package import Package, render, sources
from toolchain.c_source.program import nbytes
from toolchain.cortex_m.cores import Core
from toolchain.guests import compiler
from toolchain.optional import require

STACK_BYTES = 8192
ALIGNMENT = 16
PLAN_BYTES = 16
"""`guest_plan` in guest.c.j2."""


class Image(msgspec.Struct, frozen=True):
    """A linked package."""

    path: Path
    core: Core
    input_bytes: int
    """From one example to the next."""
    input_places: tuple[int, ...]
    """Where in an example each input begins."""
    layer_done: int
    """Address of `sct_guest_layer`."""
    done: int
    """Address of `sct_guest_done`."""
    guest: tuple[int, int]
    """Addresses of the code that is not the model's, the end excluded."""
    flash_bytes: int
    """Code, constants and initial values as linked, without what boots the core."""
    ram_bytes: int
    """Static data of the model as linked: the arena."""


def build(package: Package, core: Core) -> Image:
    """Compile and link for a core. Raises DependencyError without a compiler, ToolchainError where the model does not fit its memory."""
    places, input_bytes = _places(package)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        package.write(folder)
        _guest(package, core, places, folder)
        files = {
            path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".c", ".h", ".ld") and path.name != "example.c"
        }
    arguments = [
        *("-target", f"thumb-freestanding-{core.abi}"), f"-mcpu={core.compiled_as}", "-O2", "-std=c99", "-ffreestanding",
        *("-fno-sanitize=all", "-fno-stack-protector", "-ffunction-sections", "-fdata-sections", "-include", "guest.h"),
        *(name for name in sorted(files) if name.endswith(".c")), "-Wl,-T,guest.ld", "-Wl,--gc-sections",
    ]  # fmt: skip
    path = compiler.build(arguments, files, "guest.elf")
    symbols, sections = _read(path)
    start, size = sections[".guest"]
    return Image(
        path, core, input_bytes, places, symbols["sct_guest_layer"] & ~1, symbols["sct_guest_done"] & ~1, (start, start + size),
        sum(sections.get(name, (0, 0))[1] for name in (".text", ".rodata", ".data")),
        sum(sections.get(name, (0, 0))[1] for name in (".data", ".bss")),
    )  # fmt: skip


def _places(package: Package) -> tuple[tuple[int, ...], int]:
    places, end = [], 0
    for tensor in package.program.inputs:
        places.append(end)
        end += -(-nbytes(tensor) // ALIGNMENT) * ALIGNMENT
    return tuple(places), end


def _guest(package: Package, core: Core, places: tuple[int, ...], folder: Path) -> None:
    """Write what boots the core and runs the package there."""
    guest = sources() / "guest"
    memory = {key: hex(value) for key, value in msgspec.structs.asdict(core.memory).items()}
    ports = [msgspec.to_builtins(port) | {"place": place} for port, place in zip(package.ports, [*places, *places], strict=False)]
    facts = package.facts | {"ports": ports}
    (folder / "guest.h").write_bytes((guest / "guest.h").read_bytes())
    (folder / "guest.c").write_text(render(guest / "guest.c.j2", facts))
    (folder / "guest.ld").write_text(render(guest / "guest.ld.j2", memory | {"stack_bytes": STACK_BYTES}))


def _read(path: Path) -> tuple[dict[str, int], dict[str, tuple[int, int]]]:
    """Addresses of symbols, and address and size of sections."""
    elffile: Any = require("elftools.elf.elffile", "emulate")
    with path.open("rb") as file:
        elf = elffile.ELFFile(file)
        symbols = {symbol.name: int(symbol["st_value"]) for symbol in elf.get_section_by_name(".symtab").iter_symbols()}
        return symbols, {section.name: (int(section["sh_addr"]), int(section["sh_size"])) for section in elf.iter_sections()}


def segments(path: Path) -> list[tuple[int, bytes]]:
    """What has to be in memory before the start: physical addresses and bytes."""
    elffile: Any = require("elftools.elf.elffile", "emulate")
    with path.open("rb") as file:
        return [(int(s["p_paddr"]), s.data()) for s in elffile.ELFFile(file).iter_segments("PT_LOAD") if s["p_filesz"]]
