"""Whether a file fits a target, from facts: formats, types, operators, flash, SRAM. Every reason is listed.

Facts are the device's and its engine's (`targets/`), what the file says about itself, and the arena that the real
interpreter took. A number near a limit says how far it can be trusted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from toolchain import engine
from toolchain.artifact import Format, sniff
from toolchain.device import Device
from toolchain.emulator import EmulatorResult
from toolchain.report import TargetReport
from toolchain.target import Target
from toolchain.tflite_file import TfliteFile

RUNS = {"tflm": "tflm", "litert": "aarch64"}
"""The emulator that executes a device's own engine: only its refusal can say that the device refuses the file."""

ARENAS = ("corstone", "tflm")
"""Emulators that know the arena, the one nearer to a device first."""

FIRMWARE_ARENAS = {"ResNet-8": (55_936, 55_028), "DS-CNN": (24_224, 27_348)}
"""Bytes of arena on a 64-bit host and in Arm's Cortex-M55 firmware, int8 files of MLPerf Tiny.

Measured with tflite-micro 0.dev20261023182759 and with mlia-ethos-u 0.1.0 (TFLM with CMSIS-NN) in QEMU 7.2.
"""

LARGEST_RATIO = max(firmware / host for host, firmware in FIRMWARE_ARENAS.values())


def fit(path: Path, activation_dtypes: Sequence[str], target: Target, results: Sequence[EmulatorResult]) -> TargetReport:
    """Judge `path` by the target's facts and by what its emulators found.

    `activation_dtypes` (as in schema.fbs) counts for other formats than .tflite, which is read here.
    Flash is the file, the engine's code and what is reserved; SRAM is the arena and what is reserved. Raises ModelError.
    """
    device = target.device
    format = sniff(path)
    file = TfliteFile.read(path) if format is Format.TFLITE else None
    own = next((result for result in results if result.emulator == RUNS[device.runtime.engine]), None)
    reasons: list[str] = []
    unknown: list[str] = []
    notes: list[str] = []
    if format.value not in device.runtime.formats:
        reasons.append(f"{device.runtime.engine} runs {', '.join(device.runtime.formats)}, not {format.value}")
    if refused := _refused_types(activation_dtypes, file, device):
        reasons.append(f"computes in {', '.join(refused)}; this target takes {', '.join(device.runtime.dtypes)}")
    if file is None:
        notes.append(f"operators: not checked, there is no list for .{format.value} files")
    else:
        unsupported, places = _operators(file, device)
        if unsupported and not (own and own.status == "ok"):
            reasons.append(f"{engine.load(device.runtime.engine).title} has no {', '.join(unsupported)}")
        notes.append("operators: " + "; ".join(f"{place}: {', '.join(names)}" for place, names in places.items()))
    if device.npu:
        notes.append(f"flash and SRAM are those of this file on the {device.cpu.core}; the NPU's compiler makes another file of it")
        if not any(device.npu.family in kernels.on for kernels in engine.kernels_of(device)):
            notes.append(f"operators: there is no list of what the {device.npu.kind} computes")
    if own and own.status == "refused":  # beside an NPU, and by an emulator with limits of its own, that decides nothing
        (reasons if own.emulator == "tflm" and device.npu is None else unknown).append(f"{own.emulator}: {own.reason}")
    flash_bytes, said = _flash(path, file, device)
    notes.append(said)
    if device.memory.flash_bytes is not None and flash_bytes > device.memory.flash_bytes:
        reasons.append(f"needs {flash_bytes:,} B of flash ({said.removeprefix('flash: ')}), the target has {device.memory.flash_bytes:,}")
    sram_bytes = None
    arenas = {result.emulator: result.arena_bytes for result in results if result.arena_bytes is not None}
    if kind := next((kind for kind in ARENAS if kind in arenas), None):
        sram_bytes = arenas[kind] + device.memory.reserved_sram_bytes
        reasons += _sram(arenas[kind], device)
        notes += _trust(kind, arenas[kind], device)
    elif device.memory.sram_bytes is not None and not reasons:
        unknown += [f"{own.emulator}: {own.reason}"] if own and own.status == "unavailable" else []
        unknown.append("the arena is unknown: no emulator ran the file")
    fits = False if reasons else None if unknown else True
    return TargetReport(
        target=target.name,
        fits=fits,
        reasons=tuple(reasons + unknown),
        flash_bytes=flash_bytes,
        sram_bytes=sram_bytes,
        results=tuple(results),
        notes=tuple(notes),
        title=device.title,
        device_flash_bytes=device.memory.flash_bytes,
        device_sram_bytes=device.memory.sram_bytes,
    )


def _refused_types(activation_dtypes: Sequence[str], file: TfliteFile | None, device: Device) -> list[str]:
    """Types that the target does not compute in: floats anywhere but at a DEQUANTIZE, integers where they are multiplied."""
    computed = set(activation_dtypes)
    if file:
        made = [(op, file.tensors[index].dtype) for op in file.operators for index in op.outputs]
        computed = {dtype for op, dtype in made if op.macs or (dtype.startswith("FLOAT") and op.name != "DEQUANTIZE")}
    return sorted(dtype.lower() for dtype in computed if dtype.lower() not in device.runtime.dtypes)


def _operators(file: TfliteFile, device: Device) -> tuple[list[str], dict[str, list[str]]]:
    """Operators that nothing on the device computes, and the others by the kernels that do."""
    known, fast = engine.load(device.runtime.engine), engine.kernels_of(device)
    unsupported, places = set(), dict[str, set[str]]()
    for op in file.operators:
        dtype = file.tensors[op.outputs[0]].dtype.lower() if op.outputs else ""
        place = engine.accelerated(fast, op.name, dtype)
        if place is None and op.name not in known.operators:
            unsupported.add(op.name)
        else:
            places.setdefault(place or "without fast kernels", set()).add(op.name)
    return sorted(unsupported), {place: sorted(names) for place, names in sorted(places.items())}


def _flash(path: Path, file: TfliteFile | None, device: Device) -> tuple[int, str]:
    """Bytes of flash and what they are made of."""
    size, reserved = path.stat().st_size, device.memory.reserved_flash_bytes
    parts = [f"file {size:,}"]
    if file:
        weights = sum(map(len, {file.constant(tensor).tobytes() for tensor in file.weights}))  # equal ones are stored once
        parts = [f"file {size:,} = weights {weights:,} + model overhead {size - weights:,}"]
    code_bytes = 0
    if file and (code := engine.load(device.runtime.engine).code):
        code_bytes = code.of(file.operator_counts)
        parts.append(f"engine about {code_bytes:,} (its code on a Cortex-M55)")
    return size + code_bytes + reserved, "flash: " + ", ".join([*parts, f"reserved {reserved:,}"])


def _sram(arena_bytes: int, device: Device) -> Iterator[str]:
    """Reasons why an arena has no place."""
    memory = device.memory
    needed = arena_bytes + memory.reserved_sram_bytes
    if memory.sram_bytes is not None and needed > memory.sram_bytes:
        yield f"needs {needed:,} B of SRAM ({memory.reserved_sram_bytes:,} reserved), the target has {memory.sram_bytes:,}"
    if memory.contiguous_sram_bytes is not None and arena_bytes > memory.contiguous_sram_bytes:
        yield f"the arena of {arena_bytes:,} B is larger than the largest piece of SRAM, {memory.contiguous_sram_bytes:,} B"


def _trust(kind: str, arena_bytes: int, device: Device) -> Iterator[str]:
    """How near the arena is to the device's, and whether that can change the verdict."""
    if kind == "corstone":
        yield "SRAM: the arena of Arm's Cortex-M55 firmware"
        return
    examples = " and ".join(f"{firmware:,} B for {name} instead of {host:,}" for name, (host, firmware) in FIRMWARE_ARENAS.items())
    yield f"SRAM: the arena of a 64-bit host with reference kernels; Cortex-M55 firmware with CMSIS-NN took {examples}"
    likely = round(arena_bytes * LARGEST_RATIO)
    if any(_sram(likely, device)) and not any(_sram(arena_bytes, device)):
        yield f"SRAM: near the limit; with DS-CNN's ratio the arena is {likely:,} B and does not fit: measure it on the device"
